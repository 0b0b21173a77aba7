"""All certificates between a service and its DNAStore replaced under load, up to the authority."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from servers.fault_proxy import FaultProxy, proxy_to
from tests.service.dnastore.running import CLIENT, DnaStore
from tests.service.running import SIGILS, Program, Service
from tests.service.server.tls_files import Authority, client

CALLERS = 4
#: Calls that each caller makes between two changes.
BETWEEN = 100


class Caller(threading.Thread):
    """Seals and reads what it has sealed, and notes every answer that is not as it should be."""

    def __init__(self, service: Service, token: str) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.token = token
        self.calls = 0
        self.wrong: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        """Call again and again."""
        with contextlib.closing(self.service.connection()) as connection:
            while not self.stopping.is_set():
                sealed = self.service.call(
                    "POST", SIGILS, {"data": {"call": self.calls}}, token=self.token, connection=connection
                )
                if sealed.status != 201:
                    self.wrong.append(f"{sealed.status} {sealed.body!r}")
                    continue
                path = f"{SIGILS}/{sealed.json['id']}"
                read = self.service.call("GET", path, token=self.token, connection=connection)
                if read.status != 200 or read.json["data"] != {"call": self.calls}:
                    self.wrong.append(f"{read.status} {read.body!r}")
                self.calls += 1


@contextlib.contextmanager
def callers(service: Service) -> Iterator[list[Caller]]:
    """Callers at work."""
    token = service.token()
    working = [Caller(service, token) for _ in range(CALLERS)]
    for one in working:
        one.start()
    try:
        yield working
    finally:
        for one in working:
            one.stopping.set()
        for one in working:
            one.join(30)


def all_have_called(working: Sequence[Caller]) -> None:
    """Wait until each caller has made some calls from now on."""
    ends = [one.calls + BETWEEN for one in working]
    wait_for(lambda: all(one.calls >= end for one, end in zip(working, ends, strict=True)))


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def replace(path: Path, contents: Sequence[Path]) -> None:
    """Give a file the contents of others, in one step."""
    new = path.with_suffix(".new")
    new.write_bytes(b"".join(one.read_bytes() for one in contents))
    new.chmod(0o600)
    new.replace(path)


def taken_up(program: Program, event: str, workers: int = 1) -> None:
    """Have a program read its files again, and wait until all its processes have."""
    before = len(program.logged(event))
    os.kill(program.pid, signal.SIGHUP)
    wait_for(lambda: len(program.logged(event)) == before + workers)


class Rotation:
    """Both sides, each with files of its own."""

    def __init__(self, folder: Path, dnastore: DnaStore, proxy: FaultProxy, workers: int) -> None:
        """Have a service of some workers use a DNAStore through a proxy."""
        self.dnastore = dnastore
        self.workers = workers
        self.trusted_by_service = folder / "trusted-by-service.pem"
        replace(self.trusted_by_service, [dnastore.authority.path])
        variables = {
            **dnastore.client_variables,
            "DNASTORE_URL": f"https://127.0.0.1:{proxy.port}",
            "DNASTORE_CA_CERT": str(self.trusted_by_service),
        }
        self.service = Service(
            folder, SPIRAL_EVENT_SECRET="s" * 32, SIGIL_WORKERS=str(workers), **variables
        ).start()

    def trust_on_service(self, *authorities: Path) -> None:
        """Have the service trust these."""
        replace(self.trusted_by_service, authorities)
        taken_up(self.service, "dnastore certificate changed", self.workers)

    def trust_on_dnastore(self, *authorities: Path) -> None:
        """Have the DNAStore trust clients of these."""
        replace(self.dnastore.authority.path, authorities)
        taken_up(self.dnastore, "certificate changed")

    def show_on_service(self, identity: tuple[Path, Path]) -> None:
        """Have the service show this."""
        for path, new in zip(self.dnastore.identity, identity, strict=True):
            replace(path, [new])
        taken_up(self.service, "dnastore certificate changed", self.workers)

    def show_on_dnastore(self, identity: tuple[Path, Path]) -> None:
        """Have the DNAStore show this."""
        for path, new in zip(self.dnastore.server_identity, identity, strict=True):
            replace(path, [new])
        taken_up(self.dnastore, "certificate changed")


@pytest.mark.heavy("starts two programs and changes six files under load")
@pytest.mark.parametrize("workers", [1, 2])
def test_another_authority(tmp_path: Path, workers: int) -> None:
    """From one authority to another, on both sides, without a failed request; the old is void then."""
    (tmp_path / "dnastore").mkdir()
    dnastore = DnaStore(tmp_path / "dnastore").start()
    try:
        with proxy_to(dnastore.port) as proxy:
            rotation = Rotation(tmp_path, dnastore, proxy, workers)
            try:
                rotate(rotation, tmp_path)
                # What was connected before is connected anew, with what there is now.
                proxy.reset_all()
                token = rotation.service.token()
                assert rotation.service.encode({"after": "all"}, token=token)["status"] == "active"
            finally:
                rotation.service.kill()
    finally:
        dnastore.kill()


def rotate(rotation: Rotation, folder: Path) -> None:
    """Change everything, one after the other, while callers work."""
    dnastore = rotation.dnastore
    old = folder / "old.pem"
    replace(old, [dnastore.authority.path])
    stranger = client(dnastore.authority, dnastore.identity)
    new = Authority(folder / "new")
    changes: list[Callable[[], None]] = [
        lambda: rotation.trust_on_dnastore(old, new.path),
        lambda: rotation.trust_on_service(old, new.path),
        lambda: rotation.show_on_dnastore(new.issue("server")),
        lambda: rotation.show_on_service(new.issue("client", host=CLIENT)),
        lambda: rotation.trust_on_service(new.path),
        lambda: rotation.trust_on_dnastore(new.path),
    ]
    with callers(rotation.service) as working:
        for change in changes:
            all_have_called(working)
            change()
        all_have_called(working)
    print(f"{sum(one.calls for one in working)} records sealed and read")
    assert [wrong for one in working for wrong in one.wrong] == []
    # Neither side has anything to do with the old authority any more.
    dnastore.tls = stranger
    with pytest.raises(OSError):  # noqa: PT011 - it does not trust the server, nor the server it
        dnastore.call("POST", "/v1/probe")
