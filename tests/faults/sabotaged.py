"""Traffic on a DNAStore under faults at random: how long, how slow at most, and what is printed of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable
from typing import Final

from core.errors import StoreUnavailableError
from core.store.interface import Store
from tests.faults.dnastore_stand import Observed, Stand
from tests.faults.saboteur import Saboteur
from tests.faults.store_traffic import Traffic
from tests.heavy import HEAVY

#: Seconds of a fault, at most.
_LONGEST: Final = 0.8 if HEAVY else 0.2
#: Of the server, which takes a while to start again.
_MOST_KILLS: Final = 1000 if HEAVY else 1
OPERATIONS: Final = 4_000 if HEAVY else 150
ROUNDS: Final = 5 if HEAVY else 1
CALLERS: Final = 16
#: Seconds that a call may take, and what a busy machine may add to it.
TIMEOUT: Final = 0.8
MARGIN: Final = 2.0
#: Seconds for which the breaker is open.
PAUSE: Final = 0.15
#: Seconds in which everything works again when the faults are over.
_RECOVERY: Final = 10.0


def chosen_seed() -> int:
    """A seed, by ``FAULT_SEED`` if it is set; printed."""
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FAULT_SEED={seed}")
    return seed


async def until(reached: Callable[[], bool], seconds: float = _RECOVERY) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.01)


async def answers(store: Store) -> None:
    """Wait until the store does what it is there for."""
    end = time.monotonic() + _RECOVERY
    while True:
        try:
            await store.probe()
        except StoreUnavailableError:
            assert time.monotonic() < end, "it does not come back"
            await asyncio.sleep(0.01)
        else:
            return


async def sabotaged(traffic: Traffic, stand: Stand, seed: int) -> Saboteur:
    """Let callers work under faults, until they have made their calls."""
    saboteur = Saboteur(stand.proxy, stand.server, seed=seed, longest=_LONGEST, most_kills=_MOST_KILLS)
    at_work = asyncio.create_task(saboteur.run())
    try:
        await traffic.run(OPERATIONS, CALLERS)
    finally:
        at_work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await at_work
    return saboteur


def report(traffic: Traffic, saboteur: Saboteur, observed: Observed) -> None:
    """Print what has happened."""
    expected = traffic.expected
    slowest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(traffic.slowest.items()))
    print(
        f"{traffic.operations} operations, {len(expected.kept)} of {len(expected.tried)} records acknowledged"
    )
    print("outcomes:", ", ".join(f"{name} {count}" for name, count in sorted(traffic.counts.items())))
    print("verdicts:", dict(traffic.verdicts), "slowest:", slowest)
    print("faults:", ", ".join(f"{name} {count}" for name, count in sorted(saboteur.counts.items())))
    print(
        f"circuit opened {observed.states.count('open')} times, {observed.most_waiting} waited in the spool"
    )


async def assert_whole(traffic: Traffic) -> None:
    """Without faults every call is answered, as soon as the connections that had them are used up."""
    end = time.monotonic() + _RECOVERY
    while True:
        before = traffic.counts.copy()
        await traffic.run(50, CALLERS)
        if all(outcome.endswith("answered") for outcome in traffic.counts - before):
            return
        assert time.monotonic() < end, traffic.counts - before
