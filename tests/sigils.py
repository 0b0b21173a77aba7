"""Sigils made by hand, from nothing but the standard library and the format's definition."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import SigilError

SECRET = bytes(range(32))
TENANT = "acme"
#: 2023-11-14T22:13:20.123Z
ISSUED_MS = 1_700_000_000_123
NOW = ISSUED_MS / 1000 + 1
PAYLOAD = {"b": [1, 2.5, "é"], "a": None}
CANONICAL = '{"a":null,"b":[1,2.5,"é"]}'.encode()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def _hkdf_block(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with the salt of this library, for up to 32 bytes."""
    return _hmac(_hmac(b"sigil-dna/v1", secret), info + b"\x01")


def key_id_of(secret: bytes) -> int:
    """The id that a secret has."""
    return int.from_bytes(_hkdf_block(secret, b"key-id")[:4], "big")


def make_id(issued_ms: int = ISSUED_MS, tail: int = 0) -> bytes:
    """A UUIDv7 of a moment."""
    return ((issued_ms << 80) | (7 << 76) | (0b10 << 62) | tail).to_bytes(16, "big")


def make_sigil(
    canonical: bytes,
    *,
    secret: bytes = SECRET,
    tenant: str = TENANT,
    expires_ms: int = 0,
    identifier: bytes | None = None,
) -> bytes:
    """The 64 bytes that seal a canonical payload."""
    header = (
        b"\x01\x00"
        + key_id_of(secret).to_bytes(4, "big")
        + b"\x00\x00"
        + expires_ms.to_bytes(8, "big")
        + (make_id() if identifier is None else identifier)
    )
    key = _hkdf_block(secret, b"tenant:" + tenant.encode())
    return header + _hmac(key, header + canonical)


def base64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def as_text(raw: bytes) -> str:
    """The text form."""
    return "sgl1_" + base64url(raw)


def as_strand(raw: bytes) -> str:
    """The DNA form."""
    return "".join("ACGT"[int(f"{byte:08b}"[i : i + 2], 2)] for byte in raw for i in (0, 2, 4, 6))


def as_token(raw: bytes, canonical: bytes) -> str:
    """The form that carries its payload."""
    return as_text(raw) + "." + base64url(canonical)


def key_ring_text(*keys: dict[str, object], **root: object) -> str:
    """The text of a key ring file."""
    return json.dumps({"version": 1, "keys": list(keys), **root})


def ring_of(library: SimpleNamespace, **options: Any) -> Any:
    """A ring whose one key has SECRET."""
    ring = library.KeyRing()
    ring.add(SECRET, **options)
    return ring


def refusal(call: Callable[[], object]) -> SigilError:
    """The error that a call raises."""
    with pytest.raises(SigilError) as caught:
        call()
    return caught.value
