"""Memory that is free, and that the system does not know of."""

from __future__ import annotations

import ctypes

#: glibc's; other allocators do without.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Give the system back what the allocator keeps for the next time; takes milliseconds."""
    if _malloc_trim is not None:
        _malloc_trim(0)
