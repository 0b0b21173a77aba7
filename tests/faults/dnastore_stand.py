"""A DNAStore in a process of its own, a network that fails in front of it, and clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from core.breaker import State
from core.dnastore.client import DnaStoreClient
from core.store.observation import Forwarded
from servers.fault_proxy import FaultProxy, proxy_to
from tests.service.dnastore.running import DnaStore
from tests.service.server.tls_files import client


class Stand:
    """Server, network and what clients need to know of them."""

    def __init__(self, server: DnaStore, proxy: FaultProxy) -> None:
        self.server = server
        self.proxy = proxy

    @property
    def database(self) -> Path:
        """Where the server's records are."""
        return self.server.data_dir / "dnastore.db"

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which a service uses the server, through the network."""
        return {**self.server.client_variables, "DNASTORE_URL": self.url}

    @property
    def url(self) -> str:
        """Of the server, through the network."""
        return f"https://127.0.0.1:{self.proxy.port}"

    def client(
        self, observer: Observed, *, timeout: float, failures: int = 3, pause: float = 0.15
    ) -> DnaStoreClient:
        """A client of the server, through the network."""
        tls = client(self.server.authority, self.server.identity)
        return DnaStoreClient(
            self.url,
            lambda: tls,
            timeout=timeout,
            breaker_failures=failures,
            breaker_pause=pause,
            observer=observer,
        )


@contextlib.contextmanager
def running_stand(folder: Path, *, seed: int = 0) -> Iterator[Stand]:
    """A server that is started, and ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    server = DnaStore(folder).start()
    try:
        with proxy_to(server.port, seed=seed) as proxy:
            yield Stand(server, proxy)
    finally:
        server.kill()


class Observed:
    """Watches a client, and notes what it is told."""

    def __init__(self) -> None:
        #: The breaker's states; when each began, and after how many requests.
        self.states: list[State] = []
        self.times: list[float] = []
        self.requests: list[int] = []
        #: Requests that have ended.
        self.count = 0
        self.forwards: list[Forwarded] = []
        self.waiting = 0
        self.most_waiting = 0

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """See StoreObserver."""
        self.count += 1

    def circuit_is(self, state: State) -> None:
        """See StoreObserver."""
        self.states.append(state)
        self.times.append(time.monotonic())
        self.requests.append(self.count)

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
                # It is told a moment after it has happened.
                assert self.times[number] - self.times[number - 1] > pause / 2
