"""Spans of requests, of calls to the store, and of requests to the DNAStore.

None has a payload, a token, or the name of a tenant, a user or a record in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry import context, trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.context import Context
from app.http.observation import NOWHERE
from app.tracing.traced_store import TracedStore
from core.store.interface import Store

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_SERVER_ERROR: Final = 500
#: Callers that a shared request is linked with.
_MOST_LINKS: Final = 128
_propagator: Final = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of a process.

    Attributes:
        route_of: names the route of a path.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.route_of: Callable[[str], str] = _nowhere

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, with a span for each request but probes. It tells ``ended`` of each."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in _PROBES:
                await app(scope, receive, send)
                return
            span = self._begun(scope)
            token = context.attach(trace.set_span_in_context(span))
            try:
                await app(scope, receive, send)
            finally:
                context.detach(token)
                span.end()

        return traced

    def ended(self, request: Context, seconds: float) -> None:
        """Note what a request came to, in the span that is around it."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        span.set_attribute("sigil.request_id", request.request_id.decode())
        if request.status:
            span.set_attribute("http.response.status_code", request.status)
        if request.problem:
            span.set_attribute("sigil.problem", request.problem)
        if request.status >= _SERVER_ERROR:
            span.set_attribute("error.type", request.problem or str(request.status))
            span.set_status(StatusCode.ERROR)

    def store(self, store: Store) -> Store:
        """The store, with a span for each call that is part of a trace."""
        return TracedStore(store, self._tracer)

    def requests_to(self, host: str, port: int) -> DnaStoreTracer:
        """What traces requests to a DNAStore."""
        return DnaStoreTracer(self._tracer, host, port)

    def _begun(self, scope: Scope) -> Span:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        route = self.route_of(scope["path"])
        name = "HTTP" if method == "_OTHER" else method
        if route != NOWHERE:
            attributes["http.route"] = route
            name = f"{name} {route}"
        return self._tracer.start_span(name, _parent(scope), SpanKind.SERVER, attributes)


class DnaStoreTracer:
    """See RequestTracer: requests to one DNAStore."""

    def __init__(self, tracer: Tracer, host: str, port: int) -> None:
        self._tracer = tracer
        self._server: dict[str, str | int] = {"server.address": host, "server.port": port}

    def here(self) -> Span | None:
        """See RequestTracer.here."""
        span = trace.get_current_span()
        return span if span.get_span_context().is_valid else None

    def request(self, method: str, template: str, origins: Sequence[object]) -> DnaStoreSpan:
        """See RequestTracer.request. A child of the first origin that is sampled, linked with the others."""
        spans = [one for one in origins if isinstance(one, Span)]
        sampled = [one for one in spans if one.get_span_context().trace_flags.sampled]
        parent, *others = sampled or spans[:1]
        span = self._tracer.start_span(
            f"{method} {template}",
            trace.set_span_in_context(parent, context.Context()),
            SpanKind.CLIENT,
            {"http.request.method": method, "url.template": template, **self._server},
            [Link(one.get_span_context()) for one in others[:_MOST_LINKS]],
        )
        return DnaStoreSpan(span)


class DnaStoreSpan:
    """See RequestSpan."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._headers: dict[str, str] = {}
        _propagator.inject(self._headers, trace.set_span_in_context(span, context.Context()))

    @property
    def headers(self) -> Mapping[str, str]:
        """See RequestSpan.headers."""
        return self._headers

    def ended(self, status: int | None, failure: str | None) -> None:
        """See RequestSpan.ended."""
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if failure is not None:
            self._span.set_attribute("error.type", failure)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _parent(scope: Scope) -> context.Context:
    """The trace that the request belongs to. Not its ``tracestate`` and ``baggage``: strangers' texts."""
    given = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(given) != 1:
        return context.Context()
    return _propagator.extract({"traceparent": given[0].decode("latin-1")}, context.Context())


def _nowhere(_path: str) -> str:
    return NOWHERE
