"""What a running service tells of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.service.limits.limited import audited
from tests.service.metrics.test_metrics import ask, eventually, metrics_port
from tests.service.running import SIGILS, Service

ROOT = Path(__file__).resolve().parents[3]


def samples(service: Service) -> dict[str, float]:
    """Every sample, by its name and labels as text."""
    text = ask(metrics_port(service)).body.decode()
    return {
        one.name + json.dumps(one.labels, sort_keys=True): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def of(found: dict[str, float], name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return found.get(name + json.dumps(labels, sort_keys=True), 0.0)


def use(service: Service) -> None:
    """Seal, verify, be refused, and ask for what is not there."""
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    service.verify(record["sigil"], {"a": 1}, token=token)
    service.verify(record["sigil"], {"a": 2}, token=token)
    lines = {"Content-Type": "application/x-ndjson"}
    service.call(
        "POST", f"{SIGILS}/batch", b'{"data":{}}\n{"data":{}}\n{"data":1}\n', token=token, headers=lines
    )
    service.call("POST", SIGILS, {"data": {}}, token="none")
    service.call("GET", f"{SIGILS}/{record['id']}", token=token)
    service.call("GET", "/nowhere")


def test_requests_are_counted(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """Items by class and outcome, requests by route, problems by code, refusals by reason."""
    classes = tmp_path / "classes.json"
    classes.write_text('{"gold":["acme"]}')
    service = new_service(SIGIL_TENANT_CLASSES=str(classes)).start()
    use(service)
    found = samples(service)
    encode = "sigil_encode_total"
    assert of(found, encode, tenant_class="gold", outcome="sealed") == 3
    assert of(found, encode, tenant_class="gold", outcome="refused") == 1
    assert of(found, encode, tenant_class="default", outcome="refused") == 1
    assert of(found, "sigil_verify_total", tenant_class="gold", outcome="valid") == 1
    assert of(found, "sigil_verify_total", tenant_class="gold", outcome="invalid") == 1
    assert sum(value for name, value in found.items() if name.startswith("sigil_verify_invalid_total")) == 1
    assert of(found, "sigil_error_total", code="unauthenticated") == 1
    assert of(found, "sigil_auth_failures_total", reason="malformed") == 1
    assert of(found, "sigil_encode_duration_seconds_count", tenant_class="gold") == 1
    assert of(found, "sigil_batch_items_sum", verb="encode") == 3
    count = "sigil_http_request_duration_seconds_count"
    assert of(found, count, method="GET", route=SIGILS + "/{id}", status="200") == 1
    assert of(found, count, method="GET", route="other", status="404") == 1
    assert of(found, "sigil_storage_write_seconds_count", operation="put") == 2
    assert of(found, "sigil_storage_commit_writes_count") >= 2
    assert of(found, "sigil_storage_up") == 1
    assert not [name for name in found if "acme" in name or "tester" in name]
    classes.write_text('{"silver":["acme"]}')
    os.kill(service.pid, signal.SIGHUP)
    eventually(lambda: bool(service.logged("tenant classes changed")))
    service.encode({"b": 1}, token=service.token())
    assert of(samples(service), encode, tenant_class="silver", outcome="sealed") == 1
    assert audited(service, "tenant_classes.changed", 1)[0]["tenants"] == "1"
    classes.write_text("[")
    os.kill(service.pid, signal.SIGHUP)
    assert audited(service, "tenant_classes.refused", 1)[0]["reason"] == "unusable"
    service.encode({"c": 1}, token=service.token())
    assert of(samples(service), encode, tenant_class="silver", outcome="sealed") == 2


def test_strangers_and_slow_callers_change_no_objective(new_service: Callable[..., Service]) -> None:
    """Who hangs up is no failure of ours, who is refused no quick one, a body that drips no slow one."""
    service = new_service().start()
    head = (
        f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as gone:
        gone.sendall(head + b"{")
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as other:
        other.sendall(b"M0 / HTTP/1.1\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 400 ")
    service.call("POST", SIGILS, {"data": {}}, token="none")
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as slow:
        slow.sendall(head + b'{"data"')
        time.sleep(1)
        slow.sendall(b":{}}")
        assert slow.recv(100).startswith(b"HTTP/1.1 201 ")
    encode, default = "sigil_encode_total", {"tenant_class": "default"}
    eventually(lambda: of(samples(service), encode, **default, outcome="abandoned") == 1)
    found = samples(service)
    eventually(lambda: of(samples(service), "sigil_http_malformed_total") == 1)
    assert of(found, encode, **default, outcome="failed") == 0
    assert of(found, encode, **default, outcome="refused") == 1
    assert of(found, "sigil_encode_duration_seconds_count", **default) == 1
    assert of(found, "sigil_encode_duration_seconds_sum", **default) < 1


def test_figures_are_read(service: Service) -> None:
    """Queues, caches, keys, tables, the loop's lag, the process and the build have figures after a second."""
    use(service)
    eventually(lambda: of(samples(service), "sigil_cache_requests_total", cache="tokens", outcome="hit") > 0)
    eventually(lambda: of(samples(service), "sigil_rate_limit_table_capacity", table="addresses") > 0)
    found = samples(service)
    assert of(found, "sigil_process_resident_memory_bytes", worker="0") > 10_000_000
    assert of(found, "sigil_process_open_fds", worker="0") > 3
    assert of(found, "sigil_process_threads", worker="0") >= 1
    assert of(found, "sigil_workers") == 1
    assert of(found, "sigil_audit_up") == 1
    assert of(found, "sigil_audit_lines_total", outcome="written") > 0
    assert of(found, "sigil_keys", state="active") == 1
    assert of(found, "sigil_storage_database_bytes") > 0
    assert 'sigil_queue_depth{"queue": "store_writes"}' in found
    assert of(found, "sigil_event_loop_lag_seconds_count") > 0
    assert any(name.startswith("sigil_build_info") and '"component": "service"' in name for name in found)


def test_blocked_loop_is_seen(service: Service) -> None:
    """A process that stood still for a while shows a lag of as long."""
    os.kill(service.pid, signal.SIGSTOP)
    signal.sigtimedwait([], 0.6)
    os.kill(service.pid, signal.SIGCONT)
    eventually(lambda: of(samples(service), "sigil_event_loop_lag_seconds_sum") > 0.3)


def test_several_workers_are_summed(new_service: Callable[..., Service]) -> None:
    """Counters are everybody's, process figures each worker's; one that is killed is counted as replaced."""
    service = new_service(SIGIL_WORKERS="2").start()
    for _ in range(20):
        service.encode({"a": 1}, token=service.token())

    def sealed() -> float:
        return of(samples(service), "sigil_encode_total", tenant_class="default", outcome="sealed")

    eventually(lambda: sealed() == 20)  # each worker's a second later, unless it is the one that answers
    eventually(lambda: of(samples(service), "sigil_workers") == 2)
    for worker in ("0", "1"):
        assert of(samples(service), "sigil_process_resident_memory_bytes", worker=worker) > 0
    os.kill(service.workers()[1], signal.SIGKILL)
    eventually(lambda: of(samples(service), "sigil_worker_restarts_total") == 1)
    assert sealed() == 20
    eventually(lambda: of(samples(service), "sigil_workers") == 2)


def test_every_name_is_documented(service: Service) -> None:
    """What a service serves stands in docs/metrics.md, and what stands there of the service is served."""
    use(service)
    eventually(lambda: of(samples(service), "sigil_audit_up") == 1)
    eventually(lambda: of(samples(service), "sigil_rate_limit_table_capacity", table="addresses") > 0)
    text = ask(metrics_port(service)).body.decode()
    served = set(re.findall(r"^# TYPE ((?:sigil|dnastore)_\S+)", text, re.MULTILINE))
    page = (ROOT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `((?:sigil|dnastore)_\w+)", page, re.MULTILINE))
    assert served - documented == set()
    only_sometimes = set(
        re.findall(r"^\| `((?:sigil|dnastore)_\w+)[^|]*\|[^|]*\|[^|]*\| only", page, re.MULTILINE)
    )
    assert documented - served - only_sometimes == set()
