"""An outage of an hour, its load compressed into some seconds: the spool's clock is the test's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from core.errors import StoreUnavailableError
from core.spool.bounds import Bounds
from tests.service.spool.switch import LARGE, Switch, Watcher, spooled, sql_store, until_empty
from tests.service.store.store_records import record, record_id

#: Seconds of the outage, and writes in each of them.
OUTAGE: Final = 3600
RATE: Final = 20
PAYLOAD: Final = b'{"event":"' + b"x" * 300 + b'"}'
TENANTS: Final = ("acme", "globex", "initech")


class Outage:
    """A worker whose store is away; time goes on with what it writes."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self.now_ms = 1_700_000_000_000
        self.switch = Switch(sql_store(folder))
        self.watcher = Watcher()
        self.store = spooled(
            self.switch, folder, watcher=self.watcher, bounds=bounds, clock=lambda: self.now_ms
        )
        self.number = 0
        self.kept: list[int] = []
        self.refused: list[int] = []
        self.reasons: set[str] = set()

    async def second(self) -> None:
        """What is written in a second, at once."""
        numbers = range(self.number, self.number + RATE)
        self.number += RATE
        await asyncio.gather(*map(self.write, numbers))
        self.now_ms += 1000

    async def write(self, number: int) -> None:
        """One write."""
        tenant = TENANTS[number % len(TENANTS)]
        try:
            await self.store.put([record(number, tenant=tenant, payload=PAYLOAD)])
        except StoreUnavailableError as error:
            self.refused.append(number)
            self.reasons.add(error.reason)
        else:
            self.kept.append(number)

    def tell(self, second: int) -> None:
        """A line of the timeline."""
        state = self.store._spool.state()
        print(
            f"{second:>5} s: {len(self.kept):>6} acknowledged, {len(self.refused):>5} refused,"
            f" {state.writes:>6} wait in {state.size / 1e6:.1f} MB,"
            f" the oldest for {self.store._spool.oldest_seconds:.0f} s"
        )

    async def check(self) -> None:
        """All that was acknowledged is in the store, in its order."""
        for tenant in TENANTS:
            arrived = [one for what, owner, one in self.switch.effects if owner == tenant]
            expected = [
                record_id(number) for number in sorted(self.kept) if TENANTS[number % len(TENANTS)] == tenant
            ]
            assert sorted(set(arrived)) == expected
            assert len(arrived) == len(expected)
            second_of = {record_id(number): number // RATE for number in self.kept}
            seconds = [second_of[one] for one in arrived]
            assert seconds == sorted(seconds)

    async def close(self) -> None:
        """Close both."""
        await self.store.close()
        await self.switch.store.close()


@pytest.mark.heavy("writes for a minute")
@pytest.mark.timeout(900)
async def test_an_hour(tmp_path: Path) -> None:
    """No encode is refused, and afterwards everything is forwarded in order."""
    outage = Outage(tmp_path, LARGE)
    outage.store.start()
    await outage.second()
    outage.switch.mode = "down"
    began = time.monotonic()
    for second in range(OUTAGE):
        if second % 600 == 0:
            outage.tell(second)
        await outage.second()
    outage.tell(OUTAGE)
    spooling = time.monotonic() - began
    outage.switch.mode = "up"
    began = time.monotonic()
    await until_empty(outage.store, 300)
    forwarding = time.monotonic() - began
    await outage.second()
    assert not outage.refused
    count = OUTAGE * RATE
    print(f"{count / spooling:.0f} writes/s spooled, {count / forwarding:.0f} writes/s forwarded")
    await outage.check()
    await outage.close()


@pytest.mark.parametrize("reason", ["size", "age"])
async def test_until_the_bound(tmp_path: Path, reason: str) -> None:
    """Encodes are refused from the bound on, not earlier; and no longer when the store is back."""
    bounds = Bounds(150 * 1400, 1 << 60) if reason == "size" else Bounds(1 << 30, 9500)
    outage = Outage(tmp_path, bounds)
    outage.store.start()
    outage.switch.mode = "down"
    for second in range(15):
        await outage.second()
        size = outage.store._spool.state().size
        reached = second >= 10 if reason == "age" else size > bounds.size - size // len(outage.kept)
        assert bool(outage.refused) == reached, second
    assert outage.reasons == {"spool_full"}
    outage.tell(15)
    outage.switch.mode = "up"
    await until_empty(outage.store)
    refused = len(outage.refused)
    await outage.second()
    assert len(outage.refused) == refused
    await outage.check()
    await outage.close()
