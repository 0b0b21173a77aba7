"""What verified claims say: who calls, for which tenant, with which roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from app.authentication.refusals import TenantMissingError, TokenRefusedError
from app.authentication.roles import ROLES
from core.issuers import Issuer
from core.tenants import is_tenant

LONGEST_SUBJECT: Final = 255
#: The year 10000. Beyond it, an issuer has taken milliseconds for seconds.
_END_OF_TIME: Final = 253_402_300_800
#: Claims whose text is a list of words (RFC 8693 §4.2, and what some providers call it).
_WORD_LISTS: Final = frozenset({"scope", "scp"})
_KNOWN_ROLES: Final = frozenset(ROLES)


class RegisteredClaims(msgspec.Struct, frozen=True):
    """The claims that RFC 7519 defines, of the types that it gives them."""

    iss: str
    aud: str | list[str]
    exp: float
    nbf: float = 0.0
    iat: float = 0.0
    sub: str = ""


def registered_claims(claims: Mapping[str, Any]) -> RegisteredClaims:
    """The claims that RFC 7519 defines.

    Raises:
        TokenRefusedError: one is missing, of another type, or cannot be meant.
    """
    try:
        registered = msgspec.convert(claims, RegisteredClaims)
    except msgspec.ValidationError as error:
        raise TokenRefusedError("claims", f"claims: {error}") from None
    if len(registered.sub) > LONGEST_SUBJECT or "\0" in registered.sub:
        raise TokenRefusedError("claims", "the subject is too long, or holds NUL")
    if not registered.exp < _END_OF_TIME:
        raise TokenRefusedError("claims", "the expiry is absurdly far away")
    return registered


def judge(claims: RegisteredClaims, issuer: Issuer, now: float) -> None:
    """Refuse a token that is not for us, or not for now.

    The leeway is for issuers whose clocks are ahead. Nothing is believed for longer than it says.

    Raises:
        TokenRefusedError: another audience, expired, or not valid yet.
    """
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if not any(audience in issuer.audience for audience in audiences):
        raise TokenRefusedError("audience", "another audience")
    if claims.exp <= now:
        raise TokenRefusedError("expired", "expired")
    if max(claims.nbf, claims.iat) > now + issuer.leeway:
        raise TokenRefusedError("not_yet_valid", "not valid yet")


def tenant_of(claims: Mapping[str, Any], subject: str, issuer: Issuer) -> str:
    """The one tenant that the claims name.

    Raises:
        TokenRefusedError: a claim that names the tenant is no string.
        TenantMissingError: none is named, several are, or one that must not be.
    """
    missing = partial(TenantMissingError, issuer=issuer.issuer, subject=subject)
    named = set()
    for name, value in _values(claims, issuer.tenant_claims):
        if not isinstance(value, str):
            raise TokenRefusedError("claims", f"the claim {name} is no string")
        named.add(value)
    if not named:
        raise missing("tenant_missing", "the token names no tenant")
    if len(named) > 1:
        raise missing("tenant_ambiguous", "the token names several tenants")
    tenant = named.pop()
    if not is_tenant(tenant):
        raise missing("tenant_invalid", "the token's tenant cannot be one")
    if issuer.tenants is not None and tenant not in issuer.tenants:
        raise missing("tenant_foreign", "the token's issuer may not speak for its tenant")
    return tenant


def roles_of(claims: Mapping[str, Any], issuer: Issuer) -> frozenset[str]:
    """The roles that the claims give. Names that the service does not know give nothing.

    Raises:
        TokenRefusedError: a claim with roles is no list of strings, nor, where words stand, a string.
    """
    given: set[str] = set()
    for name, value in _values(claims, issuer.role_claims):
        if isinstance(value, str) and name.rpartition("/")[2] in _WORD_LISTS:
            given.update(value.split(" "))  # RFC 6749 §3.3: no other white space separates
        elif isinstance(value, list) and all(isinstance(role, str) for role in value):
            given.update(value)
        else:
            raise TokenRefusedError("claims", f"the claim {name} is no list of roles")
    return _KNOWN_ROLES & given


def _values(claims: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The claims of these names that are there. Null says what absence says."""
    for name in names:
        value = _at_pointer(claims, name) if name.startswith("/") else claims.get(name)
        if value is not None:
            yield name, value


def _at_pointer(claims: Mapping[str, Any], pointer: str) -> Any:
    """The value at a JSON Pointer (RFC 6901) that leads through objects."""
    value: Any = claims
    for token in pointer.split("/")[1:]:
        if not isinstance(value, dict):
            return None
        value = value.get(token.replace("~1", "/").replace("~0", "~"))
    return value
