"""Bearer tokens: who calls, for which tenant, with which roles."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from app.authentication.key_sources import KeySource
from app.authentication.public_keys import ALGORITHMS
from app.http.context import Caller
from sigil_native import CanonicalizationError, canonicalize_json

#: Of the Authorization header. Headers are remembered whole.
_LONGEST_HEADER: Final = 8192
#: How far the clock of an issuer may be ahead of ours, in seconds.
_FUTURE_SKEW: Final = 60
_MOST_CACHED: Final = 4096
_LARGEST_TENANT: Final = 128
LONGEST_SUBJECT: Final = 255
_TYPES: Final = frozenset({None, "JWT", "jwt", "at+jwt", "application/at+jwt"})
#: Members that let a token bring its own key, or demand what we do not know (RFC 8725 §3.10).
_REFUSED_MEMBERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})


class Principal(Caller, frozen=True):
    """A caller, and how long its token may be believed.

    Attributes:
        expires_at: seconds since the Unix epoch.
        generation: of the keys that the token was verified with.
    """

    expires_at: float
    generation: int


class _Claims(msgspec.Struct):
    iss: str
    aud: str | list[str]
    exp: float
    nbf: float = 0.0
    iat: float = 0.0
    sub: str = ""
    tenant_camel: str | None = msgspec.field(default=None, name="tenantId")
    tenant_snake: str | None = msgspec.field(default=None, name="tenant_id")
    roles: list[str] = []
    scope: str = ""


_claims_decoder: Final = msgspec.json.Decoder(_Claims)
_header_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class TokenRefusedError(Exception):
    """The token proves nothing. Both texts are for the operator: a caller learns only that it was refused.

    Attributes:
        reason: short and stable: ``missing``, ``malformed``, ``algorithm``, ``header``, ``unknown_key``,
            ``signature``, ``claims``, ``issuer``, ``expired``, ``not_yet_valid``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TenantMissingError(Exception):
    """A good token whose claims name no tenant."""


class Authenticator:
    """Turns the Authorization header into a Principal.

    Verified tokens are remembered by the header's bytes, a bounded number of them; each use checks
    the expiry again, and that no key has changed since. It also keeps the keys fresh: a service whose
    callers bring no new tokens must hear of a key that was withdrawn all the same.
    """

    def __init__(
        self, keys: KeySource, *, issuer: str, audience: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._known: dict[bytes, Principal] = {}

    async def authenticate(self, header: Sequence[bytes]) -> Principal:
        """The caller that the Authorization headers of a request prove.

        Raises:
            TokenRefusedError: they prove nothing.
            TenantMissingError: the token is good, but names no tenant.
            KeysUnavailableError: nobody can tell now.
        """
        return await self._remembered(header) or await self._authenticate(header)

    async def check(self) -> None:
        """Raise KeysUnavailableError unless tokens can be verified."""
        await self._keys.check()

    async def close(self) -> None:
        """Give up the key source's connections."""
        await self._keys.close()

    async def _remembered(self, header: Sequence[bytes]) -> Principal | None:
        principal = self._known.get(header[0]) if len(header) == 1 else None
        if principal is None:
            return None
        await self._keys.check()
        holds = principal.generation == self._keys.generation and self._clock() < principal.expires_at
        return principal if holds else None

    async def _authenticate(self, header: Sequence[bytes]) -> Principal:
        if not header:
            raise TokenRefusedError("missing", "no bearer token")
        if len(header) > 1:
            raise TokenRefusedError("malformed", "several Authorization headers")
        claims, generation = await self._verified_claims(_bearer_token(header[0]))
        principal = Principal(_tenant(claims), claims.sub, _roles(claims), claims.exp, generation)
        if len(self._known) >= _MOST_CACHED:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[header[0]] = principal
        return principal

    async def _verified_claims(self, token: bytes) -> tuple[_Claims, int]:
        header = _header(token)
        key = await self._keys.find(header.get("kid"), header["alg"])
        generation = self._keys.generation
        if key is None:
            raise TokenRefusedError("unknown_key", "no key fits")
        try:
            verified = jws.deserialize_compact(token, key.key, algorithms=[header["alg"]])
            # Refuses what JSON readers disagree about, duplicate claims above all.
            claims = _claims_decoder.decode(canonicalize_json(verified.payload))
        except (JoseError, CanonicalizationError, msgspec.MsgspecError, ValueError) as error:
            raise TokenRefusedError("signature", f"{type(error).__name__}: {error}") from None
        self._judge(claims)
        return claims, generation

    def _judge(self, claims: _Claims) -> None:
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != self._issuer or self._audience not in audiences:
            raise TokenRefusedError("issuer", "another issuer or audience")
        if claims.exp <= now:
            raise TokenRefusedError("expired", "expired")
        if max(claims.nbf, claims.iat) > now + _FUTURE_SKEW:
            raise TokenRefusedError("not_yet_valid", "not valid yet")
        if len(claims.sub) > LONGEST_SUBJECT:
            raise TokenRefusedError("claims", "the subject is too long")


def is_tenant(name: str) -> bool:
    """Whether records can be a tenant's of this name: 1 to 128 bytes of UTF-8, without NUL."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _LARGEST_TENANT and "\0" not in name


def _bearer_token(header: bytes) -> bytes:
    scheme, _, token = header.partition(b" ")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer":
        raise TokenRefusedError("malformed", "not a bearer token")
    if len(header) > _LONGEST_HEADER or token.count(b".") != 2:
        raise TokenRefusedError("malformed", "not a signed token")
    return token


def _header(token: bytes) -> dict[str, Any]:
    text = token.partition(b".")[0]
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        header = _header_decoder.decode(canonicalize_json(raw))
    except (binascii.Error, CanonicalizationError, msgspec.MsgspecError) as error:
        raise TokenRefusedError("header", f"header: {error}") from None
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise TokenRefusedError("algorithm", "the algorithm is not allowed")
    if not isinstance(header.get("kid"), str | None) or not _REFUSED_MEMBERS.isdisjoint(header):
        raise TokenRefusedError("header", "a header member is not allowed")
    kind = header.get("typ")
    if not isinstance(kind, str | None) or kind not in _TYPES:
        raise TokenRefusedError("header", "another type of token")
    return header


def _tenant(claims: _Claims) -> str:
    named = {claims.tenant_camel, claims.tenant_snake} - {None}
    tenant = named.pop() if len(named) == 1 else None
    if tenant is None or not is_tenant(tenant):
        raise TenantMissingError("the token names no tenant")
    return tenant


def _roles(claims: _Claims) -> frozenset[str]:
    return frozenset(claims.roles) | frozenset(claims.scope.split())
