"""Bearer tokens taken apart, strictly, before anything in them is believed (RFC 7515, RFC 8725)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from joserfc.util import urlsafe_b64decode

from app.authentication.public_keys import LONGEST_KEY_ID
from app.authentication.refusals import RefusalReason, TokenRefusedError
from core.issuers import ALGORITHMS
from sigil_native import CanonicalizationError, canonicalize_json

#: Of the Authorization header.
_LONGEST_HEADER: Final = 8192
_SCHEME: Final = re.compile(rb"bearer +", re.IGNORECASE)
#: Three parts, none of them empty. A JWE has five.
_SHAPE: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: Media types are compared without regard to case (RFC 7515 §4.1.9).
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
#: Members that bring a key of the token's own, wrap another token, or demand what we do not know
#: (RFC 8725 §3.10). Others are ignored, as RFC 7515 §4 demands.
_REFUSED_MEMBERS: Final = frozenset(
    {"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty", "epk", "apu", "apv", "p2c", "p2s"}
)

_object_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class UnverifiedToken(msgspec.Struct, frozen=True):
    """What a token says of itself. Nothing here is proved.

    Attributes:
        signed: the bytes that the signature is for.
    """

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def bearer_token(headers: Sequence[bytes]) -> bytes:
    """The token of a request's Authorization headers.

    Raises:
        TokenRefusedError: there is none, or more than one header.
    """
    if not headers:
        raise TokenRefusedError("missing", "no Authorization header")
    if len(headers) > 1:
        raise TokenRefusedError("malformed", "several Authorization headers")
    if len(headers[0]) > _LONGEST_HEADER:
        raise TokenRefusedError("malformed", "the header is too long")
    scheme = _SCHEME.match(headers[0])
    if scheme is None:
        raise TokenRefusedError("malformed", "not a bearer token")
    return headers[0][scheme.end() :]


def take_apart(token: bytes) -> UnverifiedToken:
    """Read a token in its compact form.

    The cheap checks come first, and each part has one spelling: strict base64url, and JSON that no
    two readers understand differently.

    Raises:
        TokenRefusedError: it cannot be a token that we believe, whoever signed it.
    """
    if not _SHAPE.fullmatch(token):
        raise TokenRefusedError("malformed", "not three parts of base64url")
    header_part, claims_part, signature_part = token.split(b".")
    header = _object(header_part, "header")
    algorithm, key_id = _judge_header(header)
    signature = _decoded(signature_part, "malformed")
    claims = _object(claims_part, "claims")
    return UnverifiedToken(algorithm, key_id, claims, token[: -len(signature_part) - 1], signature)


def _judge_header(header: dict[str, Any]) -> tuple[str, str | None]:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefusedError("algorithm", "the algorithm is not allowed")
    if not _REFUSED_MEMBERS.isdisjoint(header):
        raise TokenRefusedError("header", "a header member is not allowed")
    key_id = header.get("kid")
    if "kid" in header and (not isinstance(key_id, str) or len(key_id) > LONGEST_KEY_ID):
        raise TokenRefusedError("header", "the kid is no string, or too long")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefusedError("header", "another type of token")
    return algorithm, key_id


def _object(part: bytes, reason: RefusalReason) -> dict[str, Any]:
    try:
        return _object_decoder.decode(canonicalize_json(_decoded(part, reason)))
    except (CanonicalizationError, msgspec.MsgspecError, RecursionError) as error:
        raise TokenRefusedError(reason, f"{reason}: {type(error).__name__}") from None


def _decoded(part: bytes, reason: RefusalReason) -> bytes:
    try:
        return urlsafe_b64decode(part)
    except ValueError:  # binascii's errors are ValueErrors
        raise TokenRefusedError(reason, "not base64url in its one spelling") from None
