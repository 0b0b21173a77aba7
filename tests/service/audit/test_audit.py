"""The audit log of a running service: what is in it, and what the service does when it cannot be written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.authentication.development import ISSUER
from tests.service.audit.audits import events, faults, lines
from tests.service.running import REPOSITORY, SIGILS, Service, clean_environment
from tests.service.server.wire import request, wait_until_deaf

NewService = Callable[..., Service]


def log_of(service: Service) -> Path:
    """Where a service has its audit log."""
    return service.data_dir / "audit.jsonl"


def secret_of(service: Service) -> str:
    """The secret that a service in development made up for it."""
    return (service.data_dir / "development" / "audit-secret").read_text()


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def audited(service: Service, **members: object) -> dict[str, Any]:
    """The one line with these members, once it is there; the chain's own members left out."""

    def found() -> list[dict[str, Any]]:
        return [line for line in lines(log_of(service)) if members.items() <= line.items()]

    until(found)
    (line,) = found()
    for name in ("seq", "chain", "time"):
        del line[name]
    return line


def test_what_is_done_is_audited(service: Service, tenant: str) -> None:
    """Encodes, verifications and revocations have a line: who did it to what, and never what that holds."""
    token = service.token(tenant, subject="clerk")
    headers = {"X-Request-Id": f"r-{tenant}"}
    body = {"data": {"hidden": "tell nobody"}}
    record = service.call("POST", SIGILS, body, token=token, headers=headers).json
    who = {"issuer": ISSUER, "tenant": tenant, "subject": "clerk", "request_id": f"r-{tenant}"}
    what = {"sigil_id": record["id"], "sealing_key": record["key_id"]}
    assert audited(service, tenant=tenant) == {**who, **what, "event": "sigil.encoded"}

    judged = {"sigil": record["sigil"], "data": {"hidden": "tell nobody"}}
    service.call("POST", f"{SIGILS}/verify", judged, token=token, headers=headers)
    line = audited(service, tenant=tenant, event="sigil.verified")
    assert line == {**who, **what, "event": "sigil.verified", "valid": True}
    judged["data"] = {}
    service.call("POST", f"{SIGILS}/verify", judged, token=token, headers=headers)
    line = audited(service, tenant=tenant, event="sigil.verified", valid=False)
    assert line["reason"] == "tag_mismatch"

    revoked = [
        service.call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "tell nobody"}, token=someone).json
        for someone in (token, service.token(tenant, subject="somebody"))
    ]
    for subject in ("clerk", "somebody"):
        line = audited(service, tenant=tenant, event="sigil.revoked", subject=subject)
        assert (line["revoked_by"], line["revoked_at"]) == ("clerk", revoked[0]["revoked_at"])

    text = log_of(service).read_text()
    for absent in ("tell nobody", record["sigil"], token, token.split(".")[2], secret_of(service), "s" * 32):
        assert absent not in text


def test_a_request_sent_again(service: Service, tenant: str) -> None:
    """What an idempotency key replays is on record as such: it was sealed once."""
    token = service.token(tenant)
    for request_id in ("once", "again"):
        headers = {"Idempotency-Key": "k", "X-Request-Id": f"{request_id}-{tenant}"}
        assert service.call("POST", SIGILS, {"data": {}}, token=token, headers=headers).status == 201
    once, again = (audited(service, request_id=f"{one}-{tenant}") for one in ("once", "again"))
    assert "replayed" not in once
    assert {**once, "request_id": f"again-{tenant}", "replayed": True} == again


def test_what_is_refused_is_audited(service: Service, tenant: str) -> None:
    """The real reason of a refusal and the peer's address are in the audit log; no caller gets them."""
    expired = service.token(tenant, lifetime=-5)
    answers = {
        "missing": service.call("GET", SIGILS, headers={"X-Request-Id": f"missing-{tenant}"}),
        "expired": service.call("GET", SIGILS, token=expired, headers={"X-Request-Id": f"expired-{tenant}"}),
    }
    for reason, answer in answers.items():
        line = audited(service, request_id=f"{reason}-{tenant}")
        assert line == {
            "event": "authentication.refused",
            "request_id": f"{reason}-{tenant}",
            "peer": "127.0.0.1",
            "reason": reason,
        }
        assert "expired" not in answer.body.decode().replace(f"expired-{tenant}", "")
    reader = service.token(tenant, "sigil:read", subject="reader")
    assert service.call("POST", SIGILS, {"data": {}}, token=reader).status == 403
    line = audited(service, event="authorization.refused", tenant=tenant)
    assert (line["subject"], line["role"], line["reason"]) == ("reader", "sigil:encode", "role_missing")
    nobodys = service.token("", subject=f"nobody's, not {tenant}'s")
    assert service.call("GET", SIGILS, token=nobodys).status == 403
    line = audited(service, event="authorization.refused", subject=f"nobody's, not {tenant}'s")
    assert (line["issuer"], line["reason"], line["peer"]) == (ISSUER, "tenant_invalid", "127.0.0.1")


def test_asking_for_anothers_record_is_audited(service: Service, tenant: str) -> None:
    """Who asks for an id that its tenant does not have is on record, whether somebody else has it or not."""
    record = service.encode({}, token=service.token(tenant))
    other = service.token(f"other-{tenant}")
    assert service.call("GET", f"{SIGILS}/{record['id']}", token=other).status == 404
    line = audited(service, event="sigil.not_found", tenant=f"other-{tenant}")
    assert line["sigil_id"] == record["id"]
    path = f"{SIGILS}/{record['id']}/revoke"
    assert (
        service.call("POST", path, {"reason": "x"}, token=other, headers={"X-Request-Id": tenant}).status
        == 404
    )
    assert audited(service, request_id=tenant)["event"] == "sigil.not_found"


def test_from_start_to_stop(new_service: NewService) -> None:
    """The log says when a process began and ended; over restarts and rotations it stays one chain."""
    service = new_service().start()
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    pid = service.pid
    with sqlite3.connect(service.data_dir / "sigils.db") as database:
        database.execute("UPDATE sigils SET payload = ?", (b'{"a":2}',))
    database.close()
    assert service.call("GET", f"{SIGILS}/{record['id']}", token=token).status == 500
    assert service.stop() == 0
    old = log_of(service).rename(service.data_dir / "audit.jsonl.1")
    assert events(old) == [
        "audit.begun",
        "service.started",
        "sigil.encoded",
        "sigil.withheld",
        "service.stopped",
    ]
    started, *_, withheld, stopped = lines(old)[1:]
    assert started["pid"] == stopped["pid"] == pid
    assert (withheld["sigil_id"], withheld["reason"]) == (record["id"], "tag_mismatch")
    last = service.logged("audit digest")[-1]["last"]
    assert last == f"{stopped['seq']}:{stopped['chain']}"
    service.start()
    assert lines(log_of(service))[0]["reason"] == "rotated"
    service.kill()
    assert faults([old, log_of(service)], secret_of(service)) == []


def test_a_stop_that_waits_for_nothing(new_service: NewService) -> None:
    """A second interrupt ends the process without its running requests; the log says that it stopped."""
    service = new_service().start()
    token = service.token()
    with slow_body(service, token):
        os.kill(service.pid, signal.SIGTERM)
        until(lambda: not accepts(service))
        os.kill(service.pid, signal.SIGINT)
        assert service.wait() == 0
    assert events(log_of(service)) == ["audit.begun", "service.started", "service.stopped"]


@contextmanager
def slow_body(service: Service, token: str) -> Iterator[None]:
    """A request of a service is under way, and its body does not arrive."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = (
            f"POST {SIGILS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n"
        )
        connection.sendall(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        yield


def accepts(service: Service) -> bool:
    """Whether a service takes connections."""
    try:
        socket.create_connection(("127.0.0.1", service.port)).close()
    except ConnectionError:
        return False
    return True


def break_log(service: Service) -> Callable[[], None]:
    """Put a folder in the place of a service's audit log; the answer puts things right again."""
    path = log_of(service)
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()

    def mend() -> None:
        path.rmdir()
        away.rename(path)

    return mend


def test_without_its_audit_log(new_service: NewService) -> None:
    """Where the log is required nothing is acknowledged without it, nor sealed once that is known."""
    service = new_service().start()
    token = service.token()
    kept = service.encode({"a": 1}, token=token)
    mend = break_log(service)
    judged = {"sigil": kept["sigil"], "data": {"a": 1}}
    calls: list[tuple[str, object]] = [
        (SIGILS, {"data": {"a": 2}}),
        (SIGILS, {"data": {"a": 3}}),
        (f"{SIGILS}/verify", judged),
        (f"{SIGILS}/{kept['id']}/revoke", {"reason": "x"}),
    ]
    for path, body in calls:
        answer = service.call("POST", path, body, token=token)
        assert (answer.status, answer.json["code"]) == (503, "audit_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    shown = service.call("GET", SIGILS, token=token).json["sigils"]
    assert len(shown) == 2  # the one with which it came out is not acknowledged, but kept
    assert {record["status"] for record in shown} == {"active"}
    ready = service.call("GET", "/readyz")
    assert (ready.status, ready.json["detail"]) == (503, "not now: audit_unavailable")
    assert service.call("GET", "/healthz").status == 200
    assert service.call("GET", f"{SIGILS}/{kept['id']}", token=token).status == 200

    mend()
    until(lambda: service.call("GET", "/readyz").status == 200)
    assert service.verify(kept["sigil"], {"a": 1}, token=token)["valid"]
    assert events(log_of(service))[2:] == ["sigil.encoded", "sigil.encoded", "sigil.verified"]
    assert faults([log_of(service)], secret_of(service)) == []
    assert [len(service.logged(f"audit log {said}")) for said in ("failing", "works again")] == [1, 1]


def test_where_the_log_is_not_required(new_service: NewService) -> None:
    """With the policy open the service goes on without its log, says so, and writes what waited."""
    service = new_service(SIGIL_AUDIT_FAILURE="open").start()
    token = service.token()
    mend = break_log(service)
    kept = service.encode({"a": 1}, token=token)
    assert service.verify(kept["sigil"], {"a": 1}, token=token)["valid"]
    until(lambda: service.call("GET", "/readyz").json["audit"] == "failing")
    mend()
    until(lambda: "sigil.verified" in events(log_of(service)))
    assert faults([log_of(service)], secret_of(service)) == []


@pytest.mark.parametrize("failure", ["closed", "open"])
def test_stop_that_is_hurried_keeps_the_lines(new_service: NewService, failure: str) -> None:
    """What the store still keeps while a hurried stop ends has its lines, though nobody waits for it."""
    service = new_service(SIGIL_AUDIT_FAILURE=failure).start()
    token, body = service.token(), b'{"data":{}}'
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(contextlib.closing(sqlite3.connect(service.data_dir / "sigils.db")))
        database.isolation_level = None
        database.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            caller.sendall(request(SIGILS, method="POST", body=body, token=token))
        assert service.call("GET", "/healthz").status == 200  # the others have been read before
        os.kill(service.pid, signal.SIGINT)
        wait_until_deaf(service.port)
        os.kill(service.pid, signal.SIGINT)
        until(lambda: service.logged("stop hurried"))
        database.execute("ROLLBACK")
        assert service.wait() == 0
        ((kept,),) = database.execute("SELECT COUNT(*) FROM sigils").fetchall()
    assert kept == events(log_of(service)).count("sigil.encoded") == 5


@pytest.mark.heavy("takes the log's patience, several times")
def test_frozen_disk(new_service: NewService) -> None:
    """A disk that hangs costs callers five seconds once; others are answered, and the process can end."""
    service = new_service().start()
    token = service.token()
    with (service.data_dir / "audit.jsonl.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(9) as callers:
            slow = [callers.submit(service.call, "POST", SIGILS, {"data": {}}, token=token) for _ in range(8)]
            while not all(one.done() for one in slow):
                assert service.call("GET", "/healthz").status == 200
                assert service.call("GET", SIGILS, token=token).status == 200
        assert {one.result().json["code"] for one in slow} == {"audit_unavailable"}
        begun = time.monotonic()
        for _ in range(20):
            assert service.call("POST", SIGILS, {"data": {}}, token=token).json["code"] == "audit_unavailable"
        assert time.monotonic() - begun < 50  # and not twenty times five
        fcntl.flock(lock, fcntl.LOCK_UN)
        until(lambda: service.call("GET", "/readyz").status == 200)
        service.encode({}, token=token)
        assert events(log_of(service)).count("sigil.encoded") == 9
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert service.stop() == 0
    assert service.logged("audit log not closed")


def test_switched_off(new_service: NewService) -> None:
    """Without an audit log no file is made, and readiness tells."""
    service = new_service(SIGIL_AUDIT="off").start()
    service.encode({}, token=service.token())
    assert service.call("GET", "/readyz").json["audit"] == "off"
    assert not log_of(service).exists()


@pytest.mark.parametrize("policy", ["closed", "open"])
def test_file_that_is_no_audit_log(new_service: NewService, policy: str) -> None:
    """A required log whose file is something else ends the start with one line; the file stays as it is."""
    service = new_service(SIGIL_AUDIT_FAILURE=policy)
    path = service.folder / "precious"
    path.write_text("precious\n")
    service.variables["SIGIL_AUDIT"] = str(path)
    if policy == "closed":
        code, said = service.start_in_vain()
        assert code == 69
        assert said.splitlines()[-1] == "SIGIL_AUDIT: the audit log is unavailable: foreign"
    else:
        assert service.start().call("GET", "/readyz").json["audit"] == "failing"
    assert path.read_text() == "precious\n"


def test_flood_of_bad_tokens(new_service: NewService) -> None:
    """Callers without tokens cannot make the log grow as fast as they call, and all of them are counted."""
    service = new_service().start()
    begun = time.monotonic()
    for _ in range(400):
        assert service.call("GET", SIGILS, headers={"X-Request-Id": "x" * 128}).status == 401
    seconds = time.monotonic() - begun
    assert service.stop() == 0
    found = lines(log_of(service))
    single = [line for line in found if line["event"] == "authentication.refused"]
    (counted,) = [line for line in found if line["event"] == "audit.limited"]
    assert 100 <= len(single) <= 101 + 5 * seconds
    assert counted["count"] + len(single) == 400
    assert (counted["of"], counted["reason"]) == ("authentication.refused", "missing")
    assert max(map(len, log_of(service).read_bytes().splitlines())) < 500


class Finished(NamedTuple):
    """What a service left that has ended.

    Attributes:
        text: its audit log.
        last: the end of the log, as the service exported it.
        secret_file: with the log's secret.
    """

    text: list[bytes]
    last: str
    secret_file: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A service that sealed, refused and ended."""
    service = Service(tmp_path_factory.mktemp("finished")).start()
    token = service.token()
    for number in range(10):
        service.encode({"n": number}, token=token)
        service.call("GET", SIGILS)
    service.stop()
    text = log_of(service).read_bytes().splitlines(keepends=True)
    secret_file = service.data_dir / "development" / "audit-secret"
    return Finished(text, service.logged("audit digest")[-1]["last"], secret_file)


def checked(finished: Finished, path: Path, text: list[bytes]) -> tuple[int, str]:
    """Exit code and findings of the auditor's command for a file of these lines."""
    path.write_bytes(b"".join(text))
    command = [sys.executable, "-m", "sigil_native.cli", "audit", "verify", str(path)]
    options = ["--last", finished.last, "--secret-file", str(finished.secret_file)]
    done = subprocess.run(
        [*command, *options],
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_auditors_command(finished: Finished, tmp_path: Path) -> None:
    """What a service wrote is valid for the command of the library, up to the digest that it exported."""
    code, said = checked(finished, tmp_path / "audit.jsonl", finished.text)
    assert (code, said.splitlines()[0]) == (0, "valid")
    assert finished.last in said


@pytest.mark.parametrize(
    ("named", "change"),
    [
        (
            7,
            lambda text: [
                *text[:6],
                text[6].replace(b'"acme"', b'"evil"').replace(b"missing", b"expired"),
                *text[7:],
            ],
        ),
        # These three the tests of the verifier have too.
        pytest.param(7, lambda text: [*text[:6], *text[7:]], marks=pytest.mark.heavy),
        pytest.param(7, lambda text: [*text[:6], text[7], text[6], *text[8:]], marks=pytest.mark.heavy),
        pytest.param(8, lambda text: [*text[:7], text[6], *text[7:]], marks=pytest.mark.heavy),
        (1, lambda text: text[1:]),
        (20, lambda text: text[:-3]),  # of 23: begun, started, 20 for the calls, stopped
    ],
    ids=["changed", "removed", "swapped", "repeated", "head cut", "tail cut"],
)
def test_what_was_done_to_the_file_is_found(
    finished: Finished, tmp_path: Path, named: int, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """Whatever somebody does to the file of a service, the auditor's command names the line."""
    code, said = checked(finished, tmp_path / "audit.jsonl", change(finished.text))
    assert code == 1
    assert f"audit.jsonl, line {named}" in said
