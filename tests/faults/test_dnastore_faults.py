"""A DNAStore behind a network that fails, frozen and killed: what it acknowledged is there, once, unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from core.breaker import State
from core.dnastore.client import DnaStoreClient
from core.errors import StoreUnavailableError
from core.store.interface import Store
from core.store.observation import Forwarded
from tests.fault_proxy import Fault, FaultProxy, Flow, proxy_to
from tests.faults.saboteur import Saboteur, Victim
from tests.faults.store_traffic import Expectations, Traffic, stored_in

HEAVY = os.environ.get("RUN_HEAVY_TESTS") == "1"
OPERATIONS = 5_000 if HEAVY else 300
ROUNDS = 4 if HEAVY else 1
CALLERS = 16
#: Seconds that a call may take, and what a busy machine may add to it.
TIMEOUT = 0.8
MARGIN = 2.0
FAILURES = 3
PAUSE = 0.15
#: Seconds in which everything works again when the faults are over.
RECOVERY = 10.0


def chosen_seed() -> int:
    """A seed, by ``FAULT_SEED`` if it is set; printed."""
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FAULT_SEED={seed}")
    return seed


class Circuit:
    """Watches the breaker, and notes each of its states."""

    def __init__(self) -> None:
        self.states: list[State] = []
        #: Requests that have ended, by status; None where there was no answer.
        self.requests: list[int | None] = []
        #: When each state began.
        self.times: list[float] = []

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """See StoreObserver."""
        self.requests.append(status)

    def circuit_is(self, state: State) -> None:
        """See StoreObserver."""
        self.states.append(state)
        self.times.append(time.monotonic())

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """See StoreObserver."""

    def forwarded(self, outcome: Forwarded) -> None:
        """See StoreObserver."""

    def check(self) -> None:
        """From closed it opens, from there it is half open, and then closed or open again; never too early."""
        assert self.states[0] == "closed"
        after = {"closed": {"open"}, "open": {"half_open"}, "half_open": {"closed", "open"}}
        for number in range(1, len(self.states)):
            was, becomes = self.states[number - 1 : number + 1]
            assert becomes in after[was], self.states[: number + 1]
            if was == "open":
                assert self.times[number] - self.times[number - 1] > PAUSE * 0.9
