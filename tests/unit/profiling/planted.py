"""An operation as it was, and with something planted in its way: less than SHA-256 takes by far."""

from __future__ import annotations

from contextlib import nullcontext

from benchmarks.profiling.loading import Operations
from benchmarks.sides import Side, each
from sigil_native import HmacKey

_MESSAGES = [b"%200d" % number for number in range(200)]
_KEY = HmacKey(b"k" * 32)


def operations() -> Operations:
    """HMACs, one by one."""
    return {"digest": lambda: nullcontext(Side(each(_KEY.digest, _MESSAGES), len(_MESSAGES)))}


def slower() -> Operations:
    """The same, each with a call more that does nothing."""

    def digest(message: bytes) -> bytes:
        return _KEY.digest(message)

    return {"digest": lambda: nullcontext(Side(each(digest, _MESSAGES), len(_MESSAGES)))}


def refusing() -> Operations:
    """An operation that fails."""
    return {"digest": lambda: nullcontext(Side(lambda: _KEY.digest(None)))}  # type: ignore[arg-type]
