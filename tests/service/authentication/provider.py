"""A real key server under the tests' control, which behaves or does not."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Provider(ThreadingHTTPServer):
    """A key server.

    Attributes:
        fetches: how many requests came.
        answer: takes the place of an ordinary answer; is given the handler, whose ``wfile`` is the socket.
        going: cleared while answers are held back.
    """

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        scheme = "http"
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.uri = f"{scheme}://127.0.0.1:{self.server_port}/jwks"
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.going = threading.Event()
        self.going.set()
        self.fetches = 0

    def serve(self, *keys: dict[str, Any]) -> None:
        """Answer with these keys from now on."""
        self.status, self.headers, self.answer = 200, {}, None
        self.body = json.dumps({"keys": keys}).encode()
        self.going.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.fetches += 1
        self.server.going.wait()
        if self.server.answer is not None:
            self.server.answer(self)
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def running_provider(context: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """A key server that runs until the block ends."""
    server = Provider(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.going.set()
        server.shutdown()
        server.server_close()
        thread.join()
