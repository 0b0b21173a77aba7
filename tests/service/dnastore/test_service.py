"""The service in front of a DNAStore, both as they are started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.service.dnastore.running import DnaStore
from tests.service.metrics.test_metrics import metrics_port, value
from tests.service.running import SIGILS, Service

heavy = pytest.mark.heavy("takes seconds")


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, dnastore: DnaStore) -> Iterator[Service]:
    """A service that keeps its records in the DNAStore, for all tests that do not harm it."""
    folder = tmp_path_factory.mktemp("remote")
    running = Service(folder, **dnastore.client_variables).start()
    yield running
    running.stop()


def test_the_whole_way(remote: Service, tenant: str) -> None:
    """What is sealed through the service is in the DNAStore, and read, listed, judged and revoked there."""
    token = remote.token(tenant)
    first = remote.encode({"n": 1}, token=token)
    large = remote.call("POST", SIGILS, b'{"data":{"n":1e17}}', token=remote.token(f"{tenant}-large"))
    assert large.status == 201, large.body
    again = {"Idempotency-Key": "key"}
    kept = [
        remote.call("POST", SIGILS, {"data": {"n": 2}}, token=token, headers=again).json["id"]
        for _ in range(2)
    ]
    assert kept[0] == kept[1]
    batch = remote.call(
        "POST",
        f"{SIGILS}/batch",
        b'{"data":{"n":3}}\n{"data":{"n":4}}\n',
        token=token,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert batch.status == 200, batch.body
    read = remote.call("GET", f"{SIGILS}/{first['id']}", token=token)
    assert (read.status, read.json["data"]) == (200, {"n": 1})
    assert remote.call("GET", f"{SIGILS}/01890000-0000-7000-8000-000000000000", token=token).status == 404
    assert remote.call("GET", f"{SIGILS}/{first['id']}", token=remote.token("somebody-else")).status == 404
    assert remote.verify(first["sigil"], {"n": 1}, token=token)["valid"]
    revoked = remote.call("POST", f"{SIGILS}/{first['id']}/revoke", {"reason": "leaked"}, token=token)
    assert revoked.json["status"] == "revoked"
    assert remote.verify(first["sigil"], {"n": 1}, token=token)["revocation"] == "revoked"
    page = remote.call("GET", f"{SIGILS}?limit=3", token=token).json
    rest = remote.call("GET", f"{SIGILS}?limit=3&cursor={page['next_cursor']}", token=token).json
    assert [len(page["sigils"]), len(rest["sigils"])] == [3, 1]
    assert rest["sigils"][0]["id"] == first["id"]
    assert remote.call("GET", "/readyz").status == 200


@heavy
def test_while_it_is_away(new_dnastore: Callable[..., DnaStore], new_service: Callable[..., Service]) -> None:
    """Without its DNAStore the service says so in every answer, and works again by itself when it is back."""
    dnastore = new_dnastore().start()
    port = dnastore.port
    service = new_service(
        **dnastore.client_variables,
        DNASTORE_TIMEOUT="1",
        DNASTORE_BREAKER_PAUSE="0.1",
        DNASTORE_BREAKER_FAILURES="2",
    ).start()
    token = service.token()
    record = service.encode({"n": 1}, token=token)
    dnastore.stop()
    for _ in range(3):
        answer = service.call("POST", SIGILS, {"data": {}}, token=token)
        assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert service.verify(record["sigil"], {"n": 1}, token=token)["revocation"] == "unknown"
    assert service.call("GET", "/readyz").status == 503
    assert service.call("GET", "/healthz").status == 200
    assert service.logged("dnastore failing")
    dnastore.variables["DNASTORE_SERVER_PORT"] = str(port)
    dnastore.start()
    _until_ready(service)
    assert service.verify(record["sigil"], {"n": 1}, token=token)["valid"]
    assert service.logged("dnastore works again")
    port = metrics_port(service)
    assert value(port, "dnastore_circuit_state") == 0
    assert value(port, 'dnastore_request_duration_seconds_count{method="GET",status_code="200"}') == 1
    assert value(port, 'dnastore_request_duration_seconds_count{method="POST",status_code="none"}')


@heavy
def test_a_dnastore_that_is_away_does_not_prevent_the_start(
    new_dnastore: Callable[..., DnaStore], new_service: Callable[..., Service]
) -> None:
    """The service starts without its DNAStore, is not ready, and becomes so when it is there."""
    dnastore = new_dnastore().start()
    variables, port = dnastore.client_variables, dnastore.port
    dnastore.stop()
    service = new_service(**variables, DNASTORE_BREAKER_FAILURES="1", DNASTORE_BREAKER_PAUSE="0.1").start()
    assert [one["reason"] for one in service.logged("dnastore away")] == ["connection"]
    assert service.call("GET", "/readyz").status == 503
    dnastore.variables["DNASTORE_SERVER_PORT"] = str(port)
    dnastore.start()
    _until_ready(service)
    service.encode({"n": 1}, token=service.token())


def _until_ready(service: Service) -> None:
    deadline = time.monotonic() + 30
    while service.call("GET", "/readyz").status != 200:
        assert time.monotonic() < deadline, service.log_path.read_text()
        time.sleep(0.1)
