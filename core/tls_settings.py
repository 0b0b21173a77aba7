"""The settings of the service's own TLS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field

from core.setting_types import AuthoritiesFile, CertificateFile, PrivateKeyFile
from core.tls import Identity, Part, ServerFiles, TlsFileError, server_context

HSTS_SECONDS: Final = 365 * 86400
#: The variable that names each file.
TLS_NAMES: Final[Mapping[Part, str]] = {
    "certificate": "SIGIL_TLS_CERT",
    "key": "SIGIL_TLS_KEY",
    "authorities": "SIGIL_TLS_CLIENT_CA",
}


class TlsSettings(BaseModel):
    """The part of the settings that says how connections are protected."""

    tls_certificate: CertificateFile | None = Field(default=None, validation_alias="SIGIL_TLS_CERT")
    tls_key: PrivateKeyFile | None = Field(default=None, validation_alias="SIGIL_TLS_KEY")
    tls_client_authorities: AuthoritiesFile | None = Field(
        default=None, validation_alias="SIGIL_TLS_CLIENT_CA"
    )
    hsts_setting: int | None = Field(
        default=None, ge=0, le=10 * HSTS_SECONDS, validation_alias="SIGIL_HSTS_SECONDS"
    )

    @property
    def tls(self) -> ServerFiles | None:
        """What the service's own TLS is made of; None: it speaks plain HTTP."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return ServerFiles(Identity(self.tls_certificate, self.tls_key), self.tls_client_authorities)


def tls_contradictions(given: Mapping[str, str]) -> list[str]:
    """Mistakes that only several of the variables together make, found in their raw text."""
    certificate, key, authorities = (given.get(name) for name in TLS_NAMES.values())
    if certificate is None and key is None:
        needless = [name for name in ("SIGIL_TLS_CLIENT_CA", "SIGIL_HSTS_SECONDS") if name in given]
        return [f"{name}: SIGIL_TLS_CERT is not set, so there is no TLS" for name in needless]
    if key is None:
        return ["SIGIL_TLS_KEY: required when SIGIL_TLS_CERT is set"]
    if certificate is None:
        return ["SIGIL_TLS_CERT: required when SIGIL_TLS_KEY is set"]
    files = ServerFiles(Identity(Path(certificate), Path(key)), Path(authorities) if authorities else None)
    return unusable_files(files, TLS_NAMES)


def unusable_files(files: ServerFiles, names: Mapping[Part, str]) -> list[str]:
    """What keeps a server from using these files together; ``names``: of their variables."""
    try:
        server_context(files)
    except TlsFileError as error:
        return [tls_problem(error, names)]
    return []


def tls_problem(error: TlsFileError, names: Mapping[Part, str]) -> str:
    """What is wrong with a TLS file, beginning with its variable's name."""
    return f"{names[error.part]}: {error}"
