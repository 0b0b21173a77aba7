"""What a program would do without this library, with the fastest parts it could pick."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

import itsdangerous
import jwt
import orjson
import rfc8785

SECRET = b"0123456789abcdef0123456789abcdef"


def orjson_text(text: bytes) -> bytes:
    """Sorted JSON from text. Not RFC 8785: a yardstick."""
    return orjson.dumps(orjson.loads(text), None, orjson.OPT_SORT_KEYS)


def orjson_value(value: object) -> bytes:
    """Sorted JSON from Python values. Not RFC 8785: a yardstick."""
    return orjson.dumps(value, None, orjson.OPT_SORT_KEYS)


def rfc8785_value(value: object) -> bytes:
    """Canonical JSON by the rfc8785 package."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]


def stdlib_hmac(message: bytes) -> bytes:
    """HMAC-SHA-256 by the standard library's one-shot function."""
    return hmac.digest(SECRET, message, "sha256")


#: Version, key id, expiry and id, made beforehand; a real program would make them each time.
HEADER = bytes(range(32))


# Each in one function, as a program in a hurry would write it: no calls but those to the parts.


def value_to_text(value: object) -> str:
    """A seal of Python values by orjson, hmac and base64: header and tag."""
    tag = hmac.digest(SECRET, HEADER + orjson.dumps(value, None, orjson.OPT_SORT_KEYS), "sha256")
    return base64.urlsafe_b64encode(HEADER + tag).rstrip(b"=").decode()


def value_to_token(value: object) -> str:
    """The same with the payload in it."""
    message = HEADER + orjson.dumps(value, None, orjson.OPT_SORT_KEYS)
    return base64.urlsafe_b64encode(message + hmac.digest(SECRET, message, "sha256")).rstrip(b"=").decode()


def json_to_text(text: bytes) -> str:
    """A seal of JSON text by orjson, hmac and base64: header and tag."""
    canonical = orjson.dumps(orjson.loads(text), None, orjson.OPT_SORT_KEYS)
    tag = hmac.digest(SECRET, HEADER + canonical, "sha256")
    return base64.urlsafe_b64encode(HEADER + tag).rstrip(b"=").decode()


def json_to_token(text: bytes) -> str:
    """The same with the payload in it."""
    message = HEADER + orjson.dumps(orjson.loads(text), None, orjson.OPT_SORT_KEYS)
    return base64.urlsafe_b64encode(message + hmac.digest(SECRET, message, "sha256")).rstrip(b"=").decode()


_SERIALIZER = itsdangerous.URLSafeSerializer(SECRET)


def itsdangerous_value(value: object) -> str | bytes:
    """A signed token by itsdangerous."""
    return _SERIALIZER.dumps(value)


def pyjwt_value(value: dict[str, object]) -> str:
    """A signed token by PyJWT, HS256."""
    return jwt.encode(value, SECRET, "HS256")


def stdlib_sha256(message: bytes) -> bytes:
    """SHA-256 of one long message: OpenSSL's stream, with nothing else that counts."""
    return hashlib.sha256(message).digest()


def stream_blocks(sizes: Sequence[int]) -> int:
    """Blocks that one stream of SHA-256 with midstates hashes for HMACs of messages of these sizes.

    Those of each message and one more for the outer hash. Nothing counts for copying midstates, which
    flatters the peer.
    """
    return sum((size + 9 + 63) // 64 + 1 for size in sizes)
