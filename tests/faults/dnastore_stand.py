"""A DNAStore in a process of its own, a network that fails in front of it, and clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core.breaker import State
from core.dnastore.client import DnaStoreClient
from core.store.observation import Forwarded
from tests.fault_proxy import FaultProxy, proxy_to
from tests.processes import freeze
from tests.service.running import REPOSITORY, clean_environment
from tests.service.server.tls_files import Authority, client

CLIENT_NAME: Final = "service.example"
_START_SECONDS: Final = 30.0


class DnaStoreServer:
    """``python -m app dnastore``, whose port and records outlive restarts."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Know what it needs; it is not started."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = 0
        self.identity = authority.issue("dnastore")
        self.authorities = authority.path
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "allow.json").write_text(json.dumps({CLIENT_NAME: ["*"]}))

    @property
    def database(self) -> Path:
        """Where its records are."""
        return self.folder / "data" / "dnastore.db"

    @property
    def log(self) -> str:
        """What it has said since it was started last."""
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> DnaStoreServer:
        """Start it, and wait until it listens."""
        certificate, key = self.identity
        variables = {
            "PORT": str(self.port),
            "METRICS_PORT": "off",
            "CERT": str(certificate),
            "KEY": str(key),
            "CLIENT_CA": str(self.authorities),
            "ALLOW": str(self.folder / "allow.json"),
            "DATA_DIR": str(self.folder / "data"),
        }
        environment = clean_environment(**{f"DNASTORE_SERVER_{name}": one for name, one in variables.items()})
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "app", "dnastore"],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (url := self._listening()):
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)
        self.port = urlsplit(url).port or 0
        return self

    def freeze(self) -> None:
        """Stop it where it is."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def _listening(self) -> str:
        for line in self.log.splitlines(keepends=True):
            record = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if record.get("event") == "listening":
                return str(record["url"])
        return ""


class Stand:
    """Server, network and what clients need to know of them."""

    def __init__(self, server: DnaStoreServer, proxy: FaultProxy, tls: ssl.SSLContext) -> None:
        self.server = server
        self.proxy = proxy
        self.tls = tls

    def client(
        self, observer: Observed, *, timeout: float, failures: int = 3, pause: float = 0.15
    ) -> DnaStoreClient:
        """A client of the server, through the network."""
        return DnaStoreClient(
            f"https://127.0.0.1:{self.proxy.port}",
            lambda: self.tls,
            timeout=timeout,
            breaker_failures=failures,
            breaker_pause=pause,
            observer=observer,
        )


@contextlib.contextmanager
def running_stand(folder: Path, *, seed: int = 0) -> Iterator[Stand]:
    """A server that is started, and ended afterwards."""
    authority = Authority(folder / "authority")
    server = DnaStoreServer(folder / "dnastore", authority).start()
    try:
        with proxy_to(server.port, seed=seed) as proxy:
            yield Stand(server, proxy, client(authority, authority.issue("client", host=CLIENT_NAME)))
    finally:
        server.kill()


class Observed:
    """Watches a client, and notes what it is told."""

    def __init__(self) -> None:
        #: The breaker's states, and when each began.
        self.states: list[State] = []
        self.times: list[float] = []
        #: Of all requests the status; None where there was no answer.
        self.statuses: list[int | None] = []
        self.forwards: list[Forwarded] = []
        self.waiting = 0
        self.most_waiting = 0

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """See StoreObserver."""
        self.statuses.append(status)

    def circuit_is(self, state: State) -> None:
        """See StoreObserver."""
        self.states.append(state)
        self.times.append(time.monotonic())

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """See StoreObserver."""
        self.waiting = writes
        self.most_waiting = max(self.most_waiting, writes)

    def forwarded(self, outcome: Forwarded) -> None:
        """See StoreObserver."""
        self.forwards.append(outcome)

    def assert_in_order(self, pause: float) -> None:
        """From closed it opens, after the pause it is half open, and then closed or open again."""
        assert self.states[0] == "closed"
        after = {"closed": {"open"}, "open": {"half_open"}, "half_open": {"closed", "open"}}
        for number in range(1, len(self.states)):
            was, becomes = self.states[number - 1 : number + 1]
            assert becomes in after[was], self.states[: number + 1]
            if was == "open":
                assert self.times[number] - self.times[number - 1] >= pause
