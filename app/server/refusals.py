"""Answers to what never becomes a request, ready to be written."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from app.http.replies import SAFETY


def _refusal(status: HTTPStatus, text: str, *more: bytes) -> bytes:
    body = text.encode()
    lines = [
        b"HTTP/1.1 %d %s" % (status, status.phrase.encode()),
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"connection: close",
        *(b"%s: %s" % header for header in SAFETY),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


MALFORMED: Final = _refusal(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request.\n")
HEAD_TOO_LARGE: Final = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large.\n")
TOO_MANY_CONNECTIONS: Final = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.\n", b"retry-after: 1"
)
