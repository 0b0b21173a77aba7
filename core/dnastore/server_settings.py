"""The settings of the DNAStore server, all of them ``DNASTORE_SERVER_*``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings

from core.descriptors import most_connections
from core.dnastore.allow_list import read_allow_list
from core.idempotency import KeyLimits
from core.metrics_settings import MetricsPort
from core.setting_types import (
    AuthoritiesFile,
    CertificateFile,
    ConnectionCount,
    Folder,
    PrivateKeyFile,
    StoreUrl,
    is_loopback,
)
from core.settings_loading import READING, SettingsError, problems_of, unknown_names, values_from_files
from core.store.store_url import shown
from core.tls import Identity, Part, ServerFiles
from core.tls_settings import unusable_files

PREFIX: Final = "DNASTORE_SERVER_"
#: The variable that names each file of TLS.
SERVER_TLS_NAMES: Final[Mapping[Part, str]] = {
    "certificate": f"{PREFIX}CERT",
    "key": f"{PREFIX}KEY",
    "authorities": f"{PREFIX}CLIENT_CA",
}
ALLOW: Final = f"{PREFIX}ALLOW"
#: Beside the service's own, which may run on the same machine.
_METRICS_PORT: Final = 9465
_FILE_NAMES: Final = (f"{PREFIX}STORE_URL",)


def _allow_list(path: Path) -> Path:
    read_allow_list(path)
    return path


class ServerSettings(BaseSettings):
    """What the DNAStore server runs with. Make it with ``load_server_settings``."""

    model_config = READING

    host: str = Field(default="127.0.0.1", validation_alias="DNASTORE_SERVER_HOST")
    port: int = Field(default=8443, ge=0, le=65535, validation_alias="DNASTORE_SERVER_PORT")
    certificate: CertificateFile = Field(validation_alias="DNASTORE_SERVER_CERT")
    key: PrivateKeyFile = Field(validation_alias="DNASTORE_SERVER_KEY")
    client_authorities: AuthoritiesFile = Field(validation_alias="DNASTORE_SERVER_CLIENT_CA")
    allow: Annotated[Path, AfterValidator(_allow_list)] = Field(validation_alias="DNASTORE_SERVER_ALLOW")
    data_dir: Folder = Field(default=Path("data"), validation_alias="DNASTORE_SERVER_DATA_DIR")
    store_url_setting: StoreUrl | None = Field(default=None, validation_alias="DNASTORE_SERVER_STORE_URL")
    retention_days: int = Field(default=0, ge=0, le=36_500, validation_alias="DNASTORE_SERVER_RETENTION_DAYS")
    metrics_host: str = Field(default="127.0.0.1", validation_alias="DNASTORE_SERVER_METRICS_HOST")
    metrics_port_setting: MetricsPort | None = Field(
        default=None, validation_alias="DNASTORE_SERVER_METRICS_PORT"
    )
    tracing: Literal["off", "otlp"] = Field(default="off", validation_alias="DNASTORE_SERVER_TRACING")
    max_body_bytes: int = Field(
        default=64 << 20, ge=1 << 20, le=256 << 20, validation_alias="DNASTORE_SERVER_MAX_BODY_BYTES"
    )
    body_timeout: int = Field(default=30, ge=1, le=3600, validation_alias="DNASTORE_SERVER_BODY_TIMEOUT")
    head_timeout: int = Field(default=15, ge=1, le=3600, validation_alias="DNASTORE_SERVER_HEAD_TIMEOUT")
    write_timeout: int = Field(default=30, ge=1, le=3600, validation_alias="DNASTORE_SERVER_WRITE_TIMEOUT")
    request_timeout: int = Field(
        default=60, ge=1, le=3600, validation_alias="DNASTORE_SERVER_REQUEST_TIMEOUT"
    )
    keep_alive: int = Field(default=75, ge=1, le=3600, validation_alias="DNASTORE_SERVER_KEEP_ALIVE")
    max_requests: int = Field(default=512, ge=1, le=1 << 16, validation_alias="DNASTORE_SERVER_MAX_REQUESTS")
    max_connections: ConnectionCount | None = Field(
        default=None, ge=1, validation_alias="DNASTORE_SERVER_MAX_CONNECTIONS"
    )
    idempotency_seconds: int = Field(
        default=KeyLimits().seconds,
        ge=1,
        le=2_678_400,
        validation_alias="DNASTORE_SERVER_IDEMPOTENCY_SECONDS",
    )
    idempotency_keys: int = Field(
        default=KeyLimits().per_tenant,
        ge=1000,
        le=100_000_000,
        validation_alias="DNASTORE_SERVER_IDEMPOTENCY_KEYS",
    )
    shutdown_seconds: int = Field(
        default=20, ge=1, le=600, validation_alias="DNASTORE_SERVER_SHUTDOWN_SECONDS"
    )
    reload_seconds: float = Field(
        default=2, ge=0, le=3600, allow_inf_nan=False, validation_alias="DNASTORE_SERVER_RELOAD_SECONDS"
    )

    @property
    def store_url(self) -> str:
        """Where records are kept, with its password; by default a file of the data folder."""
        if self.store_url_setting is None:
            return f"sqlite:///{self.data_dir / 'dnastore.db'}"
        return self.store_url_setting.get_secret_value()

    @property
    def shown_store_url(self) -> str:
        """The same, fit to be shown: without a password."""
        return shown(self.store_url)

    @property
    def tls(self) -> ServerFiles:
        """What TLS is made of."""
        return ServerFiles(Identity(self.certificate, self.key), self.client_authorities)

    @property
    def key_limits(self) -> KeyLimits:
        """How idempotency keys are remembered."""
        return KeyLimits(self.idempotency_seconds, self.idempotency_keys)

    @property
    def hsts_seconds(self) -> int | None:
        """None: no browser calls here."""
        return None

    def metrics_port(self, *, development: bool) -> int | None:
        """Where metrics are served: 0 for any free port, None for nowhere."""
        if self.metrics_port_setting == "off":
            return None
        if self.metrics_port_setting is None:
            return 0 if development else _METRICS_PORT
        return self.metrics_port_setting


def server_names() -> list[str]:
    """The environment variables that the DNAStore server knows."""
    known = [str(field.validation_alias) for field in ServerSettings.model_fields.values()]
    return [*known, *(f"{name}_FILE" for name in _FILE_NAMES)]


def load_server_settings(development: Mapping[str, str] | None = None) -> ServerSettings:
    """Read the DNAStore server's settings from the process's environment.

    Args:
        development: what development mode sets, which the environment then may not; None: another mode.

    Raises:
        SettingsError: with every mistake that was found.
    """
    values, problems = values_from_files(os.environ, _FILE_NAMES)
    for name, value in (development or {}).items():
        if os.environ.get(name):
            problems.append(
                f"{name}: development mode makes its own; unset this, or start without --development"
            )
        values[name] = value
    settings = None
    try:
        settings = ServerSettings(**values)
    except ValidationError as error:
        problems += problems_of(error)
    if settings is not None:
        problems += unusable_files(settings.tls, SERVER_TLS_NAMES)
        if development is not None and not is_loopback(settings.host):
            problems.append(
                f"{PREFIX}HOST: must be loopback in development, where the keys are on this machine"
            )
        if settings.max_connections is None and most_connections() < 1:
            problems.append(
                f"{PREFIX}MAX_CONNECTIONS: the limit of open files (ulimit -Hn) leaves room for none"
            )
    problems += unknown_names(os.environ, server_names(), own=(PREFIX,))
    if problems or settings is None:
        raise SettingsError(problems)
    return settings
