"""How far what was sent to a client has come."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

#: Where Linux has tcpi_bytes_acked in struct tcp_info.
_BYTES_ACKNOWLEDGED: Final = slice(120, 128)


def bytes_taken(transport: asyncio.Transport) -> int:
    """What the other side has acknowledged since the connection began."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    except OSError:  # the connection is broken, as will be heard soon
        return 0
    return int.from_bytes(info[_BYTES_ACKNOWLEDGED], sys.byteorder)


def has_arrived(transport: asyncio.Transport) -> bool:
    """Whether the other side's system has acknowledged every byte that was sent.

    With TLS, more may be about to go from the encryption to the system: look twice.
    """
    if transport.get_write_buffer_size():
        return False
    try:
        unacknowledged = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # the connection is broken, as will be heard soon
        return True
    return struct.unpack("i", unacknowledged) == (0,)
