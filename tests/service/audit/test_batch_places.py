"""Places in the audit queue for batches: who has them, who waits for them, and what the log makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.audit.places import BatchPlaces
from core.audit.queue import Entry
from core.errors import AuditUnavailableError
from tests.heavy import HEAVY
from tests.service.audit.audits import SECRET, events
from tests.service.audit.disks import frozen_disk

MOST = 10
PATIENCE = 5.0


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock the tests own."""

    now = 0.0

    def time(self) -> float:
        """See AbstractEventLoop."""
        return self.now


class Waiting:
    """Somebody who asked for places and had to wait."""

    def __init__(self, task: asyncio.Task[None], lines: int, since: float) -> None:
        self.task = task
        self.lines = lines
        self.since = since


class PlacesMachine(RuleBasedStateMachine):
    """Callers who take, wait, give up, lose patience and give back, against a list of them in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TurnedLoop()
        self.places = BatchPlaces(MOST, PATIENCE)
        self.held: list[int] = []
        self.waiting: list[Waiting] = []
        #: Tasks that must have their places, and those that must have come away without.
        self.served: list[asyncio.Task[None]] = []
        self.refused: list[asyncio.Task[None]] = []

    def settle(self) -> None:
        """Let everybody run who can."""

        async def turns() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def serve(self) -> None:
        """What the model gives to those who wait."""
        while self.waiting and self.waiting[0].lines <= self.free:
            first = self.waiting.pop(0)
            self.held.append(first.lines)
            self.served.append(first.task)

    @property
    def free(self) -> int:
        """Places that the model has left."""
        return MOST - sum(self.held)

    @rule(lines=st.integers(1, MOST))
    def take(self, lines: int) -> None:
        """Somebody asks."""
        self.loop.now += 0.001  # no two lose their patience at one time
        at_once = not self.waiting and lines <= self.free
        assert self.places.has(lines) == at_once
        task = self.loop.create_task(self.places.take(lines))
        self.waiting.append(Waiting(task, lines, self.loop.now))
        self.serve()
        self.settle()
        assert task.done() == at_once

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """Somebody is done."""
        self.places.give_back(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))
        self.serve()
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        """Somebody who waits goes away."""
        gone = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        gone.task.cancel()
        self.refused.append(gone.task)
        self.serve()
        self.settle()

    @precondition(lambda self: self.held and self.waiting)
    @rule()
    def give_up_when_served(self) -> None:
        """The first of those who wait goes away in the turn in which places come back."""
        self.places.give_back(self.held.pop())
        first = self.waiting.pop(0)
        first.task.cancel()
        self.refused.append(first.task)
        self.serve()
        self.settle()

    @rule(seconds=st.sampled_from([0.5, 2.0, PATIENCE]))
    def grow_late(self, seconds: float) -> None:
        """Time goes by."""
        self.loop.now += seconds
        for one in self.waiting.copy():
            if one.since + PATIENCE <= self.loop.now and one in self.waiting:
                self.waiting.remove(one)
                self.refused.append(one.task)
                self.serve()
        self.settle()

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        """No place is lost or given twice; each caller has what the model says."""
        assert self.places._free == self.free >= 0
        assert not any(one.task.done() for one in self.waiting)
        for task in self.served:
            task.result()
        for task in self.refused:
            assert task.cancelled() or isinstance(task.exception(), AuditUnavailableError)
        self.served.clear()
        self.refused.clear()

    def teardown(self) -> None:
        """When all are gone every place is there."""
        for one in self.waiting:
            one.task.cancel()
        self.settle()
        for lines in self.held:
            self.places.give_back(lines)
        assert (self.places.has(MOST), self.places._free, len(self.places._turns)) == (True, MOST, 0)
        self.loop.close()


TestPlaces = PlacesMachine.TestCase
TestPlaces.settings = settings(
    max_examples=1000 if HEAVY else 40, stateful_step_count=50 if HEAVY else 25, deadline=None
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[AuditLog]:
    """A log with four places for batches, and as many for others."""
    log = AuditLog(AuditFile(path, SECRET), required=True, patience=60, most_waiting=8)
    log.wait_until_tried()
    yield log
    await log.close()


async def batch(log: AuditLog, count: int) -> None:
    """What a batch does with the log."""
    await log.set_aside(count)
    try:
        await log.write_all("sigil.encoded", [{"number": number} for number in range(count)])
    finally:
        log.give_back(count)


async def turns() -> None:
    """Let everybody run who can."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_others_have_room(log: AuditLog, path: Path) -> None:
    """Whatever batches wait to be written, a single call finds room; and each batch has its turn."""
    with frozen_disk(path):
        batches = [asyncio.create_task(batch(log, count)) for count in (3, 4, 1, 2)]
        await turns()
        assert (log.waiting, log.has_places(1)) == (3, False)  # the one place left is not for the last
        singles = [asyncio.create_task(log.write("sigil.verified")) for _ in range(4)]
        await turns()
        assert (log.waiting, log.condition) == (7, "ok")
    await asyncio.gather(*batches, *singles)
    assert events(path).count("sigil.encoded") == 10
    assert events(path).count("sigil.verified") == 4
    assert log.has_places(4)


async def test_whoever_waits_hears_that_the_log_fails(log: AuditLog, path: Path) -> None:
    """Batches that wait for places are refused once the log is known to fail, and nothing is held then."""
    await log.set_aside(4)
    waiting = [asyncio.create_task(batch(log, count)) for count in (4, 1)]
    await turns()
    with capture_logs():
        log._writer.outage.begin("full")
        log.give_back(4)
        for one in waiting:
            with pytest.raises(AuditUnavailableError, match="full"):
                await one
        assert log.has_places(4)
        with pytest.raises(AuditUnavailableError, match="full"):
            await log.set_aside(1)
        log._writer.outage.end()
    await batch(log, 4)
    assert events(path) == ["audit.begun", *["sigil.encoded"] * 4]


async def test_where_the_log_is_not_required(path: Path) -> None:
    """A batch waits for room as long as the log is being written, and none of its lines is lost."""
    log = AuditLog(AuditFile(path, SECRET), required=False, patience=60, most_waiting=8)
    log.wait_until_tried()
    with frozen_disk(path):
        batches = [asyncio.create_task(batch(log, count)) for count in (3, 4, 1, 4)]
        await turns()
        assert [one.done() for one in batches] == [True, False, False, False]
        assert (log.waiting, log.has_places(1), log.condition) == (3, False, "ok")
    await asyncio.gather(*batches)
    await log.close()
    assert (events(path).count("sigil.encoded"), log.lost) == (12, 0)
    assert log.has_places(4)


async def test_nobody_waits_in_vain(path: Path) -> None:
    """A log that is not required and does not work has batches go on without room, and tells what is lost."""
    log = AuditLog(AuditFile(path, SECRET), required=False, patience=0.05, most_waiting=8)
    log.wait_until_tried()
    with capture_logs() as logged:
        with frozen_disk(path):
            await batch(log, 4)
            await batch(log, 4)  # after a while
            assert log.has_places(4)
            await batch(log, 4)  # at once
        await log.close()
    assert (events(path).count("sigil.encoded"), log.lost) == (8, 4)
    assert [line["lost"] for line in logged if line["event"] == "audit log works again"] == [4]
    assert log.has_places(4)


async def test_a_log_that_is_known_to_fail_keeps_nobody(path: Path) -> None:
    """Where a log is not required and known to fail, batches of any size go on at once."""
    log = AuditLog(AuditFile(path, SECRET), required=False, most_waiting=8)
    log.wait_until_tried()
    assert not log.has_places(100)
    log._writer.outage.begin("full")
    assert log.has_places(100)
    await log.close()


async def test_long_names_leave_room(path: Path) -> None:
    """Lines of batches whose callers have the longest names leave bytes, too, for many single calls."""
    log = AuditLog(AuditFile(path, SECRET), required=True)
    names = {"issuer": "i" * 255, "tenant": "t" * 128, "subject": "s" * 255, "request_id": "r" * 128}
    one = Entry("sigil.encoded", [{**names, "sigil_id": "x" * 36, "sealing_key": "k" * 8}]).size()
    assert log.has_places(20_000)
    assert not log.has_places(20_001)
    assert log._queue._most_bytes - 20_000 * one > 10_000 * one
    await log.close()
