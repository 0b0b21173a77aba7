"""Traces: of what, with what in them, and at what cost when a collector is in trouble."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.tracing import opening
from core.settings_loading import SettingsError
from tests.service.dnastore.running import EVERYTHING, DnaStore
from tests.service.running import REPOSITORY, SIGILS, Service, clean_environment
from tests.service.tracing.collector import Collector, attributes, collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of the test's own."""
    with collecting() as running:
        yield running


def is_child(child: Span, parent: Span) -> bool:
    """Whether one span is in the other."""
    return (child.trace_id, child.parent_span_id) == (parent.trace_id, parent.span_id)


@pytest.mark.parametrize("history", ["off", pytest.param("on", marks=pytest.mark.heavy)])
def test_trace_goes_through_to_the_dnastore(
    new_service: Callable[..., Service], tmp_path: Path, collector: Collector, history: str
) -> None:
    """Caller, request, store call, DNAStore request and its server are one tree; nothing secret is sent."""
    store = DnaStore(tmp_path, EVERYTHING, **collector.variables).start()
    try:
        variables = {**store.client_variables, **collector.variables, "SIGIL_HISTORY": history}
        service = new_service(**variables).start()
        token = service.token("tenant-SECRET", subject="subject-SECRET")
        first = service.call("POST", SIGILS, {"data": {"first": "PAYLOADSECRET"}}, token=token)
        assert first.status == 201
        more = {**TRACEPARENT, "X-Request-Id": "r-1", "tracestate": "a=STATESECRET", "baggage": "b=BAGSECRET"}
        body = {"data": {"a": "PAYLOADSECRET"}}
        record = service.call("POST", SIGILS, body, token=token, headers=more).json
        path = f"{SIGILS}/{record['id']}"
        assert service.call("GET", path, token=token, headers=TRACEPARENT).status == 200
        names = (f"GET {SIGILS}/{{id}}", "GET /v1/records/{id}", "POST /v1/writes", "store.put")
        collector.wait_for(*names)
        service.stop()
        store.stop()
    finally:
        store.stop()
    spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    assert [span.trace_state for span in spans if span.trace_state] == []
    server, client, internal = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL
    posted = next(one for one in spans if one.name == f"POST {SIGILS}")
    assert (posted.kind, posted.parent_span_id.hex()) == (server, PARENT)
    assert attributes(posted) == {
        "http.request.method": "POST",
        "http.route": SIGILS,
        "url.scheme": "http",
        "http.response.status_code": 201,
        "sigil.request_id": "r-1",
    }
    put, *_ = [one for one in spans if is_child(one, posted)]
    assert (put.name, put.kind) == ("store.put", internal)
    (sent,) = [one for one in spans if is_child(one, put)]
    assert (sent.name, sent.kind) == ("POST /v1/writes", client)
    (taken,) = [one for one in spans if is_child(one, sent)]
    assert (taken.name, taken.kind) == ("POST /v1/writes", server)
    assert [one.name for one in spans if is_child(one, taken)] == ["store.put"]
    (asked,) = [one for one in spans if one.name == "GET /v1/records/{id}" and one.kind == client]
    assert attributes(asked)["url.template"] == "/v1/records/{id}"
    everything = b"".join(collector.bodies)
    secrets = [token, record["id"], record["sigil"], "SECRET"]
    assert [one for one in secrets if one.encode() in everything] == []
    assert b"dnastore" in everything


def test_statuses_and_routes(new_service: Callable[..., Service], collector: Collector) -> None:
    """The caller's mistakes are no errors, a path that is none has no route, probes have no spans."""
    variables = {**collector.variables, "OTEL_SERVICE_NAME": "sealer"}
    service = new_service(**variables).start()
    service.call("GET", "/healthz")
    service.call("GET", "/nowhere/SECRETPATH")
    service.call("POST", SIGILS, {"data": 1}, token=service.token(), headers={"traceparent": "nonsense"})
    found = collector.wait_for("GET", f"POST {SIGILS}")
    assert service.stop() == 0
    assert attributes(found["GET"])["http.response.status_code"] == 404
    refused = found[f"POST {SIGILS}"]
    assert (attributes(refused)["http.response.status_code"], refused.parent_span_id) == (422, b"")
    assert refused.status.code == Status.STATUS_CODE_UNSET
    everything = b"".join(collector.bodies)
    assert (b"SECRETPATH" in everything, b"/healthz" in everything, b"sealer" in everything) == (0, 0, 1)


def test_failing_store_is_an_error(
    new_service: Callable[..., Service], tmp_path: Path, collector: Collector
) -> None:
    """A DNAStore that is away makes errors of request, store call and DNAStore request, with reasons."""
    store = DnaStore(tmp_path).start()
    service = new_service(**store.client_variables, **collector.variables, DNASTORE_TIMEOUT="1").start()
    store.stop()
    assert service.call("POST", SIGILS, {"data": {}}, token=service.token()).status == 503
    found = collector.wait_for(f"POST {SIGILS}", "store.put", "POST /v1/writes")
    for name in (f"POST {SIGILS}", "store.put", "POST /v1/writes"):
        assert found[name].status.code == Status.STATUS_CODE_ERROR, name
        assert attributes(found[name])["error.type"], name
        assert found[name].status.message == ""


def test_frozen_collector_holds_up_nobody(new_service: Callable[..., Service], collector: Collector) -> None:
    """With a collector that hangs and a queue that is full, requests are answered and a stop is quick."""
    collector.frozen.set()
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    service = new_service(**collector.variables, **small, SIGIL_WORKERS="2").start()
    token = service.token()
    begun = time.monotonic()
    for _ in range(30):
        service.encode({}, token=token)
    middle = time.monotonic()
    assert service.stop() == 0
    # Bounds far below the exporter's ten seconds, which a request or a stop that waited would take.
    assert (middle - begun < 8, time.monotonic() - middle < 8) == (True, True)
    troubles = service.logged("traces are lost or late")
    assert 1 <= len(troubles) <= 2
    assert "SECRET" not in service.log_path.read_text()


def test_refusing_collector_is_told_once(new_service: Callable[..., Service], collector: Collector) -> None:
    """A collector that refuses is logged with its status, once a minute, and without headers."""
    collector.status = 401
    service = new_service(**collector.variables).start()
    for _ in range(3):
        count = len(collector.bodies)
        service.encode({}, token=service.token())
        deadline = time.monotonic() + 20
        while len(collector.bodies) == count and time.monotonic() < deadline:
            time.sleep(0.02)
    assert service.stop() == 0
    assert [one["cause"] for one in service.logged("traces are lost or late")] == ["status 401"]
    assert "SECRET" not in service.log_path.read_text()


def test_nothing_is_imported_when_off() -> None:
    """A service without traces, and a client of a DNAStore, import nothing of OpenTelemetry."""
    program = (
        "import sys, app.serve_command, app.service, app.dnastore.running, core.dnastore.client\n"
        "from app.tracing.opening import check_installed, tracing_from\n"
        "check_installed('off', 'X')\n"
        "with tracing_from('off', 'X', 'x') as tracing: assert tracing is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=REPOSITORY, env=clean_environment(), capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the setting is a mistake, in one line that says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    opening.check_installed("off", "SIGIL_TRACING")
    with pytest.raises(SettingsError) as error:
        opening.check_installed("otlp", "SIGIL_TRACING")
    expected = "SIGIL_TRACING: OpenTelemetry is not installed; pip install --group tracing"
    assert error.value.problems == [expected]


def test_useless_variables_are_mistakes(new_service: Callable[..., Service]) -> None:
    """A variable of OpenTelemetry that cannot work ends the start with 78."""
    service = new_service(SIGIL_TRACING="otlp", OTEL_BSP_MAX_QUEUE_SIZE="0")
    code, said = service.start_in_vain()
    assert (code, "SIGIL_TRACING: a variable OTEL_" in said) == (78, True)
    code, said = new_service(SIGIL_TRACING="yes").start_in_vain()
    assert (code, "SIGIL_TRACING: " in said) == (78, True)
