"""Makes tokens of all kinds, good ones and others, with keys that a test service knows."""

from __future__ import annotations

import base64
import json
import time
import warnings
from functools import cached_property
from typing import Any

from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from app.authentication.roles import ROLES
from core.issuers import Issuer

ISSUER = "https://issuer.example"
AUDIENCE = "seals"
OTHER_ISSUER = "https://other.example"
ISSUERS = (
    Issuer(issuer=ISSUER, audience=(AUDIENCE,)),
    Issuer(issuer=OTHER_ISSUER, audience=("theirs",), algorithms=frozenset({"ES256"})),
)


def segment(value: object) -> str:
    """A part of a compact token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that the service accepts, with changes; None takes a claim away."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "s",
        "tenantId": "acme",
        "roles": list(ROLES),
        "exp": int(time.time()) + 600,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def public(key: Key, **members: Any) -> dict[str, Any]:
    """The public half as a member of a key set."""
    return {**key.as_dict(private=False), **members}


class Forge:
    """The keys of two issuers, and keys of nobody."""

    def __init__(self) -> None:
        self.ec = ECKey.generate_key("P-256")
        self.ec384 = ECKey.generate_key("P-384")
        self.ec521 = ECKey.generate_key("P-521")
        self.ed = OKPKey.generate_key("Ed25519")
        self.rsa = RSAKey.generate_key(2048)
        self.encrypting = ECKey.generate_key("P-256")
        self.signing_only = ECKey.generate_key("P-256")
        self.bitcoin = ECKey.generate_key("secp256k1")
        self.twins = (ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
        self.stranger = ECKey.generate_key("P-256")
        self.other_issuers = ECKey.generate_key("P-256")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            self.small_rsa = RSAKey.generate_key(1024)
            self.key_set = self._key_set()

    def _key_set(self) -> list[dict[str, Any]]:
        return [
            public(self.ec, kid="ec", alg="ES256", use="sig"),
            public(self.ec384, kid="ec384"),
            public(self.ec521, kid="ec521"),
            public(self.ed, kid="ed"),
            public(self.rsa, kid="rsa", key_ops=["verify"]),
            public(self.rsa, kid="rsa-pss", alg="PS256"),
            public(self.small_rsa, kid="small"),
            public(self.encrypting, kid="encrypting", use="enc"),
            public(self.signing_only, kid="signing-only", key_ops=["sign"]),
            public(self.bitcoin, kid="bitcoin"),
            *(public(twin, kid="twin") for twin in self.twins),
        ]

    @cached_property
    def other_key_set(self) -> list[dict[str, Any]]:
        """The keys of the other issuer, one of which has the name of one of ours."""
        return [public(self.other_issuers, kid="ec"), public(self.other_issuers, kid="theirs")]

    def sign(self, header: object, payload: object, key: Key | None = None, algorithm: str = "ES256") -> str:
        """A token with such a signature, whatever the header says."""
        text = f"{segment(header)}.{segment(payload)}"
        return f"{text}.{segment(self.signature(text, key, algorithm))}"

    def signature(self, text: str, key: Key | None = None, algorithm: str = "ES256") -> bytes:
        """The signature of a text."""
        return JWSRegistry.algorithms[algorithm].sign(text.encode(), key or self.ec)

    def good(self, **changes: Any) -> str:
        """A properly signed token, whose claims may have changes."""
        return self.sign({"alg": "ES256", "kid": "ec", "typ": "JWT"}, claims(**changes))

    def with_header(self, **changes: Any) -> str:
        """A token whose header has changes; None takes a member away."""
        header = {"alg": "ES256", "kid": "ec", "typ": "JWT", **changes}
        return self.sign({name: value for name, value in header.items() if value is not None}, claims())

    def by(self, key: Key, key_id: str, algorithm: str, **changes: Any) -> str:
        """A token that is properly signed with a key of the set."""
        return self.sign({"alg": algorithm, "kid": key_id}, claims(**changes), key, algorithm)
