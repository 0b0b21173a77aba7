"""Values on the command line: durations, moments, sizes."""

from __future__ import annotations

import argparse
import base64
import math
import re
from datetime import datetime
from typing import Final

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def duration(text: str) -> float:
    """Seconds of a duration such as ``3600``, ``1.5h`` or ``30d``."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([smhdw]?)", text)
    if not match:
        raise argparse.ArgumentTypeError("not a duration such as 3600, 90s, 15m, 2h, 30d or 4w")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise argparse.ArgumentTypeError("a duration is longer than nothing")
    return seconds


def moment(text: str) -> float:
    """Seconds since the Unix epoch, of themselves or of an RFC 3339 date and time."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            parsed = None
        if parsed is None or parsed.tzinfo is None:
            raise argparse.ArgumentTypeError(
                "not a moment such as 1782000000 or 2026-06-21T00:00:00Z (with its zone)"
            ) from None
        seconds = parsed.timestamp()
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError("not a finite number")
    return seconds


def size(text: str) -> int:
    """Bytes of a size such as ``65536``, ``64KiB`` or ``1GiB``; at least 1."""
    match = re.fullmatch(r"([0-9]{1,15})((?:[KMG]iB)?)", text)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError("not a size such as 65536, 64KiB, 64MiB or 1GiB")
    return int(match[1]) * _BYTES[match[2]]


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch("[0-9]{1,15}", text):
        raise argparse.ArgumentTypeError("not a whole number")
    return int(text)


def audit_place(text: str) -> tuple[int, bytes]:
    """Sequence number and tag of a line of an audit log, ``1000:`` and 43 characters of base64url."""
    match = re.fullmatch("([0-9]{1,16}):([A-Za-z0-9_-]{43})", text)
    tag = base64.urlsafe_b64decode(f"{match[2]}=") if match else b""
    if not match or base64.urlsafe_b64encode(tag).decode() != f"{match[2]}=":
        raise argparse.ArgumentTypeError(
            "not a line's place such as 1000:TAG, with 43 characters of base64url"
        )
    return int(match[1]), tag
