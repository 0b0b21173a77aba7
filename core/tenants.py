"""What a tenant may be called."""

from __future__ import annotations

from typing import Final

_LARGEST: Final = 128


def is_tenant(name: str) -> bool:
    """Whether records can be a tenant's of this name: 1 to 128 bytes of UTF-8, without NUL."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _LARGEST and "\0" not in name
