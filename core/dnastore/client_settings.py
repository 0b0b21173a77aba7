"""The settings of the service as a DNAStore's client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from core.setting_types import AbsoluteUrl, AuthoritiesFile, CertificateFile, PrivateKeyFile
from core.tls import ClientFiles, Identity, Part, TlsFileError, client_context
from core.tls_settings import tls_problem

#: The variable that names each file.
CLIENT_NAMES: Final[Mapping[Part, str]] = {
    "certificate": "DNASTORE_CLIENT_CERT",
    "key": "DNASTORE_CLIENT_KEY",
    "authorities": "DNASTORE_CA_CERT",
}


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ValueError("must be an https URL: records go there, and who they go to must be known")
    if parts.query:
        raise ValueError("must be an URL without a query")
    if not parts.path.isascii() or not (parts.hostname or "").isascii():
        raise ValueError("must be an URL in ASCII")
    return url


HttpsUrl = Annotated[AbsoluteUrl, AfterValidator(_https)]


class DnaStoreSettings(BaseModel):
    """The part of the settings that says which DNAStore keeps the records, and how it is reached."""

    dnastore_url: HttpsUrl | None = Field(default=None, validation_alias="DNASTORE_URL")
    dnastore_certificate: CertificateFile | None = Field(
        default=None, validation_alias="DNASTORE_CLIENT_CERT"
    )
    dnastore_key: PrivateKeyFile | None = Field(default=None, validation_alias="DNASTORE_CLIENT_KEY")
    dnastore_authorities: AuthoritiesFile | None = Field(default=None, validation_alias="DNASTORE_CA_CERT")
    dnastore_verify: bool = Field(default=True, validation_alias="DNASTORE_REJECT_UNAUTHORIZED")
    dnastore_timeout: float = Field(
        default=5, ge=0.1, le=60, allow_inf_nan=False, validation_alias="DNASTORE_TIMEOUT"
    )
    dnastore_connections: int = Field(default=4, ge=1, le=64, validation_alias="DNASTORE_CONNECTIONS")
    dnastore_max_waiting: int = Field(
        default=10_000, ge=1, le=1_000_000, validation_alias="DNASTORE_MAX_WAITING"
    )
    dnastore_breaker_failures: int = Field(
        default=5, ge=1, le=1000, validation_alias="DNASTORE_BREAKER_FAILURES"
    )
    dnastore_breaker_pause: float = Field(
        default=1, ge=0.05, le=300, allow_inf_nan=False, validation_alias="DNASTORE_BREAKER_PAUSE"
    )

    @property
    def dnastore_files(self) -> ClientFiles | None:
        """What connections to the DNAStore are made with; None where there is no DNAStore."""
        if self.dnastore_url is None or self.dnastore_certificate is None or self.dnastore_key is None:
            return None
        identity = Identity(self.dnastore_certificate, self.dnastore_key)
        return ClientFiles(identity, self.dnastore_authorities, self.dnastore_verify)


def dnastore_contradictions(given: Mapping[str, str], *, development: bool) -> list[str]:
    """Mistakes that only several of the variables together make, found in their raw text."""
    names = [str(field.validation_alias) for field in DnaStoreSettings.model_fields.values()]
    if "DNASTORE_URL" not in given:
        needless = [name for name in names if name in given]
        return [f"{name}: DNASTORE_URL is not set, so there is no DNAStore" for name in needless]
    problems = []
    if "SIGIL_STORE_URL" in given:
        problems.append("SIGIL_STORE_URL: DNASTORE_URL is set too; set one of them")
    missing = [name for name in ("DNASTORE_CLIENT_CERT", "DNASTORE_CLIENT_KEY") if name not in given]
    problems += [f"{name}: required when DNASTORE_URL is set" for name in missing]
    if not development and _is_false(given.get("DNASTORE_REJECT_UNAUTHORIZED", "true")):
        problems.append("DNASTORE_REJECT_UNAUTHORIZED: false is for development alone")
    if not missing:
        certificate, key, authorities = (given.get(name) for name in CLIENT_NAMES.values())
        identity = Identity(Path(certificate or ""), Path(key or ""))
        try:
            client_context(ClientFiles(identity, Path(authorities) if authorities else None))
        except TlsFileError as error:
            problems.append(tls_problem(error, CLIENT_NAMES))
    return problems


def _is_false(text: str) -> bool:
    """Whether pydantic takes a text for false."""
    return text.lower() in {"0", "off", "f", "false", "n", "no"}
