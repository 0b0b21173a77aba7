"""Every alert, fired by what it is about, in a real Prometheus with the committed rules.

Only time is shortened, as ``quick_rules`` says.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from servers.processes import freeze
from servers.redis import running_server
from tests.faults.quick_rules import alert_names, quick_rules
from tests.service.monitoring.watched import Watch, metrics_address, watched, watched_alone
from tests.service.running import SIGILS
from tests.service.server.tls_files import NOW, Authority

heavy = pytest.mark.skipif(
    os.environ.get("RUN_HEAVY_TESTS") != "1", reason="waits for alerts, of each fault: RUN_HEAVY_TESTS=1"
)
_BUDGET = ("SigilErrorBudgetBurnsFast", "SigilErrorBudgetBurns", "SigilErrorBudgetLeaks")


def test_every_alert_is_fired() -> None:
    """Each alert has a test here that waits for it."""
    waited_for = set(re.findall(r'"((?:Sigil|DnaStore)\w+)"', Path(__file__).read_text()))
    assert waited_for == alert_names()


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Nobody else can write to a SQLite database."""
    holder = sqlite3.connect(database, isolation_level=None, timeout=30)
    try:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")
    finally:
        holder.close()


@contextlib.contextmanager
def _meanwhile(work: Callable[[], object], pause: float = 0.05) -> Iterator[None]:
    """Do something over and over, whether it succeeds or not."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(pause):
            with contextlib.suppress(OSError, AssertionError):
                work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def _encode(watch: Watch, data: object = None) -> Callable[[], object]:
    token = watch.token()
    body = {"data": {"n": 1} if data is None else data}
    return lambda: watch.service.call("POST", SIGILS, body, token=token)


@heavy
def test_an_instance_is_killed(tmp_path: Path) -> None:
    """One that is killed is missed, and so is a service of which none is left; a new one ends that."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        watch.prometheus.wait_until_scraped()
        watch.ceases("SigilInstanceDown", "SigilAllDown")  # before the first scrape, nobody was there
        watch.is_quiet("SigilInstanceDown", "SigilAllDown")
        watch.service.kill()
        watch.fires("SigilInstanceDown", "SigilAllDown")
        watch.service.start()
        watch.prometheus.scrape({"sigil": [metrics_address(watch.service)]})
        watch.ceases("SigilInstanceDown", "SigilAllDown")


@heavy
def test_a_database_is_locked(tmp_path: Path) -> None:
    """A store that takes no writes is told of, and encodes that fail use up the error budget."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        encode = _encode(watch)
        with _meanwhile(encode):
            time.sleep(2)
            watch.is_quiet("SigilStoreDown", *_BUDGET)
            with _locked(watch.service.data_dir / "sigils.db"):
                watch.fires("SigilStoreDown", *_BUDGET)
            watch.ceases("SigilStoreDown", "SigilErrorBudgetBurnsFast")


@heavy
def test_an_audit_log_is_blocked(tmp_path: Path) -> None:
    """A folder in the place of the file is told of until it is gone."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        encode = _encode(watch)
        encode()
        watch.is_quiet("SigilAuditDown")
        log = watch.service.data_dir / "audit.jsonl"
        log.rename(log.with_suffix(".moved"))
        log.mkdir()
        with _meanwhile(encode):
            watch.fires("SigilAuditDown")
            log.rmdir()
            watch.ceases("SigilAuditDown")


@heavy
def test_requests_find_no_room(tmp_path: Path) -> None:
    """A caller who sends a body slowly where there is room for one keeps the others out."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path), variables={"SIGIL_MAX_REQUESTS": "1"}) as watch:
        with socket.create_connection(("127.0.0.1", watch.service.port), timeout=20) as slow:
            head = f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            slow.sendall(
                f"{head}Authorization: Bearer {watch.token()}\r\nContent-Length: 100\r\n\r\n{{".encode()
            )
            with _meanwhile(_encode(watch)):
                watch.fires("SigilOverloaded")
        watch.ceases("SigilOverloaded")


@heavy
def test_a_record_is_changed(tmp_path: Path) -> None:
    """Whoever changes a payload in the database is noticed when it is read."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        token = watch.token()
        record = watch.service.encode({"n": 1}, token=token)
        watch.is_quiet("SigilRecordDamaged")
        with contextlib.closing(sqlite3.connect(watch.service.data_dir / "sigils.db")) as database, database:
            database.execute("""UPDATE sigils SET payload = CAST('{"n":2}' AS BLOB)""")
        answer = watch.service.call("GET", f"{SIGILS}/{record['id']}", token=token)
        assert answer.json["code"] == "record_corrupt"
        watch.fires("SigilRecordDamaged")
        watch.ceases("SigilRecordDamaged")


@heavy
def test_the_dnastore_is_killed(tmp_path: Path) -> None:
    """Its breaker opens and its spool ages and fills; what it rejects when it is back is told of."""
    with watched(
        tmp_path, rules=quick_rules(tmp_path), variables={"DNASTORE_SPOOL_MAX_BYTES": str(1 << 20)}
    ) as watch:
        names = ("SigilBreakerOpen", "SigilSpoolOld", "SigilSpoolFilling", "SigilSpoolAlmostFull")
        encode = _encode(watch, {"text": "x" * 20_000})
        encode()
        watch.is_quiet(*names, "SigilSpoolRejected")
        watch.store.kill()
        with _meanwhile(encode):
            watch.fires(*names)
        watch.store._write_allow_list({"sigil-service": ["globex"]})
        watch.store.variables["DNASTORE_SERVER_PORT"] = str(watch.store.port)
        watch.store.start()
        watch.fires("SigilSpoolRejected")
        watch.ceases(*names[:2])


@heavy
def test_the_dnastores_database_is_locked(tmp_path: Path) -> None:
    """A DNAStore tells that its own store takes no writes."""
    with watched(tmp_path, rules=quick_rules(tmp_path)) as watch:
        encode = _encode(watch)
        encode()
        watch.is_quiet("DnaStoreServerStoreDown")
        with _meanwhile(encode), _locked(watch.store.data_dir / "dnastore.db"):
            watch.fires("DnaStoreServerStoreDown")
        encode()
        watch.ceases("DnaStoreServerStoreDown")


@heavy
def test_redis_is_killed(tmp_path: Path) -> None:
    """Limits that are counted elsewhere meanwhile are told of, until Redis is back."""
    with (
        running_server(tmp_path / "redis") as redis,
        watched_alone(tmp_path, rules=quick_rules(tmp_path), variables={"REDIS_URL": redis.url}) as watch,
        _meanwhile(_encode(watch)),
    ):
        watch.is_quiet("SigilRateLimitsDegraded")
        redis.kill()
        watch.fires("SigilRateLimitsDegraded")
        redis.start()
        watch.ceases("SigilRateLimitsDegraded")


@heavy
def test_a_table_of_limits_is_full(tmp_path: Path) -> None:
    """More addresses than a table has room for are told of."""
    variables = {
        "SIGIL_RATE_CAPACITY": "1024",
        "SIGIL_RATE_WINDOW": "3600",
        "SIGIL_ADDRESS_RATE_LIMIT": "10",
        "SIGIL_TRUSTED_PROXIES": "127.0.0.1",
    }
    with watched_alone(tmp_path, rules=quick_rules(tmp_path), variables=variables) as watch:
        watch.prometheus.wait_until_scraped()
        watch.is_quiet("SigilBucketTableFull")
        with contextlib.closing(watch.service.connection()) as connection:
            for number in range(2000):
                headers = {"X-Forwarded-For": f"10.0.{number >> 8}.{number & 255}"}
                watch.service.call("GET", SIGILS, token="none", headers=headers, connection=connection)
        watch.fires("SigilBucketTableFull")


@heavy
def test_certificates_are_about_to_expire(tmp_path: Path) -> None:
    """Certificates of a day are told of on both sides, until ones of a year are in their place."""
    names = ("SigilCertificateExpiresSoon", "SigilCertificateExpiresNow")
    with watched(tmp_path, rules=quick_rules(tmp_path)) as watch:
        watch.fires(*names)
        jobs = {alert["job"] for alert in watch.prometheus.api.firing() if alert["alertname"] in names}
        assert jobs == {"sigil", "dnastore"}
        authority: Authority = watch.store.authority
        for days, left in ((20, names[:1]), (365, ())):
            authority.issue("server", not_after=NOW + timedelta(days=days))
            authority.issue("client", host="sigil-service", not_after=NOW + timedelta(days=days))
            watch.ceases(*set(names) - set(left))
            watch.fires(*left)


@heavy
def test_a_provider_is_away(tmp_path: Path) -> None:
    """Keys that cannot be fetched any more are told of, until they can."""
    with watched(tmp_path, rules=quick_rules(tmp_path)) as watch:
        watch.is_quiet("SigilKeySetStale")
        watch.provider.status = 500
        watch.fires("SigilKeySetStale")
        watch.provider.status = 200
        watch.ceases("SigilKeySetStale")


@heavy
def test_a_process_is_held_up(tmp_path: Path) -> None:
    """A process that stands still for 0.3 seconds of each second is late to everything."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        watch.is_quiet("SigilEventLoopLag")

        def hold_up() -> None:
            freeze(watch.service.pid)
            time.sleep(0.3)
            os.kill(watch.service.pid, signal.SIGCONT)

        with _meanwhile(hold_up, 0.7):
            watch.fires("SigilEventLoopLag")
        watch.ceases("SigilEventLoopLag")


@heavy
def test_descriptors_run_out(tmp_path: Path) -> None:
    """A process whose limit is hardly above what it has open is told of."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch:
        watch.is_quiet("SigilDescriptorsNearLimit")
        pid = watch.service.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        count = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (int(count / 0.85), usual[1]))
        watch.fires("SigilDescriptorsNearLimit")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        watch.ceases("SigilDescriptorsNearLimit")


@heavy
def test_memory_grows(tmp_path: Path) -> None:
    """Unfinished heads of more and more connections take memory, which is told of."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path)) as watch, contextlib.ExitStack() as stack:
        head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 60_000

        def connect() -> None:
            address = ("127.0.0.1", watch.service.port)
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(head)

        with _meanwhile(connect):
            watch.fires("SigilMemoryGrows", seconds=120)


@heavy
def test_a_worker_is_killed(tmp_path: Path) -> None:
    """A worker that dies is told of, though another takes its place."""
    with watched_alone(tmp_path, rules=quick_rules(tmp_path), variables={"SIGIL_WORKERS": "2"}) as watch:
        watch.prometheus.wait_until_scraped()
        watch.is_quiet("SigilWorkerRestarts")
        os.kill(watch.service.workers()[0], signal.SIGKILL)
        watch.fires("SigilWorkerRestarts")
        watch.ceases("SigilWorkerRestarts")
