"""Serves a key set over TLS, for a first try: issuer.py FOLDER [HOST PORT].

The folder has jwks.json, server_certificate and server_key.
"""

from __future__ import annotations

import signal
import ssl
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class KeySet(BaseHTTPRequestHandler):
    """Answers every GET with the key set."""

    timeout = 10

    def __init__(self, body: bytes, *arguments: object) -> None:
        self._body = body
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)


def main(folder: Path, host: str = "0.0.0.0", port: str = "8444") -> None:  # noqa: S104
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server_certificate", folder / "server_key")
    body = (folder / "jwks.json").read_bytes()
    with ThreadingHTTPServer((host, int(port)), partial(KeySet, body)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
