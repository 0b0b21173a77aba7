"""Opaque places in a listing."""

from __future__ import annotations

import base64
import binascii
from typing import Final
from uuid import UUID

from core.errors import InvalidCursorError

_VERSION: Final = b"\x01"
_SIZE: Final = 1 + 16


def write_cursor(last_id: str) -> str:
    """The cursor that continues after the record ``last_id``."""
    return base64.urlsafe_b64encode(_VERSION + UUID(last_id).bytes).rstrip(b"=").decode()


def read_cursor(cursor: str) -> str:
    """The id of the last record that the cursor's page showed.

    Raises:
        InvalidCursorError: not a cursor, or not spelt as ``write_cursor`` does.
    """
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidCursorError("not a cursor") from None
    if len(raw) != _SIZE or raw[:1] != _VERSION:
        raise InvalidCursorError("not a cursor")
    last_id = str(UUID(bytes=raw[1:]))
    if write_cursor(last_id) != cursor:
        raise InvalidCursorError("not a cursor")
    return last_id
