"""Tenants of different appetite, and tokens for their users."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

from app.authentication.roles import ROLES
from soak.plan import AUDIENCE, ISSUER

BIG: Final = "big"
MEDIUM: Final = ("medium-0", "medium-1", "medium-2")
SMALL: Final = tuple(f"small-{number:02}" for number in range(24))
#: Asks for more than it may, on purpose.
GREEDY: Final = "greedy"
#: Asks how the service is when something has failed.
PROBE: Final = "probe"
#: Of the callers, those of the big tenant, and of the medium ones.
_BIG_SHARE: Final = 0.5
_MEDIUM_SHARE: Final = 0.3


class Appetite:
    """Whom a caller calls for: one tenant, or each time another of the small ones."""

    def __init__(self, number: int, callers: int, chance: random.Random) -> None:
        """Choose for the caller with this number, of so many."""
        self._chance = chance
        place = (number + 0.5) / callers
        self._tenants: Sequence[str] = SMALL
        if place < _BIG_SHARE:
            self._tenants = (BIG,)
        elif place < _BIG_SHARE + _MEDIUM_SHARE:
            self._tenants = (MEDIUM[number % len(MEDIUM)],)

    def tenant(self) -> str:
        """The tenant of the next call."""
        return self._chance.choice(self._tenants)


class SigningKey:
    """The key that the soak signs its tokens with."""

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self._id = key.thumbprint()

    @classmethod
    def new(cls) -> SigningKey:
        """A key of its own."""
        return cls(ECKey.generate_key("P-256", private=True))

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """The key of a file."""
        return cls(ECKey.import_key(path.read_bytes()))

    def write(self, private: Path, public: Path) -> None:
        """Write the key, for its owner alone, and the key set that the service reads."""
        private.touch(mode=0o600)
        private.write_bytes(self._key.as_pem(private=True))
        shown = {**self._key.as_dict(private=False), "kid": self._id, "alg": "ES256", "use": "sig"}
        public.write_text(json.dumps({"keys": [shown]}), encoding="utf-8")

    def token(self, tenant: str | None, subject: str, *, lifetime: float, **other: Any) -> str:
        """A token with every role, unless ``other`` claims say otherwise; no tenant where it is None."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "roles": list(ROLES),
            "iat": int(now),
            "exp": now + lifetime,
        }
        if tenant is not None:
            claims["tenantId"] = tenant
        return jwt.encode({"alg": "ES256", "kid": self._id}, {**claims, **other}, self._key)


class Tokens:
    """Short-lived tokens, renewed before they expire."""

    def __init__(self, key: SigningKey, lifetime: float) -> None:
        self._key = key
        self._lifetime = lifetime
        self._kept: dict[tuple[str, str], tuple[float, str]] = {}

    def of(self, tenant: str, subject: str) -> str:
        """A token that is good for a while."""
        kept = self._kept.get((tenant, subject))
        if kept is None or kept[0] < time.monotonic():
            token = self._key.token(tenant, subject, lifetime=self._lifetime)
            kept = self._kept[tenant, subject] = (time.monotonic() + self._lifetime / 2, token)
        return kept[1]
