"""Conveniences of development mode: an issuer and a secret of its own, kept in the data folder."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from app.authentication.bearer import TrustedIssuer
from app.authentication.key_sources import FixedKeys
from app.authentication.public_keys import public_key
from core.issuers import Issuer
from core.private_files import PrivateFileError, kept
from sigil_native import HmacKey

ISSUER: Final = "sigil-development"
AUDIENCE: Final = "sigil"
TOKEN_DAYS: Final = 30


def event_secret(data_dir: Path) -> str:
    """The secret that seals in development; made when first asked for."""
    return _secret(data_dir, "event-secret")


def audit_secret(data_dir: Path) -> str:
    """The secret of the audit log in development; made when first asked for."""
    return _secret(data_dir, "audit-secret")


def _secret(data_dir: Path, name: str) -> str:
    path = data_dir / "development" / name
    content = kept(path, lambda: secrets.token_urlsafe(48).encode())
    try:
        secret = content.decode()
        HmacKey(secret)
    except ValueError:
        raise _damaged(path) from None
    return secret


class DevelopmentIssuer:
    """Signs tokens with a key of its own. Tokens stay valid across restarts, as the key is kept."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / "development" / "issuer-key.pem"
        try:
            self._key = ECKey.import_key(kept(path, _new_key))
        except (ValueError, JoseError):
            raise _damaged(path) from None
        if not self._key.is_private or self._key.curve_name != "P-256":
            raise _damaged(path)
        self._key_id = self._key.thumbprint()

    @property
    def trusted(self) -> TrustedIssuer:
        """What its tokens are checked with."""
        key = public_key(self._public)
        terms = Issuer(issuer=ISSUER, audience=(AUDIENCE,), algorithms=frozenset({"ES256"}))
        return TrustedIssuer(terms, FixedKeys([key]))

    @property
    def key_set(self) -> Mapping[str, Sequence[Mapping[str, object]]]:
        """Its public key, as key servers publish it (RFC 7517)."""
        return {"keys": [self._public]}

    @property
    def _public(self) -> dict[str, object]:
        return {**self._key.as_dict(private=False), "kid": self._key_id, "alg": "ES256"}

    def token(self, tenant: str, subject: str, roles: Iterable[str], *, lifetime: float) -> str:
        """A token of this issuer, valid for ``lifetime`` seconds."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "tenantId": tenant,
            "roles": list(roles),
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode({"alg": "ES256", "kid": self._key_id}, claims, self._key)


def _damaged(path: Path) -> PrivateFileError:
    return PrivateFileError(f"{path} is damaged; restore it, or delete it to have a new one made")


def _new_key() -> bytes:
    return ECKey.generate_key("P-256", private=True).as_pem(private=True)
