"""``python -m app.health``: whether the server of this container answers, for who starts and restarts it.

It imports the standard library alone, as it runs every few seconds beside the server, and reads the server's
own settings. Only this machine is asked, so no certificate is checked. Where clients must show a certificate,
which a health check has none of, the server's half of the handshake is the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

_SECONDS: Final = 3.0
_PATH: Final = "/healthz"
#: RFC 8446, 5.1: what a record of TLS that carries a handshake begins with.
_HANDSHAKE: Final = 22


class Address(NamedTuple):
    """Where a server listens, and what it speaks."""

    host: str
    port: int
    tls: bool
    asks_for_certificates: bool


def address_of(server: str, environ: Mapping[str, str]) -> Address:
    """The address by a server's settings.

    Args:
        server: ``serve`` or ``dnastore``.
        environ: its environment variables.
    """
    if server == "dnastore":
        host, port = environ.get("DNASTORE_SERVER_HOST"), environ.get("DNASTORE_SERVER_PORT")
        return Address(_reachable(host), int(port or 8443), tls=True, asks_for_certificates=True)
    host, port = environ.get("SIGIL_HOST"), environ.get("SIGIL_PORT")
    asks = bool(environ.get("SIGIL_TLS_CLIENT_CA"))
    return Address(_reachable(host), int(port or 8080), bool(environ.get("SIGIL_TLS_CERT")), asks)


def check(address: Address) -> None:
    """Return if the server answers.

    Raises:
        OSError: it does not, or not with what a healthy server says.
    """
    if address.asks_for_certificates:
        _begin_handshake(address)
    else:
        _get(address)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """The exit code: 0 for health."""
    try:
        check(address_of(arguments[0] if arguments else "serve", environ))
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"not healthy: {error}\n")
        return 1
    return 0


def _reachable(host: str | None) -> str:
    """Who listens everywhere is reached on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host or "", host or "127.0.0.1")  # noqa: S104


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _get(address: Address) -> None:
    connection: http.client.HTTPConnection
    if address.tls:
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=_SECONDS, context=_context()
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", _PATH)
        status = connection.getresponse().status
    if status != http.HTTPStatus.OK:
        raise OSError(f"{_PATH} answers {status}")


def _begin_handshake(address: Address) -> None:
    """Leave before the client's half, without which the server logs a refused client each time."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        _context().wrap_bio(incoming, outgoing).do_handshake()
    with socket.create_connection((address.host, address.port), timeout=_SECONDS) as connection:
        connection.sendall(outgoing.read())
        answer = connection.recv(1)
    if answer != bytes([_HANDSHAKE]):
        raise OSError("no TLS is spoken there")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
