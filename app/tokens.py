"""Bearer tokens: who calls, for which tenant, with which roles."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from starlette.types import Scope

from app.http import Context
from app.jwks import ALGORITHMS, KeySource
from app.problems import ProblemError
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

_UNAUTHENTICATED: Final = ((b"www-authenticate", b'Bearer realm="sigil"'),)
_INVALID_TOKEN: Final = ((b"www-authenticate", b'Bearer realm="sigil", error="invalid_token"'),)


class Principal(msgspec.Struct, frozen=True):
    """A verified caller.

    Attributes:
        expires_at: seconds since the Unix epoch.
        generation: of the keys that the token was verified with.
    """

    tenant: str
    subject: str
    roles: frozenset[str]
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
    """The token proves nothing. The text is for logs: a caller learns only that it was refused."""


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

    async def require(self, scope: Scope, role: str) -> Principal:
        """The caller, who has the role.

        Raises:
            ProblemError: 401 without a valid token, 403 without tenant or role.
            KeysUnavailableError: nobody can tell now.
        """
        header = Context.of(scope).authorization
        principal = await self._remembered(header) or await self._authenticate(header)
        if role not in principal.roles:
            challenge = f'Bearer realm="sigil", error="insufficient_scope", scope="{role}"'.encode()
            headers = ((b"www-authenticate", challenge),)
            raise ProblemError("forbidden", f"the role {role} is missing", headers=headers)
        return principal

    async def check(self) -> None:
        """Raise KeysUnavailableError unless tokens can be verified."""
        await self._keys.check()

    async def close(self) -> None:
        """Give up the key source's connections."""
        await self._keys.close()

    async def _remembered(self, header: list[bytes]) -> Principal | None:
        principal = self._known.get(header[0]) if len(header) == 1 else None
        if principal is None:
            return None
        await self._keys.check()
        holds = principal.generation == self._keys.generation and self._clock() < principal.expires_at
        return principal if holds else None

    async def _authenticate(self, header: list[bytes]) -> Principal:
        if not header:
            raise ProblemError("unauthenticated", "no bearer token", headers=_UNAUTHENTICATED)
        try:
            if len(header) > 1:
                raise TokenRefusedError("several Authorization headers")
            claims, generation = await self._verified_claims(_bearer_token(header[0]))
        except TokenRefusedError:
            detail = "the bearer token is not valid"
            raise ProblemError("unauthenticated", detail, headers=_INVALID_TOKEN) from None
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
            raise TokenRefusedError("no key fits")
        try:
            verified = jws.deserialize_compact(token, key.key, algorithms=[header["alg"]])
            # Refuses what JSON readers disagree about, duplicate claims above all.
            claims = _claims_decoder.decode(canonicalize_json(verified.payload))
        except (JoseError, CanonicalizationError, msgspec.MsgspecError, ValueError) as error:
            raise TokenRefusedError(f"{type(error).__name__}: {error}") from None
        self._judge(claims)
        return claims, generation

    def _judge(self, claims: _Claims) -> None:
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != self._issuer or self._audience not in audiences:
            raise TokenRefusedError("another issuer or audience")
        if claims.exp <= now:
            raise TokenRefusedError("expired")
        if max(claims.nbf, claims.iat) > now + _FUTURE_SKEW:
            raise TokenRefusedError("not valid yet")
        if len(claims.sub) > LONGEST_SUBJECT:
            raise TokenRefusedError("the subject is too long")


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
        raise TokenRefusedError("not a bearer token")
    if len(header) > _LONGEST_HEADER or token.count(b".") != 2:
        raise TokenRefusedError("not a signed token")
    return token


def _header(token: bytes) -> dict[str, Any]:
    text = token.partition(b".")[0]
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        header = _header_decoder.decode(canonicalize_json(raw))
    except (binascii.Error, CanonicalizationError, msgspec.MsgspecError) as error:
        raise TokenRefusedError(f"header: {error}") from None
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise TokenRefusedError("the algorithm is not allowed")
    if not isinstance(header.get("kid"), str | None) or not _REFUSED_MEMBERS.isdisjoint(header):
        raise TokenRefusedError("a header member is not allowed")
    kind = header.get("typ")
    if not isinstance(kind, str | None) or kind not in _TYPES:
        raise TokenRefusedError("another type of token")
    return header


def _tenant(claims: _Claims) -> str:
    named = {claims.tenant_camel, claims.tenant_snake} - {None}
    tenant = named.pop() if len(named) == 1 else None
    if tenant is None or not is_tenant(tenant):
        raise ProblemError("forbidden", "the token names no tenant")
    return tenant


def _roles(claims: _Claims) -> frozenset[str]:
    return frozenset(claims.roles) | frozenset(claims.scope.split())
