"""The socket that the service listens on."""

from __future__ import annotations

import socket
from typing import Final

_BACKLOG: Final = 2048


class PortTakenError(Exception):
    """The service cannot listen where it was told to."""


def _cannot_listen(host: str, port: int, variables: str, error: OSError) -> PortTakenError:
    return PortTakenError(f"{variables}: cannot listen on {host} port {port}: {error.strerror}")


def listen(host: str, port: int, variables: str = "SIGIL_HOST, SIGIL_PORT") -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0 for any free one.
        variables: what both were set by.

    Raises:
        PortTakenError: saying why not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, variables, error) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, variables, error) from None
    listener.setblocking(False)
    return listener
