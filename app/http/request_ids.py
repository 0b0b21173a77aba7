"""Names for requests whose clients gave them none."""

from __future__ import annotations

import os
from typing import Final

#: Drawn from the system at once: each call of it costs more than a name.
_BLOCK: Final = 256
_BYTES: Final = 16
_DIGITS: Final = 2 * _BYTES

_drawn: list[bytes] = []
# Two processes must not go on with one block.
os.register_at_fork(after_in_child=_drawn.clear)


def new_request_id() -> bytes:
    """A name that no other request has: 32 random hexadecimal digits."""
    if not _drawn:
        text = os.urandom(_BLOCK * _BYTES).hex().encode()
        _drawn.extend(text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS))
    return _drawn.pop()
