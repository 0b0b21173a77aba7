"""A client whose DNAStore hangs or is gone: how long it waits, and when it asks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import pytest

from core.errors import StoreUnavailableError
from core.store.interface import Store
from servers.fault_proxy import Fault, Flow, proxy_to
from tests.faults.dnastore_stand import Observed, Stand, running_stand
from tests.faults.sabotaged import MARGIN, answers, until
from tests.faults.store_traffic import stored_in
from tests.service.store.store_records import record

_T = TypeVar("_T")

TIMEOUT: Final = 0.4
FAILURES: Final = 3
PAUSE: Final = 0.1


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A DNAStore for all tests of the module, which leave it as it was."""
    with running_stand(tmp_path_factory.mktemp("dnastore")) as running:
        yield running


async def outcome(store: Store, number: int = 1) -> str:
    """What becomes of a call: the reason of its failure."""
    try:
        await store.get("acme", record(number).id)
    except StoreUnavailableError as error:
        return error.reason
    return "answered"


async def test_the_breaker(stand: Stand) -> None:
    """It opens after some failures in a row, sends nothing then, tries one call at a time, and closes."""
    observed = Observed()
    store = stand.client(observed, timeout=1.0, failures=FAILURES, pause=PAUSE)
    store.start()
    try:
        await answers(store)
        answered = observed.count
        stand.proxy.refuse()
        stand.proxy.reset_all()
        assert await outcome(store) != "answered"
        await until(lambda: "open" in observed.states)
        assert observed.requests[1] - answered == FAILURES
        # Half open, one call is on its way; all others fail at once, and so do all while it is open.
        stand.proxy.set(Fault("black_hole"))
        stand.proxy.listen()
        reached, tried = stand.proxy.counts["black_hole"], observed.states.count("half_open")
        seen = observed.states.count("open")
        while observed.states.count("open") < seen + 2:
            assert set(await asyncio.gather(*(outcome(store) for _ in range(20)))) <= {"open", "timeout"}
            await asyncio.sleep(0.01)
        tries = observed.states.count("half_open") - tried
        # One may have been on its way already, and another have asked why it was refused.
        assert tries <= stand.proxy.counts["black_hole"] - reached <= tries + 2
        # Nobody asks, and it closes.
        stand.proxy.heal()
        await until(lambda: observed.states[-1] == "closed")
        await again(lambda: store.get("acme", record(1).id))
        observed.assert_in_order(PAUSE)
    finally:
        stand.proxy.heal()
        await store.close()


def hanging() -> Iterator[Fault]:
    """Faults by which nothing comes any more, and nobody says so."""
    yield Fault(up=Flow(delay=60))
    for after in (0, 10):
        yield Fault(down=Flow(event="half_open", after=after))
        yield Fault(down=Flow(event="stall", after=after))
        yield Fault(up=Flow(event="stall", after=after))
    yield Fault(up=Flow(event="stall", after=100_000))
    yield Fault(up=Flow(rate=100))
    yield Fault(down=Flow(rate=20))


async def again(call: Callable[[], Awaitable[_T]]) -> _T:
    """Make a call until it is answered: a busy machine may cost it its deadline."""
    end = time.monotonic() + 20
    while True:
        try:
            return await call()
        except StoreUnavailableError:
            assert time.monotonic() < end


async def hung(stand: Stand, fault: Fault, number: int, *, connected: bool) -> float:
    """Seconds of a write under a fault, on a new connection or one that was good; it is repeated then."""
    with proxy_to(stand.server.port) as proxy:
        other = Stand(stand.server, proxy)
        store = other.client(Observed(), timeout=TIMEOUT, failures=100)
        store.start()
        sealed = record(number, tenant="hung", payload=b'{"filler":"%b"}' % (b"x" * 200_000))
        try:
            if connected:
                await answers(store)
            proxy.set(fault)
            begin = time.monotonic()
            with pytest.raises(StoreUnavailableError) as failed:
                await store.put([sealed])
            taken = time.monotonic() - begin
            assert failed.value.reason == "timeout", fault
            proxy.heal()
            await again(lambda: store.put([sealed]))
            assert await again(lambda: store.get("hung", sealed.id)) == sealed
            return taken
        finally:
            await store.close()


async def test_deadlines(stand: Stand) -> None:
    """Whatever hangs, from the handshake to an answer's middle, a call ends in time and can be repeated."""
    cases = [(fault, connected) for fault in hanging() for connected in (False, True)]
    cases.append((Fault("black_hole"), False))
    taken = await asyncio.gather(
        *(hung(stand, fault, n, connected=connected) for n, (fault, connected) in enumerate(cases, 1))
    )
    print(f"{len(cases)} ways to hang, {min(taken):.2f} to {max(taken):.2f} s of {TIMEOUT} s")
    assert max(taken) < TIMEOUT + MARGIN
    stored = [one.id for one in stored_in(stand.database) if one.tenant == "hung"]
    assert sorted(stored) == [record(number).id for number in range(1, len(cases) + 1)]
