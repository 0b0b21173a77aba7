"""Several worker processes: starting, replacing, stopping, and what they share."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import itertools
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.server.failures import StartFailedError
from app.server.listening import listen
from app.server.worker import WorkerEnd
from app.server.workers import Supervisor
from core.store.turns import Turns
from tests.service.running import SIGILS, Service, forks


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """A service of three workers."""
    return new_service(SIGIL_WORKERS="3", SPIRAL_EVENT_SECRET="w" * 32).start()


def test_start_and_stop(service: Service) -> None:
    """Once all workers accept there is one "listening" line; a stop ends all of them, and frees the port."""
    (listening,) = service.logged("listening")
    workers = service.workers()
    assert listening["workers"] == len(workers) == 3
    assert service.pid not in workers
    assert service.stop() == 0
    assert not any(lives(pid) for pid in workers)
    assert {record["pid"] for record in service.logged("worker stopped")} == set(workers)
    assert len(service.logged("stopped")) == 1
    # The last one to go has folded the write-ahead log in.
    assert not (service.data_dir / "sigils.db-wal").exists()
    with socket.create_server(("127.0.0.1", service.port)):
        pass


def test_secrets_stay_off_command_lines(service: Service) -> None:
    """Workers are told nothing that a list of processes shows."""
    for pid in (service.pid, *service.workers()):
        with open(f"/proc/{pid}/cmdline", "rb") as shown:  # noqa: PTH123
            assert b"w" * 32 not in shown.read()


def test_all_workers_serve(service: Service) -> None:
    """What one worker has sealed every other can serve and verify, and a revocation holds for all."""
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    for _ in range(20):
        assert service.call("GET", f"{SIGILS}/{record['id']}", token=token).json["data"] == {"a": 1}
        assert service.verify(record["sigil"], {"a": 1}, token=token)["valid"]
    service.call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "test"}, token=token)
    assert {service.verify(record["sigil"], {"a": 1}, token=token)["valid"] for _ in range(20)} == {False}


def test_connections_are_shared_out(service: Service) -> None:
    """No worker is left out when many clients come at a time."""
    with contextlib.ExitStack() as stack:

        def call() -> http.client.HTTPConnection:
            connection = stack.enter_context(contextlib.closing(service.connection()))
            connection.request("GET", "/readyz")
            connection.getresponse().read()
            return connection

        with ThreadPoolExecutor(10) as clients:
            for _ in range(30):
                for waiting in [clients.submit(call) for _ in range(10)]:
                    waiting.result()
                if all(_connections(pid) for pid in service.workers()):
                    return
    raise AssertionError("300 connections, and not one for some worker")


def _connections(pid: int) -> int:
    """How many connections with clients a process has."""
    inodes = set()
    with open("/proc/net/tcp") as table:  # noqa: PTH123
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[3] == "01":  # established
                inodes.add(fields[9])
    links = (os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH115, PTH208
    return sum(link.removeprefix("socket:[").rstrip("]") in inodes for link in links)


def test_a_dead_worker_is_replaced(service: Service) -> None:
    """A worker that ends is replaced, whatever ended it, and the log says what did."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        victim = service.workers()[0]
        started = len(service.logged("worker started"))
        os.kill(victim, number)
        wait_for(lambda before=started: len(service.logged("worker started")) > before)  # type: ignore[misc]
        assert service.call("GET", "/healthz").status == 200
    killed, asked = service.logged("worker ended")
    assert (killed["how"], asked["how"]) == ("signal 9", "exit code 0")
    assert len(service.workers()) == 3


def test_restarts_slow_down(new_service: Callable[..., Service]) -> None:
    """Workers that cannot start are tried again after pauses that grow, and the others serve on meanwhile."""
    service = new_service(SIGIL_WORKERS="2").start()
    token = service.token()
    secret = service.data_dir / "development" / "event-secret"
    secret.chmod(0o644)
    os.kill(service.workers()[0], signal.SIGKILL)
    wait_for(lambda: len(service.logged("worker ended")) >= 4)
    pauses = [record["restart_in"] for record in service.logged("worker ended")]
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(pauses))
    causes = {record.get("cause") for record in service.logged("worker ended")}
    assert causes == {None, f"{secret} is open to others; chmod 600 it"}
    assert service.encode({"a": 1}, token=token)
    secret.chmod(0o600)
    wait_for(lambda: len(service.workers()) == 2)


def test_no_room_for_a_worker(service: Service) -> None:
    """A parent that cannot start another process now tries again, and does not end."""
    victim = service.workers()[0]
    wait_for(lambda: service.output_path.read_text().count("\ncurl ") == 2)  # the start is over
    before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(service.logged("worker not started")) >= 2)
    assert service.call("GET", "/healthz").status == 200
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
    wait_for(lambda: len(service.workers()) == 3)


@pytest.mark.parametrize("trouble", ["store", "port", "secret"])
def test_a_failed_start_is_said_once(new_service: Callable[..., Service], trouble: str) -> None:
    """What keeps all workers from starting is one message and the exit code that a single process has."""
    service = new_service(SIGIL_WORKERS="4")
    code, said = 69, "the store cannot be opened: "
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if trouble == "store":
            path = service.folder / "sigils.db"
            path.write_text("text " * 1000)
            service.variables["SIGIL_STORE_URL"] = f"sqlite:///{path}"
        elif trouble == "port":
            service.variables["SIGIL_PORT"] = str(taken.getsockname()[1])
            said = "SIGIL_HOST, SIGIL_PORT: cannot listen on "
        else:
            path = service.data_dir / "development" / "event-secret"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
            path.chmod(0o600)
            code, said = 78, f"{path} is damaged"
        found = service.start_in_vain()
    assert found[0] == code
    assert found[1].startswith(said)
    assert found[1].count("\n") == 1


def test_workers_do_not_outlive_their_parent(service: Service) -> None:
    """When the parent is killed its workers finish what runs, end by themselves, and free the port."""
    token = service.token()
    workers = service.workers()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\n"
            "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        service.kill()
        connection.sendall(b'{"data":{}}')
        assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")
    wait_for(lambda: not any(lives(pid) for pid in workers))
    with socket.create_server(("127.0.0.1", service.port)):
        pass
    assert service.start().call("GET", "/healthz").status == 200


def test_hangup_is_passed_on(service: Service) -> None:
    """SIGHUP to the parent reaches every worker, and ends none."""
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: len(service.logged("key ring unchanged")) == 3)
    assert {record["pid"] for record in service.logged("key ring unchanged")} == set(service.workers())
    assert not service.logged("worker ended")


def test_hangup_during_the_start(new_service: Callable[..., Service]) -> None:
    """SIGHUP while workers start ends nothing, and is not lost on them."""
    service = new_service(SIGIL_WORKERS="3", SIGIL_RELOAD_SECONDS="0", SPIRAL_EVENT_SECRET="w" * 32)
    service.begin()
    wait_for(lambda: bool(service.logged("worker started")))
    os.kill(service.pid, signal.SIGHUP)
    service.wait_until_listening()
    wait_for(lambda: len({record["pid"] for record in service.logged("key ring unchanged")}) == 3)


def test_second_interrupt_does_not_wait(service: Service) -> None:
    """Ctrl-C twice, which a terminal sends to the parent alone, gives running requests up."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {service.token()}\r\n"
            "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        assert all(os.getpgid(pid) != os.getpgid(service.pid) for pid in service.workers())
        os.kill(service.pid, signal.SIGINT)
        wait_for(lambda: len(service.logged("worker stopped")) == 2)
        os.kill(service.pid, signal.SIGINT)
        assert service.wait() == 0


def _supervise_the_deaf() -> None:
    """Run workers that do not stop, until a stop is asked for."""

    def work(end: WorkerEnd) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end.say_started()
        while True:
            time.sleep(60)

    with listen("127.0.0.1", 0) as listener:
        supervisor = Supervisor(2, listener, work, stop_seconds=0.2)
        with contextlib.suppress(StartFailedError):
            supervisor.run(lambda: os.kill(os.getpid(), signal.SIGTERM))
            return
    sys.exit(3)


def test_deaf_workers_are_killed_at_a_stop() -> None:
    """Workers that do not stop in their time are killed, so that a stop ends; it is no good one."""
    process = forks.Process(target=_supervise_the_deaf)
    process.start()
    process.join(60)
    assert process.exitcode == 3


def test_a_turn_is_only_a_courtesy(service: Service) -> None:
    """A process that is frozen while it is next to write does not keep the others from writing."""
    folder = os.open(service.data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert service.encode({"a": 1}, token=service.token())
    finally:
        os.close(folder)


def test_turns_are_taken_by_one(tmp_path: Path) -> None:
    """While one has the place before the lock another waits for it, for a while; then it is free again."""
    first, second = Turns(tmp_path), Turns(tmp_path)

    def waited() -> float:
        before = time.monotonic()
        with second.next():
            return time.monotonic() - before

    with first.next():
        assert waited() >= 0.5
    folder = os.open(tmp_path, os.O_RDONLY)
    with second.next(), pytest.raises(BlockingIOError):
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)
    for turns in (first, second, second):
        turns.close()
