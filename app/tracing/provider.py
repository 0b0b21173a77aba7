"""Where spans go: to a collector, by OTLP over HTTP, from a thread of its own."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from typing import Final, NamedTuple

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from sigil_native import __version__

#: Seconds that a stop gives a collector to take the last spans.
_STOP_SECONDS: Final = 2.0
#: Seconds that go by before trouble is logged again.
_QUIET: Final = 60.0
_log = structlog.get_logger("app.tracing")


class Exporting(NamedTuple):
    """Makes spans, and sends them."""

    tracer: Tracer
    provider: TracerProvider

    def close(self) -> None:
        """Send what waits, as far as that is done soon. A collector that hangs must not hold up a stop."""
        closing = threading.Thread(target=self.provider.shutdown, name="sigil-traces-close", daemon=True)
        closing.start()
        closing.join(_STOP_SECONDS)


class Trouble(logging.Handler):
    """Tells of what OpenTelemetry logs, once a minute at most. Not its texts: they may show headers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a record."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET
        _log.warning("traces are lost or late", pid=os.getpid(), source=record.name, cause=_cause(record))


def _cause(record: logging.LogRecord) -> str:
    """A status, or the name of an error; neither has anybody's words in it."""
    given = record.args if isinstance(record.args, tuple) else ()
    for one in (*given, record.exc_info[1] if record.exc_info else None):
        if isinstance(one, int):
            return f"status {one}"
        if isinstance(one, BaseException):
            return type(one).__name__
    return "unknown"


def provider(service_name: str) -> Exporting:
    """Begin to export. What is not said here, the variables OTEL_… say.

    Raises:
        ValueError, OSError: one of them cannot work.
    """
    library = logging.getLogger("opentelemetry")
    library.handlers = [Trouble()]
    library.propagate = False
    ours = Resource.create({"service.name": service_name, "service.version": __version__})
    # Last, so that the environment has the last word.
    made = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Exporting(made.get_tracer("sigil", __version__), made)
