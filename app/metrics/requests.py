"""Metrics of requests, and of what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from app.api.paths import BASE
from app.http.context import Context
from app.metrics.buffered import BufferedCounter, BufferedHistogram
from core.tenant_classes import DEFAULT_CLASS

#: Seconds. Measured at a service with SQLite on two cores of an AMD EPYC that had other work: of encodes the
#: first percent took 1.2 ms, half 2.4 ms and all but one in a hundred 31 ms, for one caller; for eight at a
#: time 2.0, 8.1 and 28 ms. Verifies 0.8, 2.5 and 21 ms; for eight 2.7, 9.2 and 36 ms. With a DNAStore, for
#: eight, encodes 4.0, 14 and 50 ms, and verifies 4.5, 12 and 54 ms. One in a thousand took 42 to 103 ms. What
#: is refused takes less by far, and what waits for a disk or a DNAStore in trouble takes up to the timeout.
#: The rules of monitoring/ need a bound of 0.1.
REQUEST_BUCKETS: Final = (
    *(0.00001, 0.0001, 0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01),
    *(0.015, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
)
_ITEM_BUCKETS: Final = (1, 10, 50, 100, 500, 1000, 5000, 10000)
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
#: Methods that are named; a client may send any.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OUTCOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "encode": ("sealed", "replayed", "refused", "failed", "abandoned"),
    "verify": ("valid", "invalid", "refused", "failed", "abandoned"),
}


class _Verb(NamedTuple):
    name: str
    is_batch: bool


_VERBS: Final = {
    BASE: _Verb("encode", is_batch=False),
    f"{BASE}/batch": _Verb("encode", is_batch=True),
    f"{BASE}/verify": _Verb("verify", is_batch=False),
    f"{BASE}/verify/batch": _Verb("verify", is_batch=True),
}


class RequestMetrics:
    """Counts what a ``RequestObserver`` is told. Looks each child up once: it takes as long as counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = BufferedHistogram(
            "sigil_http_request_duration_seconds",
            "Time from a request's head to the end of its answer; status 0 where nobody stayed to get one.",
            ["method", "route", "status"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._durations = {
            verb: BufferedHistogram(
                f"sigil_{verb}_duration_seconds",
                f"Time from the head of a single {verb} to the end of its answer.",
                ["tenant_class"],
                buckets=REQUEST_BUCKETS,
                registry=registry,
            )
            for verb in _OUTCOMES
        }
        self._items = {
            verb: BufferedCounter(
                f"sigil_{verb}",
                f"Items to {verb}, single or of a batch, by what became of them.",
                ["tenant_class", "outcome"],
                registry=registry,
            )
            for verb in _OUTCOMES
        }
        self._invalid = BufferedCounter(
            "sigil_verify_invalid",
            "Sigils that are invalid, by the verdict's reason.",
            ["reason"],
            registry=registry,
        )
        batches = BufferedHistogram(
            "sigil_batch_duration_seconds",
            "Time from a batch's head to the end of its answer.",
            ["verb"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        sizes = BufferedHistogram(
            "sigil_batch_items", "Items of batches.", ["verb"], buckets=_ITEM_BUCKETS, registry=registry
        )
        self._batches = {verb: (batches.labels(verb), sizes.labels(verb)) for verb in _OUTCOMES}
        self._errors = BufferedCounter(
            "sigil_error", "Answers with a problem, by its code.", ["code"], registry=registry
        )
        self._refusals = BufferedCounter(
            "sigil_auth_failures",
            "Requests whose token, tenant or role did not let them in, by reason.",
            ["reason"],
            registry=registry,
        )
        self.overload = BufferedCounter(
            "sigil_overload", "What was refused or cut off for want of room.", ["reason"], registry=registry
        )
        for reason in ("requests", "connections", "answers"):
            self.overload.labels(reason)
        self.malformed = BufferedCounter(
            "sigil_http_malformed",
            "What came over connections and was no request, and closed them.",
            registry=registry,
        )
        #: Set when the application is put together.
        self.route_of: Callable[[str], str] = str
        self.class_of: Callable[[str], str] = _no_class
        #: By route; it is also the path where that has no parts that vary.
        self._children: dict[tuple[str, str, int], tuple[BufferedHistogram, _Verb | None]] = {}
        self._classes: dict[str, dict[str, tuple[BufferedHistogram, Mapping[str, BufferedCounter]]]]
        self._classes = {verb: {} for verb in _OUTCOMES}
        for verb in _OUTCOMES:
            self._of_class(verb, DEFAULT_CLASS)

    def ended(self, context: Context, seconds: float) -> None:
        """See RequestObserver."""
        path, method, status = context.path, context.method, context.status
        found = self._children.get((method, path, status))
        if found is None:
            if path in _PROBES:
                return
            found = self._child(method, path, status)
        duration, verb = found
        duration.observe(seconds)
        if context.problem:
            self._note_problem(context)
        if verb is not None:
            self._note_verb(context, verb, seconds)

    def _child(self, method: str, path: str, status: int) -> tuple[BufferedHistogram, _Verb | None]:
        route = self.route_of(path)
        found = self._children.get((method, route, status))
        if found is None:
            named = method if method in _METHODS else "other"
            verb = _VERBS.get(route) if method == "POST" else None
            found = self._requests.labels(named, route, str(status)), verb
            if named == method:  # few, whatever is asked for
                self._children[method, route, status] = found
        return found

    def _note_problem(self, context: Context) -> None:
        self._errors.labels(context.problem).inc()
        if context.refusal:
            self._refusals.labels(context.refusal).inc()
        if context.problem == "overloaded":
            self.overload.labels("requests").inc()

    def _note_verb(self, context: Context, verb: _Verb, seconds: float) -> None:
        tenant = context.tenant
        name = DEFAULT_CLASS if tenant is None else self.class_of(tenant)
        duration, counters = self._classes[verb.name].get(name) or self._of_class(verb.name, name)
        status, outcomes = context.status, context.outcomes
        if not status:
            counters["abandoned"].add(context.items)
            return
        # A batch that was broken off was answered before, and tells what its lines came to.
        failed = status >= _CLIENT_ERROR and context.problem
        refused = failed and status < _SERVER_ERROR
        # Refusals are quick, and anybody can have them: they would make the others look better than they are.
        if not refused:
            if verb.is_batch:
                batch_duration, size = self._batches[verb.name]
                batch_duration.observe(seconds)
                size.observe(context.items)
            else:
                duration.observe(seconds)
        if failed or not outcomes:
            counters["refused" if refused else "failed"].add(context.items)
            return
        for outcome, items in outcomes.items():
            if items:
                counters[outcome].add(items)
        for reason, items in context.reasons.items():
            self._invalid.labels(reason).inc(items)

    def _of_class(self, verb: str, name: str) -> tuple[BufferedHistogram, Mapping[str, BufferedCounter]]:
        # All of them, so that what has not happened yet is 0 and not missing.
        counters = {outcome: self._items[verb].labels(name, outcome) for outcome in _OUTCOMES[verb]}
        found = self._classes[verb][name] = (self._durations[verb].labels(name), counters)
        return found


def _no_class(_tenant: str) -> str:
    return DEFAULT_CLASS
