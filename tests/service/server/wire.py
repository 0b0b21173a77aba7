"""Bytes over real connections: what is sent as it is, and what comes back."""

from __future__ import annotations

import contextlib
import re
import resource
import select
import socket
import time
from pathlib import Path

#: Much longer than anything takes; who waits this long waits for ever.
PATIENCE = 20.0


def connected(port: int) -> socket.socket:
    """A connection to the service."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the other side closes the connection, or breaks it."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            received += piece
    return bytes(received)


def read_answer(connection: socket.socket) -> bytes:
    """One whole answer, whose length is announced."""
    received = b""
    while not (match := re.search(rb"content-length: (\d+)\r\n(?:.+\r\n)*\r\n", received)) or (
        len(received) < match.end() + int(match[1])
    ):
        piece = connection.recv(1 << 16)
        assert piece, received
        received += piece
    return received


def wait_until_broken(connection: socket.socket) -> None:
    """Wait, without reading, until the other side has broken the connection off."""
    poll = select.poll()
    poll.register(connection, select.POLLERR)
    assert poll.poll(PATIENCE * 1000)


def exchange(port: int, *pieces: bytes) -> bytes:
    """Everything that the service says to these bytes until it closes the connection."""
    with connected(port) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        return read_to_end(connection)


def statuses(received: bytes) -> list[int]:
    """The status of each answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def request(
    path: str, *headers: str, method: str = "GET", body: bytes | None = None, token: str = "", host: str = "x"
) -> bytes:
    """A request's bytes; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


LAST = request("/healthz", "Connection: close")


def resident(pid: int) -> int:
    """The bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def wait_until_deaf(port: int) -> None:
    """Wait until nobody listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
