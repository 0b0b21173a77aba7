"""What the service needs of a request's headers, gathered in one pass, without an object for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
#: What a body is called that the service takes without a further look.
_PLAIN_JSON: Final = b"application/json"


def _joined(earlier: bytes, value: bytes) -> bytes:
    """What lines of one header mean together (RFC 9110 §5.3)."""
    return earlier + b", " + value if earlier else value


class HeadFacts:
    """The headers that matter. They may be those of many requests, so nobody changes them.

    Attributes:
        authorization: the values of these headers.
        content_length: of the body, as far as it is announced.
        idempotency_keys: the values of these headers.
        request_id: the client's, if it is well-formed; otherwise empty.
        bearer: the token in the authorization, where somebody has looked for it.
        is_plain: whether a body is announced as JSON in the usual spelling, and there is no idempotency key.
    """

    __slots__ = (
        "authorization",
        "bearer",
        "content_encoding",
        "content_length",
        "content_type",
        "idempotency_keys",
        "is_plain",
        "request_id",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.authorization: list[bytes] = []
        self.bearer: bytes | None = None
        self.content_type = b""
        self.content_encoding = b""
        self.content_length = 0
        self.idempotency_keys: list[bytes] = []
        self.request_id = b""
        for name, value in headers:
            if name == b"authorization":
                self.authorization.append(value)
            elif name == b"content-type":
                self.content_type = _joined(self.content_type, value)
            elif name == b"content-length":
                # The server has refused what is no number; more digits than these are too large anyway.
                self.content_length = int(value[:19]) if value.isdigit() else 0
            elif name == b"content-encoding":
                self.content_encoding = _joined(self.content_encoding, value)
            elif name == b"idempotency-key":
                self.idempotency_keys.append(value)
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value
        self.is_plain = (
            self.content_type == _PLAIN_JSON and not self.content_encoding and not self.idempotency_keys
        )
