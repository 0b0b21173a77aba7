"""Records that are kept, and then audited, before anybody is told."""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.audit import writer as audit_writer
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.engine import Engine
from core.errors import AuditUnavailableError, StoreUnavailableError
from core.later import Later, Sequel
from core.records import Record
from core.sealed_records import SealedRecords
from core.seals import Seals
from core.store.observed import ObservedPromptStore, observed_store
from core.store.passing import PassingStore
from core.store.sql_store import SqlStore
from sigil_native import KeyRing, SealRequests
from tests.service.audit.audits import SECRET, faults, lines
from tests.service.store.laters import outcome_of
from tests.service.store.store_records import record


class Told:
    """A StorageObserver that remembers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def read(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""

    def wrote(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""
        assert 0 <= seconds < 60
        self.calls.append(operation)

    def failed(self, reason: str) -> None:
        """See StorageObserver."""
        self.calls.append(reason)

    def works(self) -> None:
        """See StorageObserver."""
        self.calls.append("works")

    def committed(self, writes: int) -> None:
        """See StorageObserver."""


class Both:
    """A store, its observer, and an audit log."""

    def __init__(
        self, folder: Path, *, required: bool = True, patience: float = 60, most: int = 1000
    ) -> None:
        self.database = folder / "sigils.db"
        self.file = folder / "audit.jsonl"
        self.sql = SqlStore.open(f"sqlite:///{self.database}")
        self.told = Told()
        store = observed_store(self.sql, self.told)
        assert isinstance(store, ObservedPromptStore)
        self.store = store
        self.log = AuditLog(
            AuditFile(self.file, SECRET), required=required, patience=patience, most_waiting=most
        )
        self.log.wait_until_tried()

    def keep(self, number: int, *, audited: int = 1) -> asyncio.Future[None]:
        """Keep a record, and audit it with so many lines."""
        sequel = self.log.sequel("sigil.encoded", [{"number": number}] * audited)
        later = self.store.put_soon([record(number)], sequel)
        assert later is not None
        return outcome_of(later)

    def kept(self) -> list[int]:
        """The records that others can see in the database."""
        connection = sqlite3.connect(self.database)
        try:
            return [number for (number,) in connection.execute("SELECT issued_at_ms FROM sigils ORDER BY id")]
        finally:
            connection.close()

    def count(self) -> int:
        """How many records others can see in the database."""
        return len(self.kept())

    def audited(self) -> list[int]:
        """The records that have lines."""
        return [line["number"] for line in lines(self.file) if "number" in line]

    async def close(self) -> None:
        """Close both."""
        await self.sql.close()
        await self.log.close()


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Both]]:
    """Opens a store and a log."""
    monkeypatch.setattr(audit_writer, "_RETRY_SECONDS", 0.02)
    made: list[Both] = []

    def make(**options: float) -> Both:
        made.append(Both(tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for both in made:
        await both.close()


@contextmanager
def frozen_disk(both: Both) -> Iterator[None]:
    """Whoever writes the audit log hangs: somebody else holds its lock."""
    with both.file.with_name("audit.jsonl.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for is done by a thread
            await asyncio.sleep(0.005)


async def test_both_are_done(make: Callable[..., Both]) -> None:
    """Whoever is told finds the record in the database and its line in the log, each once."""
    both = make()
    for first in (0, 100):
        await asyncio.gather(*(both.keep(number) for number in range(first, first + 100)))
        assert both.count() == first + 100
    assert both.audited() == list(range(200))
    assert faults([both.file]) == []
    assert both.told.calls == ["put", "works"] * 200


async def test_no_line_before_its_record(make: Callable[..., Both], monkeypatch: pytest.MonkeyPatch) -> None:
    """When lines are about to be written, what they tell is durable already."""
    both = make()
    seen: list[tuple[int, int]] = []
    append = AuditFile.append

    def appending(file: AuditFile, written: Sequence[dict[str, object]], *, sync: bool) -> object:
        seen.append((len(written), both.count()))
        return append(file, written, sync=sync)  # type: ignore[arg-type]

    monkeypatch.setattr(AuditFile, "append", appending)
    await asyncio.gather(*(both.keep(number) for number in range(50)))
    total = 0
    for count, kept in seen:
        total += count
        assert kept >= total
    assert total == 50


async def test_a_store_that_fails(make: Callable[..., Both]) -> None:
    """What was not kept has no line, and its caller hears of the store."""
    both = make()
    with both.sql._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(both.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        await both.keep(1)
    other.execute("ROLLBACK")
    other.close()
    await both.keep(2)
    assert both.audited() == [2]
    assert both.told.calls == ["put", "locked", "put", "works"]


async def test_one_of_a_group_fails(make: Callable[..., Both]) -> None:
    """A record that is refused has no line; the others of its group have theirs."""
    both = make()
    good = [both.keep(number) for number in range(3)]
    sequel = both.log.sequel("sigil.encoded", [{"number": 99}])
    bad = both.store.put_soon([record(0, payload=b"[]")], sequel)
    assert bad is not None
    results = await asyncio.gather(*good, outcome_of(bad), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType"] * 3 + ["DuplicateRecordError"]
    assert both.audited() == [0, 1, 2]


async def test_a_full_disk_under_the_log(make: Callable[..., Both], monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are refused, before and after that is known; the store is well, and the lines are not lost."""
    both = make()
    failing = True
    append = AuditFile.append

    def appending(file: AuditFile, written: Sequence[dict[str, object]], *, sync: bool) -> object:
        if failing:
            raise AuditUnavailableError("full")
        return append(file, written, sync=sync)  # type: ignore[arg-type]

    monkeypatch.setattr(AuditFile, "append", appending)
    with capture_logs():
        for number in range(2):
            with pytest.raises(AuditUnavailableError, match="full"):
                await both.keep(number)
        assert both.told.calls == ["put", "works"] * 2
        assert both.count() == 2
        failing = False
        await until(lambda: both.log.condition == "ok")
    assert both.audited() == [0, 1]


async def test_a_disk_that_hangs_under_the_log(make: Callable[..., Both]) -> None:
    """Callers are released after a while, though no other asks for it; their lines are written afterwards."""
    both = make(patience=0.1)
    with capture_logs():
        with frozen_disk(both):
            for number in range(2):
                with pytest.raises(AuditUnavailableError, match="slow"):
                    await both.keep(number)
        await until(lambda: both.log.condition == "ok")
    assert both.audited() == [0, 1]


async def test_more_than_the_log_holds(make: Callable[..., Both]) -> None:
    """Whoever finds no room, or not for all lines, is refused; what was lost is counted."""
    both = make(most=3)
    with capture_logs():
        with frozen_disk(both):
            waiting = [both.keep(1, audited=2), both.keep(2, audited=2), both.keep(3)]
            await until(lambda: both.count() == 3)
            results = await asyncio.gather(*waiting[1:], return_exceptions=True)
            assert [str(result) for result in results] == [str(AuditUnavailableError("overloaded"))] * 2
        await waiting[0]
        await until(lambda: any("count" in line for line in lines(both.file)))
    assert both.audited() == [1, 1, 2]
    assert sum(line.get("count", 0) for line in lines(both.file)) == 2


async def test_where_the_log_is_not_required(make: Callable[..., Both]) -> None:
    """Nobody waits for a log whose disk hangs; the line comes later."""
    both = make(required=False)
    with frozen_disk(both):
        await both.keep(1)
        assert both.count() == 1
    await until(lambda: both.audited() == [1])


async def test_where_the_log_is_closed(make: Callable[..., Both]) -> None:
    """A record whose line comes too late is kept, and its caller is refused."""
    both = make()
    await both.log.close()
    with pytest.raises(AuditUnavailableError, match="overloaded"):
        await both.keep(1)
    assert both.count() == 1


async def test_a_store_that_nobody_waits_for(make: Callable[..., Both]) -> None:
    """The engine begins what follows where the store has kept at once."""
    both = make()

    class AtOnce(PassingStore):
        def put_soon(self, _: Sequence[Record], sequel: Sequel | None = None) -> None:
            """See PromptStore.put_soon."""

        def find_soon(self, *_: object) -> Later:
            """See PromptStore.find_soon."""
            raise AssertionError("nothing is looked up")

    ring = KeyRing()
    ring.add("s" * 32)
    requests = SealRequests(b'{"data":{}}', most=1)
    requests.read(0, 1)
    engine = Engine(Seals(ring), AtOnce(both.sql))
    records: SealedRecords = engine.seal_few("acme", "tester", requests)
    later = engine.keep_soon(records, both.log.sequel("sigil.encoded", [{"number": 7}]))
    assert later is not None
    await outcome_of(later)
    assert both.audited() == [7]
    assert engine.keep_soon(records, None) is None
