"""Metrics, read as Prometheus reads them."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client import values

from app.metrics.folder import MetricsFolder
from app.metrics.metrics import Metrics
from app.metrics.observers import counting_in
from app.server.failures import StartFailedError
from app.server.worker import WorkerEnd
from app.server.workers import Supervisor
from servers.processes import freeze
from tests.service.running import Answer, Service, forks

_SECONDS = 120.0


def ask(port: int, path: str = "/metrics", *, method: str = "GET", accept: str = "") -> Answer:
    """One request to a metrics listener."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def value(port: int, sample: str) -> float | None:
    """A sample's value, or None where there is none."""
    answer = ask(port)
    assert answer.status == 200
    found = re.findall(rf"^{re.escape(sample)} (\S+)$", answer.body.decode(), re.MULTILINE)
    assert len(found) <= 1
    return float(found[0]) if found else None


def metrics_port(service: Service) -> int:
    """Where a service says that its metrics are."""
    (record,) = service.logged("metrics")
    return urlsplit(record["url"]).port or 0


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_service_has_metrics_at_an_address_of_their_own(service: Service) -> None:
    """Both text forms, at one path, for GET and HEAD; and not at the service's own address."""
    port = metrics_port(service)
    answer = ask(port)
    assert (answer.status, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert b"\nsigil_rate_limit_table_full_total 0.0\n" in answer.body
    assert b"\nprocess_resident_memory_bytes " in answer.body
    open_metrics = ask(port, accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.body.endswith(b"# EOF\n")
    head = ask(port, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert ask(port, "/").status == 404
    assert ask(port, method="POST").status == 405
    assert service.call("GET", "/metrics").status == 404


def hung_up() -> contextlib.AbstractContextManager[None]:
    """The other side may be quicker."""
    return contextlib.suppress(OSError)


def test_nonsense_gets_no_answer(service: Service) -> None:
    """What is no HTTP, or too long, is hung up on, and the next is answered."""
    port = metrics_port(service)
    for nonsense in (b"\r\n\r\n", b"GET " + b"x" * 40_000, b"\xff\xff\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, hung_up():
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert ask(port).status == 200


def test_settings_that_cannot_work_name_their_variable(new_service: Callable[..., Service]) -> None:
    """A port that is taken, or none, keeps the service from starting, and it says which variable is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = new_service(SIGIL_METRICS_PORT=str(port)).start_in_vain()
    assert (code, "SIGIL_METRICS_HOST, SIGIL_METRICS_PORT: cannot listen on" in said) == (69, True)
    code, said = new_service(SIGIL_METRICS_PORT="65536").start_in_vain()
    assert (code, "SIGIL_METRICS_PORT: must be a port, 0 for any free one, or off" in said) == (78, True)


def test_metrics_may_be_off(new_service: Callable[..., Service]) -> None:
    """Then nothing listens for them."""
    service = new_service(SIGIL_METRICS_PORT="off").start()
    assert service.logged("metrics") == []


def test_several_workers_answer_at_one_address(new_service: Callable[..., Service]) -> None:
    """Whichever worker accepts answers for all; one that is frozen keeps nobody from an answer."""
    service = new_service(SIGIL_WORKERS="2").start()
    port = metrics_port(service)
    frozen, _ = service.workers()
    freeze(frozen)
    try:
        for _ in range(20):
            assert value(port, "sigil_rate_limit_table_full_total") == 0.0
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert service.stop() == 0


def test_no_room_for_metrics_is_said() -> None:
    """A worker that could not count does not start, and says which files it is about."""
    metrics = Metrics("127.0.0.1", 0, workers=2, variables="A, B")
    try:
        assert metrics._folder is not None
        shutil.rmtree(metrics._folder.path)
        with (
            pytest.raises(StartFailedError, match=r"A, B: .*sigil-metrics-"),
            metrics.at_work(counting_in, 1),
        ):
            pass
    finally:
        metrics.close()


class _Crew(NamedTuple):
    """Workers that do nothing but count, below a parent."""

    parent: int
    port: int
    notes: Path

    def pid(self, place: int) -> int:
        """The worker that fills a place."""
        return int((self.notes / f"pid-{place}").read_text() or 0)

    def folder(self) -> Path:
        """Where they count."""
        return Path((self.notes / "folder").read_text())


def _be_parent(notes: Path) -> None:
    metrics = Metrics("127.0.0.1", 0, workers=2, variables="A, B")
    assert metrics._folder is not None
    (notes / "folder").write_text(str(metrics._folder.path))

    def work(end: WorkerEnd) -> None:
        with metrics.at_work(counting_in, end.place) as observers:
            observer = observers.limits
            observer.backend_is("redis", "degraded" if end.place == 1 else "ok")
            observers.stores.circuit_is("open" if end.place == 1 else "closed")
            observers.stores.requested("POST", 200, 0.003)
            (notes / f"pid-{end.place}").write_text(str(os.getpid()))
            end.say_started()
            while not select.select([end.channel], [], [], 0.001)[0]:
                observer.decided("user", "allowed")
            observer.table_was_full(2)

    listener = socket.create_server(("127.0.0.1", 0))

    def started() -> None:
        (notes / "port").write_text(str(metrics.port))

    Supervisor(2, listener, work, stop_seconds=20, on_ended=metrics.ended).run(started)
    metrics.close()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[_Crew]:
    """Two workers that count."""
    process = forks.Process(target=_be_parent, args=(tmp_path,))
    process.start()
    assert process.pid is not None
    port = tmp_path / "port"
    eventually(lambda: port.exists() and bool(port.read_text()))
    yield _Crew(process.pid, int(port.read_text()), tmp_path)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    process.join(_SECONDS)


def test_killed_worker_takes_nothing_along(crew: _Crew) -> None:
    """Counters never go backwards, gauges speak of the living only, and no files pile up."""
    gauge = 'sigil_rate_limit_backend_state{backend="redis"}'
    counted = 0.0

    def degraded() -> float | None:
        nonlocal counted
        now = value(crew.port, 'sigil_rate_limit_total{limit="user",outcome="allowed"}') or 0.0
        assert now >= counted
        counted = now
        return value(crew.port, gauge)

    assert degraded() == 1.0
    assert value(crew.port, "dnastore_circuit_state") == 2.0
    request = '{method="POST",status_code="200"}'
    # What the others counted in the last second comes with the next one.
    eventually(lambda: value(crew.port, f"dnastore_request_duration_seconds_count{request}") == 2.0)
    assert value(crew.port, 'sigil_rate_limit_total{limit="user",outcome="refused"}') == 0.0
    files = {path.name for path in crew.folder().iterdir()}
    for _ in range(2):
        before, victim = counted, crew.pid(1)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: degraded() == 0.0)
        eventually(lambda: degraded() == 1.0)
        assert crew.pid(1) != victim
        assert counted > before
    eventually(lambda: {path.name for path in crew.folder().iterdir()} == files)
    os.kill(crew.parent, signal.SIGTERM)
    eventually(lambda: not crew.folder().exists())


def test_killed_service_leaves_nothing_for_long(crew: _Crew) -> None:
    """The folder of a service that was killed whole is removed by the next one; a living one's is not."""
    folder = crew.folder()
    MetricsFolder().remove()
    assert folder.exists()
    for pid in (crew.parent, crew.pid(0), crew.pid(1)):
        with contextlib.suppress(ProcessLookupError):  # workers end with their parent
            os.kill(pid, signal.SIGKILL)

    def is_gone() -> bool:
        MetricsFolder().remove()
        return not folder.exists()

    eventually(is_gone)


def test_room_is_enough_for_every_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker can count at most fits into the files that are set aside: none grows later."""
    # Of the whole process: other tests count without a folder.
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    metrics = Metrics("127.0.0.1", 0, workers=2, variables="A, B")
    try:
        assert metrics._folder is not None
        with metrics.at_work(counting_in, 1) as observers:
            sizes = {path.name: path.stat().st_size for path in metrics._folder.path.iterdir()}
            assert observers.requests is not None
            for route in range(14):
                for status in (0, 200, 201, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503):
                    name = f"/api/consciousness/sigils/{{id}}/{route:010}"
                    observers.requests._requests.labels("POST", name, str(status)).observe(1)
            for number in range(16):
                for verb in ("encode", "verify"):
                    observers.requests._of_class(verb, f"{number:032}")
            after = {path.name: path.stat().st_size for path in metrics._folder.path.iterdir()}
        assert after == sizes
    finally:
        metrics.close()
