"""Requests, read through the one strict door."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from app.http.problems import ProblemError
from core.records import CanonicalJson
from sigil_native import canonicalize_json

_T = TypeVar("_T")

#: One level more than payloads may have: the envelope's own.
_MAX_DEPTH: Final = 513


def read_request(text: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """What a JSON text asks for.

    The whole text is canonicalised, envelope included: msgspec would take duplicate members
    and malformed UTF-8. What it then cuts out of the canonical text is canonical itself.

    Raises:
        CanonicalizationError: it is no strict JSON.
        ProblemError: it is, but does not have the decoder's form.
    """
    canonical = canonicalize_json(text, max_depth=_MAX_DEPTH)
    try:
        return decoder.decode(canonical)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/")
        raise ProblemError("invalid_request", detail, pointer=pointer) from None


def payload_of(data: msgspec.Raw) -> CanonicalJson:
    """The payload of a request that was read.

    Raises:
        ProblemError: it is no object.
    """
    payload = bytes(data)
    if not payload.startswith(b"{"):
        raise ProblemError("invalid_request", "Expected `object`", pointer="/data")
    return CanonicalJson(payload)
