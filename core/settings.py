"""Settings from the environment, every mistake reported at once and no value ever shown."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

import sigil_native
from core.descriptors import most_connections
from core.dnastore.client_settings import DnaStoreSettings, dnastore_contradictions
from core.idempotency import KeyLimits
from core.issuers import (
    ALGORITHMS,
    LEEWAY,
    ROLE_CLAIMS,
    TENANT_CLAIMS,
    Algorithms,
    ClaimNames,
    Issuers,
    Leeway,
    Name,
    RemoteIssuer,
)
from core.metrics_settings import MetricsSettings
from core.rate_settings import RateSettings, rate_contradictions
from core.setting_types import (
    AUDIT_OFF,
    COMMA_SEPARATED,
    AbsoluteUrl,
    AuditPlace,
    CertificateBundle,
    ConnectionCount,
    Folder,
    KeyRingFile,
    StoreUrl,
    StrongSecret,
    StrongSecrets,
    is_loopback,
    is_protected,
    lines,
)
from core.settings_loading import READING, SettingsError, problems_of, unknown_names, values_from_files
from core.spool.spool_settings import SpoolSettings, spool_contradictions
from core.store.store_url import shown
from core.tls_settings import HSTS_SECONDS, TlsSettings, tls_contradictions
from sigil_native import KeyRing, SigilError

_OWN_PREFIXES: Final = ("SIGIL_", "JWT_", "DNASTORE_", "SPIRAL_EVENT_")
#: The library's and its build's, and the DNAStore server's.
_FOREIGN_PREFIXES: Final = ("SIGIL_NATIVE_", "SIGIL_BUILD_", "DNASTORE_SERVER_")
_JWT_NAMES: Final = ("JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URI")
#: Of the one issuer that these names describe.
_JWT_OPTIONS: Final = ("JWT_ALGORITHMS", "JWT_TENANT_CLAIMS", "JWT_ROLE_CLAIMS", "JWT_LEEWAY")
#: Those that may stand in a file.
_KEY_NAMES: Final = ("SPIRAL_EVENT_SECRET", "SPIRAL_EVENT_SECRET_PREVIOUS")
_FILE_NAMES: Final = (*_KEY_NAMES, "SIGIL_AUDIT_SECRET", "JWT_ISSUERS", "REDIS_URL", "SIGIL_STORE_URL")
#: Fields that are never shown, not even in a digest.
_SECRETS: Final = {"event_secret", "previous_secrets", "audit_secret", "redis_url", "store_url_setting"}


_KeySets = str | tuple[RemoteIssuer, ...] | None


class KeySettings(BaseSettings):
    """Where the keys come from: the settings that are read again while the service runs."""

    model_config = READING

    event_secret: StrongSecret | None = Field(default=None, validation_alias="SPIRAL_EVENT_SECRET")
    previous_secrets: StrongSecrets = Field(
        default=SecretStr(""), validation_alias="SPIRAL_EVENT_SECRET_PREVIOUS"
    )
    key_ring: KeyRingFile | None = Field(default=None, validation_alias="SIGIL_KEYRING")

    @property
    def secrets_to_verify_with(self) -> list[str]:
        """The secrets of earlier rotations."""
        return lines(self.previous_secrets)


class Settings(KeySettings, TlsSettings, RateSettings, MetricsSettings, DnaStoreSettings, SpoolSettings):
    """What the service runs with. Make it with ``load_settings``."""

    environment: Literal["development", "production"] = Field(
        default="production", validation_alias="SIGIL_ENVIRONMENT"
    )
    jwt_issuer: Name | None = Field(default=None, validation_alias="JWT_ISSUER")
    jwt_audience: Name | None = Field(default=None, validation_alias="JWT_AUDIENCE")
    jwt_jwks_uri: AbsoluteUrl | None = Field(default=None, validation_alias="JWT_JWKS_URI")
    jwt_algorithms: Annotated[Algorithms, *COMMA_SEPARATED] = Field(
        default=ALGORITHMS, validation_alias="JWT_ALGORITHMS"
    )
    jwt_tenant_claims: Annotated[ClaimNames, *COMMA_SEPARATED] = Field(
        default=TENANT_CLAIMS, validation_alias="JWT_TENANT_CLAIMS"
    )
    jwt_role_claims: Annotated[ClaimNames, *COMMA_SEPARATED] = Field(
        default=ROLE_CLAIMS, validation_alias="JWT_ROLE_CLAIMS"
    )
    jwt_leeway: Leeway = Field(default=LEEWAY, validation_alias="JWT_LEEWAY")
    jwt_issuers: Annotated[Issuers, NoDecode] = Field(default=(), validation_alias="JWT_ISSUERS")
    jwt_ca_cert: CertificateBundle | None = Field(default=None, validation_alias="JWT_CA_CERT")
    jwks_refresh: int = Field(default=300, ge=1, le=3600, validation_alias="JWT_JWKS_REFRESH")
    jwks_cooldown: int = Field(default=10, ge=1, le=3600, validation_alias="JWT_JWKS_COOLDOWN")
    jwks_max_stale: int = Field(default=86400, ge=1, le=30 * 86400, validation_alias="JWT_JWKS_MAX_STALE")
    data_dir: Folder = Field(default=Path("data"), validation_alias="SIGIL_DATA_DIR")
    store_url_setting: StoreUrl | None = Field(default=None, validation_alias="SIGIL_STORE_URL")
    retention_days: int = Field(default=0, ge=0, le=36_500, validation_alias="SIGIL_RETENTION_DAYS")
    host: str = Field(default="127.0.0.1", validation_alias="SIGIL_HOST")
    port: int = Field(default=8080, ge=0, le=65535, validation_alias="SIGIL_PORT")
    max_body_bytes: int = Field(
        default=1 << 20, ge=1 << 10, le=64 << 20, validation_alias="SIGIL_MAX_BODY_BYTES"
    )
    body_timeout: int = Field(default=30, ge=1, le=3600, validation_alias="SIGIL_BODY_TIMEOUT")
    head_timeout: int = Field(default=15, ge=1, le=3600, validation_alias="SIGIL_HEAD_TIMEOUT")
    write_timeout: int = Field(default=30, ge=1, le=3600, validation_alias="SIGIL_WRITE_TIMEOUT")
    request_timeout: int = Field(default=60, ge=1, le=3600, validation_alias="SIGIL_REQUEST_TIMEOUT")
    keep_alive: int = Field(default=75, ge=1, le=3600, validation_alias="SIGIL_KEEP_ALIVE")
    max_requests: int = Field(default=512, ge=1, le=1 << 16, validation_alias="SIGIL_MAX_REQUESTS")
    max_connections: ConnectionCount | None = Field(
        default=None, ge=1, validation_alias="SIGIL_MAX_CONNECTIONS"
    )
    idempotency_seconds: int = Field(
        default=KeyLimits().seconds, ge=1, le=2_678_400, validation_alias="SIGIL_IDEMPOTENCY_SECONDS"
    )
    idempotency_keys: int = Field(
        default=KeyLimits().per_tenant, ge=1000, le=100_000_000, validation_alias="SIGIL_IDEMPOTENCY_KEYS"
    )
    revocation_unknown: Literal["invalid", "accept"] = Field(
        default="invalid", validation_alias="SIGIL_REVOCATION_UNKNOWN"
    )
    tracing: Literal["off", "otlp"] = Field(default="off", validation_alias="SIGIL_TRACING")
    history: Literal["on", "off"] = Field(default="off", validation_alias="SIGIL_HISTORY")
    workers: int = Field(default=1, ge=1, le=64, validation_alias="SIGIL_WORKERS")
    shutdown_seconds: int = Field(default=20, ge=1, le=600, validation_alias="SIGIL_SHUTDOWN_SECONDS")
    audit: AuditPlace | None = Field(default=None, validation_alias="SIGIL_AUDIT")
    audit_secret: StrongSecret | None = Field(default=None, validation_alias="SIGIL_AUDIT_SECRET")
    audit_failure: Literal["closed", "open"] = Field(default="closed", validation_alias="SIGIL_AUDIT_FAILURE")
    reload_seconds: float = Field(
        default=2, ge=0, le=3600, allow_inf_nan=False, validation_alias="SIGIL_RELOAD_SECONDS"
    )

    @field_validator("jwt_jwks_uri", "jwt_issuers")
    @classmethod
    def _come_unchanged(cls, given: _KeySets, info: ValidationInfo) -> _KeySets:
        """Keys may come from where nobody can change them on the way."""
        development = info.data.get("environment") == "development"
        uris = [given] if isinstance(given, str) else [issuer.jwks_uri for issuer in given or ()]
        if not all(is_protected(uri, development=development) for uri in uris):
            raise ValueError("a key set must come over https (http only in development, on loopback)")
        return given

    @field_validator("jwks_max_stale")
    @classmethod
    def _outlasts_the_next_fetch(cls, seconds: int, info: ValidationInfo) -> int:
        if seconds <= max(info.data.get("jwks_refresh", 0), info.data.get("jwks_cooldown", 0)):
            raise ValueError("must be more than JWT_JWKS_REFRESH and JWT_JWKS_COOLDOWN")
        return seconds

    @property
    def is_development(self) -> bool:
        """Whether the conveniences that are unsafe elsewhere are on."""
        return self.environment == "development"

    @property
    def needs_development_secret(self) -> bool:
        """Whether a secret must be made up, which only development mode does."""
        return self.is_development and self.event_secret is None and self.key_ring is None

    @property
    def store_url(self) -> str:
        """Where records are kept, with its password; by default a file of the data folder."""
        if self.store_url_setting is None:
            return f"sqlite:///{self.data_dir / 'sigils.db'}"
        return self.store_url_setting.get_secret_value()

    @property
    def records_place(self) -> str:
        """The DNAStore's URL, or the database's; shows no password."""
        return self.dnastore_url or shown(self.store_url)

    @property
    def issuers(self) -> tuple[RemoteIssuer, ...]:
        """Whose tokens are believed; none in development without one."""
        if not (self.jwt_issuer and self.jwt_audience and self.jwt_jwks_uri):
            return self.jwt_issuers
        return (
            RemoteIssuer(
                issuer=self.jwt_issuer,
                audience=(self.jwt_audience,),
                jwks_uri=self.jwt_jwks_uri,
                algorithms=self.jwt_algorithms,
                tenant_claims=self.jwt_tenant_claims,
                role_claims=self.jwt_role_claims,
                leeway=self.jwt_leeway,
            ),
        )

    @property
    def hsts_seconds(self) -> int | None:
        """How long browsers are told to insist on https; None: they are told nothing.

        Not in development unless it is asked for: a browser would insist for every service on
        this machine.
        """
        if self.tls is None or (self.is_development and self.hsts_setting is None):
            return None
        return HSTS_SECONDS if self.hsts_setting is None else self.hsts_setting

    @property
    def audit_file(self) -> Path | None:
        """Where the audit log is, by default a file of the data folder; None where it is switched off."""
        if self.audit == AUDIT_OFF:
            return None
        return Path(self.audit) if self.audit else self.data_dir / "audit.jsonl"

    def digest(self) -> str:
        """SHA-256 of all settings that are no secrets: another digest, other settings."""
        public = self.model_dump(exclude=_SECRETS)
        public["store_url"] = shown(self.store_url)
        # Sets have another order in each process.
        text = msgspec.json.encode(public, order="deterministic", enc_hook=str)
        return hashlib.sha256(text).hexdigest()


def names() -> list[str]:
    """The environment variables that the service knows."""
    known = [str(field.validation_alias) for field in Settings.model_fields.values()]
    return [*known, *(f"{name}_FILE" for name in _FILE_NAMES)]


def load_settings(environment: str | None = None) -> Settings:
    """Read the settings from the process's environment.

    Args:
        environment: takes the place of SIGIL_ENVIRONMENT.

    Raises:
        SettingsError: with every mistake that was found.
    """
    values, problems = values_from_files(os.environ, _FILE_NAMES)
    if environment is not None:
        values["SIGIL_ENVIRONMENT"] = environment
    settings = None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems += problems_of(error)
    given = {name: value for name, value in {**os.environ, **values}.items() if value}
    problems += _contradictions(given)
    problems += _jwt_contradictions(given)
    problems += rate_contradictions(given)
    if settings is not None:
        problems += _shared_secrets(settings)
    # A file's own mistakes have been found twice then: by its field, and on the way to what fits together.
    problems += [problem for problem in tls_contradictions(given) if problem not in problems]
    dnastore = dnastore_contradictions(given, development=_is_development(given))
    dnastore += spool_contradictions(given)
    problems += [problem for problem in dnastore if problem not in problems]
    problems += unknown_names(os.environ, names(), own=_OWN_PREFIXES, foreign=_FOREIGN_PREFIXES)
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def load_key_settings() -> KeySettings:
    """Read the settings of the keys again, and the files that they name, as strictly as at the start.

    Raises:
        SettingsError: with every mistake that was found in them.
    """
    values, problems = values_from_files(os.environ, _KEY_NAMES)
    try:
        settings = KeySettings(**values)
    except ValidationError as error:
        problems += problems_of(error)
    if problems:
        raise SettingsError(problems)
    return settings


def key_files() -> list[Path]:
    """The files that the environment names as the keys' places."""
    named = (os.environ.get(name) for name in ("SIGIL_KEYRING", *(f"{name}_FILE" for name in _KEY_NAMES)))
    return [Path(path) for path in named if path]


def _contradictions(given: Mapping[str, str]) -> list[str]:
    """Mistakes that only several variables together make, found in their raw text."""
    problems = []
    development = _is_development(given)
    has_secret = "SPIRAL_EVENT_SECRET" in given or "SPIRAL_EVENT_SECRET_FILE" in given
    if has_secret and "SIGIL_KEYRING" in given:
        problems.append("SIGIL_KEYRING: SPIRAL_EVENT_SECRET is set too; set one of them")
    if "SIGIL_KEYRING" in given and "SPIRAL_EVENT_SECRET_PREVIOUS" in given:
        problems.append("SPIRAL_EVENT_SECRET_PREVIOUS: the key ring file holds earlier keys; unset this")
    if not development:
        if not has_secret and "SIGIL_KEYRING" not in given:
            problems.append("SPIRAL_EVENT_SECRET: required (or SPIRAL_EVENT_SECRET_FILE, or SIGIL_KEYRING)")
        has_audit_secret = "SIGIL_AUDIT_SECRET" in given or "SIGIL_AUDIT_SECRET_FILE" in given
        if not has_audit_secret and given.get("SIGIL_AUDIT") != AUDIT_OFF:
            problems.append("SIGIL_AUDIT_SECRET: required (or SIGIL_AUDIT_SECRET_FILE, or SIGIL_AUDIT=off)")
        if sigil_native.backend != "native":
            problems.append("SIGIL_NATIVE_PURE: the pure backend is not for production; unset this")
    if development and not is_loopback(given.get("SIGIL_HOST", "127.0.0.1")):
        problems.append("SIGIL_HOST: must be loopback in development, where everybody gets a token")
    if "SIGIL_MAX_CONNECTIONS" not in given and most_connections() < 1:
        problems.append("SIGIL_MAX_CONNECTIONS: the limit of open files (ulimit -Hn) leaves room for none")
    return problems


def _shared_secrets(settings: Settings) -> list[str]:
    """Who checks the audit log must not be able to make sigils, nor the other way round."""
    if settings.audit_secret is None:
        return []
    # Equal secrets have equal key ids.
    audit_key = KeyRing().add(settings.audit_secret.get_secret_value())
    sealing_keys: set[int] = set()
    if settings.key_ring is not None:
        # Changed since it was checked: whoever uses it will say so.
        with contextlib.suppress(OSError, SigilError):
            keys = KeyRing.load(settings.key_ring).keys()
            sealing_keys.update(key.key_id for key in keys)
    if settings.event_secret is not None:
        sealing_keys.add(KeyRing().add(settings.event_secret.get_secret_value()))
    sealing_keys.update(KeyRing().add(secret) for secret in settings.secrets_to_verify_with)
    return ["SIGIL_AUDIT_SECRET: must not be a secret that seals"] if audit_key in sealing_keys else []


def _jwt_contradictions(given: Mapping[str, str]) -> list[str]:
    if "JWT_ISSUERS" in given or "JWT_ISSUERS_FILE" in given:
        excluded = [name for name in (*_JWT_NAMES, *_JWT_OPTIONS) if name in given]
        return [f"{name}: JWT_ISSUERS is set too, and says this for each issuer" for name in excluded]
    missing = [name for name in _JWT_NAMES if name not in given]
    if not _is_development(given):
        return [f"{name}: required outside development (or JWT_ISSUERS)" for name in missing]
    if any(name in given for name in (*_JWT_NAMES, *_JWT_OPTIONS)):
        return [f"{name}: required when another JWT_ setting is given" for name in missing]
    return []


def _is_development(given: Mapping[str, str]) -> bool:
    return given.get("SIGIL_ENVIRONMENT") == "development"
