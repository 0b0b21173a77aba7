"""Keys change under load, and no request fails."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sigil_native._keyfile import KeyEntry, write_key_ring_file
from tests.heavy import HEAVY
from tests.service.keys.key_rotation import Load, Operator, wait_until, ways_to_spoil
from tests.service.running import SIGILS, Service
from tests.sigils import base64url, key_id_of

#: Processes of the service; the drill is the same for any number.
WORKERS = 2
FIRST = b"1" * 32
#: Of each client, at least, between two steps.
TURNS = 500 if HEAVY else 10


def write(path: Path, *entries: KeyEntry) -> None:
    """Put a ring in the place of another."""
    write_key_ring_file(path, entries, replace=True)


@pytest.fixture
def with_ring(new_service: Callable[..., Service], tmp_path: Path) -> Callable[..., tuple[Service, Operator]]:
    """Starts a service with a key ring file of one key."""

    def start(**variables: str) -> tuple[Service, Operator]:
        path = tmp_path / "keys.json"
        write_key_ring_file(path, [KeyEntry(FIRST)])
        variables["SIGIL_WORKERS"] = str(WORKERS)
        service = new_service(SIGIL_KEYRING=str(path), **variables).start()
        return service, Operator(path, WORKERS)

    return start


@pytest.mark.parametrize(
    "asked", [pytest.param(False, marks=pytest.mark.heavy, id="file change"), pytest.param(True, id="SIGHUP")]
)
def test_drill(with_ring: Callable[..., tuple[Service, Operator]], asked: bool) -> None:
    """Add, sign with the new, retire and remove the old key: every answer is good throughout."""
    service, operator = with_ring(SIGIL_RELOAD_SECONDS="0" if asked else "0.05")
    old = f"{key_id_of(FIRST):08x}"
    load = Load(service, clients=3)
    load.go_on(TURNS)
    first = load.sealed[0]

    new = operator.keys("add")
    operator.taken_up(service, ask=asked)
    load.go_on(TURNS)
    assert {record["key_id"] for record in load.sealed} == {old}

    operator.keys("activate", new)
    operator.taken_up(service, ask=asked)
    load.go_on(TURNS)
    assert service.encode({}, token=service.token())["key_id"] == new

    operator.keys("retire", old, "--in", "1h")
    operator.taken_up(service, ask=asked)
    load.go_on(TURNS)

    load.give_up(old)
    operator.keys("retire", old)
    operator.taken_up(service, ask=asked)
    load.go_on(TURNS)
    token = service.token()
    assert service.verify(first["sigil"], first["data"], token=token)["reason"] == "retired_key"
    assert service.call("GET", f"{SIGILS}/{first['id']}", token=token).status == 200

    operator.keys("remove", old)
    operator.taken_up(service, ask=asked)
    load.go_on(TURNS)
    assert service.verify(first["sigil"], first["data"], token=token)["reason"] == "unknown_key"
    assert service.call("GET", f"{SIGILS}/{first['id']}", token=token).json["code"] == "record_unverifiable"

    assert load.finish() >= 3 * 6 * TURNS
    assert not service.logged("key ring refused")
    assert len(service.logged("key ring changed")) == 5 * WORKERS
    removed = service.logged("key ring changed")[-1]
    assert removed["removed"].startswith(f"{old} verify-only until ")
    assert service.stop() == 0


def test_broken_files_under_load(with_ring: Callable[..., tuple[Service, Operator]]) -> None:
    """A file that is no usable ring changes nothing but the log; a good one is taken up again."""
    service, operator = with_ring(SIGIL_RELOAD_SECONDS="0.05")
    path = operator.path
    load = Load(service, clients=2)
    spoiled = ways_to_spoil(path)
    spoiled["no key"] = lambda: write(path)
    spoiled["no active key"] = lambda: write(path, KeyEntry(FIRST, "verify-only"))
    for number, (how, spoil) in enumerate(spoiled.items()):
        said = len(service.logged("key ring refused")) + WORKERS
        spoil()
        wait_until(lambda said=said: len(service.logged("key ring refused")) >= said)  # type: ignore[misc]
        load.go_on(3)
        assert service.call("GET", "/readyz").status == 200, how
        if path.is_dir():
            path.rmdir()
        write(path, KeyEntry(FIRST), KeyEntry(bytes([64 + number]) * 32, "verify-only"))
        operator.taken_up(service)
    load.finish()
    log = service.log_path.read_text()
    assert "hunter2" not in log
    assert base64url(FIRST) not in log
    reasons = {record["reason"] for record in service.logged("key ring refused")}
    assert reasons == {"unusable", "empty", "no_active_key"}


def test_file_written_slowly(with_ring: Callable[..., tuple[Service, Operator]]) -> None:
    """A file that is written in place, piece by piece, ends up in use, and nothing else before."""
    service, operator = with_ring(SIGIL_RELOAD_SECONDS="0.05")
    load = Load(service, clients=2)
    before = operator.path.read_bytes()
    operator.keys("add")
    after = operator.path.read_bytes()
    operator.path.write_bytes(before)
    with operator.path.open("wb", buffering=0) as file:
        for start in range(0, len(after), 40):
            file.write(after[start : start + 40])
            time.sleep(0.01)
    operator.taken_up(service)
    load.finish()
    changes = service.logged("key ring changed")
    assert len(changes) == WORKERS
    assert not any("removed" in change for change in changes)


def test_pipe_in_its_place(with_ring: Callable[..., tuple[Service, Operator]]) -> None:
    """A pipe in the ring's place is refused, not waited for: the file that takes its place is taken up."""
    service, operator = with_ring(SIGIL_RELOAD_SECONDS="0.05")
    good = operator.path.read_bytes()
    operator.path.unlink()
    os.mkfifo(operator.path)
    wait_until(lambda: len(service.logged("key ring refused")) == WORKERS)
    service.encode({}, token=service.token())
    restored = operator.path.with_suffix(".new")
    restored.write_bytes(good)
    restored.rename(operator.path)
    operator.keys("add")
    operator.taken_up(service)
    assert service.stop() == 0


def test_secret_files(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """A secret of a file changes without a restart: first among those to verify with, then in its place."""
    current, previous = tmp_path / "current", tmp_path / "previous"
    current.write_bytes(b"a" * 32)
    previous.write_bytes(b"")
    service = new_service(
        SPIRAL_EVENT_SECRET_FILE=str(current),
        SPIRAL_EVENT_SECRET_PREVIOUS_FILE=str(previous),
        SIGIL_RELOAD_SECONDS="0.05",
    ).start()
    load = Load(service, clients=2)
    load.go_on(3)
    for number, (path, content) in enumerate(
        ((previous, b"a" * 32 + b"\n" + b"b" * 32), (current, b"b" * 32 + b"\n")), start=1
    ):
        path.write_bytes(content)
        wait_until(lambda number=number: len(service.logged("key ring changed")) == number)  # type: ignore[misc]
        load.go_on(3)
    assert service.encode({}, token=service.token())["key_id"] == f"{key_id_of(b'b' * 32):08x}"
    load.finish()


def test_hangup_without_files(new_service: Callable[..., Service]) -> None:
    """A secret of the environment cannot change: SIGHUP is answered in the log, and harms nothing."""
    service = new_service(SPIRAL_EVENT_SECRET="e" * 32).start()
    for number in (1, 2):
        os.kill(service.pid, signal.SIGHUP)
        wait_until(lambda number=number: len(service.logged("key ring unchanged")) == number)  # type: ignore[misc]
    assert "restart" in service.logged("key ring unchanged")[0]["source"]
    assert service.call("GET", "/readyz").status == 200
    assert service.stop() == 0


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_hangups_from_beginning_to_end(new_service: Callable[..., Service]) -> None:
    """SIGHUP ends the service neither before it serves nor while it stops."""
    service = new_service(SIGIL_PORT=str(free_port()))
    # As a child of this process: its number stays its own until it has been waited for.
    starting = threading.Thread(target=service.start, kwargs={"fresh": True})
    starting.start()
    port = int(service.variables["SIGIL_PORT"])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.001)
    while starting.is_alive():
        os.kill(service.pid, signal.SIGHUP)
        time.sleep(0.002)
    starting.join()
    assert service.call("GET", "/healthz").status == 200
    pid, ended = service.pid, threading.Event()

    def hang_up() -> None:
        while not ended.is_set():
            os.kill(pid, signal.SIGHUP)
            time.sleep(0.002)

    hanging_up = threading.Thread(target=hang_up)
    hanging_up.start()
    wait_until(lambda: bool(service.logged("key ring unchanged")))
    os.kill(pid, signal.SIGTERM)
    try:
        wait_until(lambda: bool(service.logged("stopped")))
    finally:
        ended.set()
        hanging_up.join()
    assert service.wait() == 0
