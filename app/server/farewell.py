"""Ending TLS connections without waiting for the other side to say goodbye."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable, Iterable
from typing import Final

_PAUSE: Final = 0.05


async def hang_up(transports: Callable[[], Iterable[asyncio.Transport]]) -> None:
    """Until cancelled, end connections that we have closed, as soon as all that was sent has arrived.

    A TLS connection waits half a minute for the other side's last word, which clients that keep
    connections for later never send. A stop would wait with it.
    """
    while True:
        for transport in list(transports()):
            if transport.is_closing() and not transport.get_write_buffer_size() and _has_arrived(transport):
                transport.abort()
        await asyncio.sleep(_PAUSE)


def _has_arrived(transport: asyncio.Transport) -> bool:
    """Whether the other side's system has acknowledged every byte that was sent."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True
    try:
        unacknowledged = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # no connection any more, or a system that does not tell
        return False
    return struct.unpack("i", unacknowledged) == (0,)
