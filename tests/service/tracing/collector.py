"""A collector of traces on loopback, which takes OTLP over HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What was sent to it.

    Attributes:
        bodies: as they came.
        status: of its answers.
        frozen: while it is set, nobody gets an answer.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        self.frozen = threading.Event()
        self.thawed = threading.Event()
        self.url = ""

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which a service sends its traces here, soon."""
        return {
            "SIGIL_TRACING": "otlp",
            "DNASTORE_SERVER_TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=HEADERSECRET",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def requests(self) -> list[ExportTraceServiceRequest]:
        """All that came."""
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    def spans(self) -> list[Span]:
        """All spans that came."""
        return [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, *names: str) -> dict[str, Span]:
        """The last span of each of these names, once all have come."""
        deadline = time.monotonic() + 20
        while True:
            found = {span.name: span for span in self.spans()}
            if found.keys() >= set(names):
                return found
            assert time.monotonic() < deadline, sorted(found)
            time.sleep(0.02)


def attributes(span: Span) -> dict[str, str | int]:
    """A span's attributes."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, as long as it is needed."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.frozen.is_set():
                collector.thawed.wait(30)
                return
            collector.bodies.append(body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            collector.thawed.set()
            server.shutdown()
            thread.join()
