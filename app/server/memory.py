"""Memory that is free, and that the system does not know of."""

from __future__ import annotations

import ctypes
import gc

#: glibc's; other allocators do without.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Give the system back what is not used any more; takes some tens of milliseconds.

    What belonged to broken TLS connections leads round in circles, so it must be collected first; and then
    the allocator keeps it for the next time.
    """
    gc.collect()
    if _malloc_trim is not None:
        _malloc_trim(0)
