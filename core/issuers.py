"""Whose tokens are believed, and what is believed of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from core.setting_types import AbsoluteUrl
from core.tenants import is_tenant
from sigil_native import CanonicalizationError, canonicalize_json

#: Asymmetric ones only (RFC 8725 §3.1).
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]
ALGORITHMS: Final[frozenset[Algorithm]] = frozenset(get_args(Algorithm))

#: RFC 6901: "~" only begins the two escapes.
_POINTER: Final = re.compile(r"(/([^~/]|~[01])*)+")


def _claim_name(name: str) -> str:
    if name.startswith("/") and not _POINTER.fullmatch(name):
        raise ValueError("a name that begins with / must be a JSON Pointer")
    return name


def _tenant(name: str) -> str:
    if not is_tenant(name):
        raise ValueError("a tenant has 1 to 128 bytes of UTF-8, without NUL")
    return name


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("names nothing")
    if len(set(names)) != len(names):
        raise ValueError("a name is there twice")
    return names


def _not_empty(values: frozenset[str]) -> frozenset[str]:
    if not values:
        raise ValueError("names nothing")
    return values


Name = Annotated[str, Field(min_length=1, max_length=1024)]
ClaimName = Annotated[Name, AfterValidator(_claim_name)]
ClaimNames = Annotated[tuple[ClaimName, ...], AfterValidator(_some_names)]
Tenant = Annotated[str, AfterValidator(_tenant)]
Algorithms = Annotated[frozenset[Algorithm], AfterValidator(_not_empty)]
#: Seconds; more would be a clock that nobody sets.
Leeway = Annotated[int, Field(ge=0, le=300)]

TENANT_CLAIMS: Final = ("tenantId", "tenant_id")
ROLE_CLAIMS: Final = ("roles", "scope")
LEEWAY: Final = 60


class Issuer(BaseModel):
    """What tokens of an issuer must be, and where they say what.

    Attributes:
        issuer: its name, the claim ``iss``.
        audience: the names that the service has at this issuer; a token's ``aud`` holds one of them.
        algorithms: that its tokens may be signed with.
        tenants: that it may speak for; None for all.
        tenant_claims: that may name the tenant. Names that begin with ``/`` are JSON Pointers.
        role_claims: that may hold roles, likewise.
        leeway: how many seconds its clock may be ahead of ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: Name
    audience: Annotated[tuple[Name, ...], BeforeValidator(_one_or_more), AfterValidator(_some_names)]
    algorithms: Algorithms = ALGORITHMS
    tenants: Annotated[frozenset[Tenant], AfterValidator(_not_empty)] | None = None
    tenant_claims: ClaimNames = TENANT_CLAIMS
    role_claims: ClaimNames = ROLE_CLAIMS
    leeway: Annotated[Leeway, Strict()] = LEEWAY


class RemoteIssuer(Issuer):
    """An issuer that publishes its keys.

    Attributes:
        jwks_uri: where its key set is.
    """

    jwks_uri: AbsoluteUrl


def _read(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        # Refuses duplicate members, of which JSON readers would take one or the other.
        issuers = msgspec.json.decode(canonicalize_json(text))
    except CanonicalizationError as error:
        raise ValueError(f"not JSON that can be used: {error.problem}") from None
    if not isinstance(issuers, list) or not all(isinstance(issuer, dict) for issuer in issuers):
        raise ValueError("must be a JSON array of objects")
    if not issuers:
        raise ValueError("the list is empty")
    return issuers


def _distinct(issuers: tuple[RemoteIssuer, ...]) -> tuple[RemoteIssuer, ...]:
    if len({issuer.issuer for issuer in issuers}) != len(issuers):
        raise ValueError("an issuer is there twice")
    return issuers


#: As a setting: the text of a JSON array.
Issuers = Annotated[
    tuple[RemoteIssuer, ...],
    BeforeValidator(_read),
    AfterValidator(_distinct),
]
