"""The audit log of a process: who waits, who is told what, and what a flood or a broken disk leaves."""

# ruff: noqa: ASYNC240 - these tests look at files while nothing else goes on in their loops

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.audit import refusals as audit_refusals
from core.audit import writer as audit_writer
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.errors import AuditUnavailableError
from tests.service.audit.audits import SECRET, events, faults, lines
from tests.service.audit.disks import frozen_disk, full_disk

Make = Callable[..., AuditLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "folder" / "audit.jsonl"


@pytest.fixture
async def make(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Opens the log; with less patience than a service has."""
    monkeypatch.setattr(audit_writer, "_RETRY_SECONDS", 0.02)
    made: list[AuditLog] = []

    def make(*, required: bool = True, patience: float = 60, **more: int) -> AuditLog:
        path.parent.mkdir(exist_ok=True)
        log = AuditLog(AuditFile(path, SECRET), required=required, patience=patience, **more)
        log.wait_until_tried()
        made.append(log)
        return log

    yield make
    for log in made:
        await log.close()


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for is done by a thread
            await asyncio.sleep(0.005)


async def encoded(log: AuditLog, number: int = 0) -> None:
    """Audit an encode."""
    await log.write("sigil.encoded", number=number)


async def refused(log: AuditLog) -> str:
    """The reason with which a write is refused."""
    with pytest.raises(AuditUnavailableError) as caught:
        await encoded(log)
    return caught.value.reason


async def test_a_written_line_is_in_the_file(make: Make, path: Path) -> None:
    """When ``write`` returns the line is there, with its time, event and members but no empty ones."""
    log = make()
    await log.write("sigil.verified", tenant="caf\u00e9", valid=True, reason=None)
    line = lines(path)[-1]
    assert (line["event"], line["tenant"], line["valid"]) == ("sigil.verified", "caf\u00e9", True)
    assert "reason" not in line
    assert len(line["time"]) == len("2026-11-22T22:50:40.428Z")
    assert faults([path]) == []
    assert log.condition == "ok"


async def test_without_a_task(make: Make, path: Path) -> None:
    """Who waits without a task is told when the lines are in the file, or why they are not."""
    log = make(most_waiting=3)
    told: list[BaseException | None] = []
    begun = log.write_soon("sigil.verified", [{"number": 1}, {"number": 2}])
    assert begun is not None
    begun.add_done_callback(lambda done: told.append(done.exception()))
    await until(lambda: told)
    assert told == [None]
    assert [line.get("number") for line in lines(path)][-2:] == [1, 2]
    assert log.write_soon("sigil.verified", []) is None
    with frozen_disk(path):
        assert log.write_soon("sigil.verified", [{"number": 3}]) is not None
        with pytest.raises(AuditUnavailableError, match="overloaded"):
            log.write_soon("sigil.verified", [{"number": 4}] * 3)
        with pytest.raises(AuditUnavailableError, match="overloaded"):
            log.write_soon("sigil.verified", [{"number": 5}])
    await until(lambda: log.waiting == 0)
    # What there was room for of it, as of those who wait with a task.
    assert [line["number"] for line in lines(path) if "number" in line] == [1, 2, 3, 4, 4]
    indifferent = make(required=False)
    assert indifferent.write_soon("sigil.verified", [{"number": 6}]) is None


async def test_many_at_once(make: Make, path: Path) -> None:
    """Lines of concurrent callers are written in groups, in the order in which they came."""
    log = make()
    await asyncio.gather(*(encoded(log, number) for number in range(5000)))
    assert [line["number"] for line in lines(path) if "number" in line] == list(range(5000))
    assert faults([path]) == []


@pytest.mark.parametrize("required", [True, False])
async def test_many_of_one_caller(make: Make, path: Path, required: bool) -> None:
    """When ``write_all`` returns, the last line is there, and all before it; of none there is no line."""
    log = make(required=required)
    await log.write_all("sigil.encoded", [{"number": number} for number in range(2500)])
    await log.write_all("sigil.encoded", [])
    if not required:
        await log.close()
    assert [line["number"] for line in lines(path) if "number" in line] == list(range(2500))
    assert faults([path]) == []


async def test_many_of_one_caller_on_a_full_disk(make: Make, path: Path) -> None:
    """Their caller is refused, while it fails and once that is known; the log has all of them afterwards."""
    log = make()
    with capture_logs(), full_disk():  # standard output may be a file that cannot grow either
        for _ in range(2):
            with pytest.raises(AuditUnavailableError, match="full"):
                await log.write_all("sigil.encoded", [{"number": number} for number in range(3)])
    await until(lambda: log.condition == "ok")
    assert [line["number"] for line in lines(path) if "number" in line] == [0, 1, 2] * 2


async def test_many_of_one_caller_without_room(make: Make, path: Path) -> None:
    """Where there is room for some of the lines only, these are kept, the others counted."""
    log = make(most_waiting=3)
    with frozen_disk(path), pytest.raises(AuditUnavailableError, match="overloaded"):
        await log.write_all("sigil.encoded", [{"number": number} for number in range(8)])
    await until(lambda: "audit.lost" in events(path))
    assert [line["count"] for line in lines(path) if "count" in line] == [5]
    assert events(path).count("sigil.encoded") == 3


async def test_a_caller_who_stops_waiting(make: Make, path: Path) -> None:
    """A caller who is cancelled takes nothing back and harms no other."""
    log = make()
    tasks = [asyncio.create_task(encoded(log, number)) for number in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, BaseException) for one in done] == [False] * 3 + [True] + [False] * 6
    assert len(events(path)) == 11


async def test_close_writes_what_waits(make: Make, path: Path) -> None:
    """An orderly end loses no line, of whichever policy; a second close does nothing."""
    for required in (True, False):
        log = make(required=required)
        for number in range(3000):
            log.note("sigil.encoded", number=number)
        await log.close()
        await log.close()
        log.note("sigil.encoded")
    assert len(events(path)) == 6001
    assert faults([path]) == []


async def test_full_disk_where_the_log_is_required(make: Make, path: Path) -> None:
    """Callers are refused, later ones at once; nothing is lost, and it works again by itself."""
    log = make()
    with capture_logs() as logged:
        with full_disk():
            assert await refused(log) == "full"
            with pytest.raises(AuditUnavailableError):
                log.check()
            assert await refused(log) == "full"
            assert log.condition == "failing"
        await until(lambda: log.condition == "ok")
    await encoded(log)
    log.check()
    assert events(path) == ["audit.begun", *["sigil.encoded"] * 3]
    assert faults([path]) == []
    assert [line["event"] for line in logged if line["log_level"] in {"error", "warning"}] == [
        "audit log failing",
        "audit log works again",
    ]


async def test_full_disk_where_the_log_is_not_required(make: Make, path: Path) -> None:
    """Nobody is refused; what finds no room while it lasts is counted, and the count is in the log."""
    log = make(required=False, most_waiting=10)
    with capture_logs() as logged, full_disk():
        log.note("sigil.encoded")
        await until(lambda: log.condition == "failing")
        for _ in range(30):
            await encoded(log)
        log.check()
    await until(lambda: log.condition == "ok")
    assert events(path)[:11] == ["audit.begun", *["sigil.encoded"] * 10]
    assert set(events(path)[11:]) == {"audit.lost"}
    assert sum(line.get("count", 0) for line in lines(path)) == 21
    assert len([line for line in logged if line["log_level"] == "error"]) == 1
    assert faults([path]) == []


async def test_frozen_disk_where_the_log_is_required(make: Make, path: Path) -> None:
    """Callers are released after a while, later ones at once; their lines are written when it goes on."""
    log = make(patience=0.1)
    with frozen_disk(path):
        assert set(await asyncio.gather(refused(log), refused(log))) == {"slow"}
        assert await refused(log) == "slow"
    await until(lambda: log.condition == "ok")
    await encoded(log)
    assert len(events(path)) == 5
    assert faults([path]) == []


async def test_frozen_disk_where_the_log_is_not_required(make: Make, path: Path) -> None:
    """Nobody waits for a disk that hangs, and memory stays bounded."""
    log = make(required=False, most_waiting=10)
    with frozen_disk(path):
        for _ in range(100):
            await encoded(log)

    def accounted() -> int:
        lost: int = sum(line.get("count", 0) for line in lines(path))
        return events(path).count("sigil.encoded") + lost

    await until(lambda: accounted() == 100)
    assert 10 <= events(path).count("sigil.encoded") < 100


async def test_close_does_not_hang(make: Make, path: Path) -> None:
    """A disk that hangs does not keep the process from ending, and the log says that lines are missing."""
    log = make(patience=0.1)
    with capture_logs() as logged, frozen_disk(path):
        log.note("sigil.encoded")
        await log.close()
    assert [line["waiting"] for line in logged if line["event"] == "audit log not closed"] == [1]


async def test_close_on_a_full_disk(make: Make) -> None:
    """What cannot be written at the end is counted in the log."""
    log = make()
    with capture_logs() as logged, full_disk():
        log.note("sigil.encoded")
        await log.close()
    assert [line["count"] for line in logged if line["event"] == "audit lines lost"] == [1]


@pytest.mark.parametrize("bound", [{"most_waiting": 3}, {"most_waiting_bytes": 3000}])
async def test_more_than_the_queue_holds(make: Make, path: Path, bound: dict[str, int]) -> None:
    """Where the log is required, a caller for whom there is no room is refused, not delayed."""
    log = make(**bound)
    with frozen_disk(path):
        waiting = [asyncio.create_task(encoded(log)) for _ in range(3)]
        await asyncio.sleep(0)
        assert await refused(log) == "overloaded"
    await asyncio.gather(*waiting)
    await until(lambda: "audit.lost" in events(path))
    await until(lambda: log.condition == "ok")


@pytest.mark.parametrize("required", [True, False])
async def test_a_start_that_cannot_be_audited(path: Path, required: bool) -> None:
    """A required log that cannot be written refuses the start; otherwise the start is only noted."""
    path.mkdir(parents=True)
    if required:
        with pytest.raises(AuditUnavailableError):
            AuditLog.open(path, SECRET, required=True)
    else:
        log = AuditLog.open(path, SECRET, required=False)
        assert log.condition == "failing"
        await log.close()


async def test_flood_of_refusals(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers are refused, the lines are few, and every refusal is written or counted."""
    monkeypatch.setattr(audit_refusals, "COUNT_SECONDS", 0.3)
    log = make()
    begun = time.monotonic()
    for number in range(20_000):
        log.note("authentication.refused", request_id="x" * 128, peer="::1", reason="ab"[number % 2])
    log.note("authorization.refused", reason="role_missing")
    seconds = time.monotonic() - begun

    def told() -> int:
        """Of how many refusals the log tells."""
        counts: list[int] = [line["count"] for line in lines(path) if line["event"] == "audit.limited"]
        return sum(counts) + events(path).count("authentication.refused")

    await until(lambda: told() == 20_000)
    found = lines(path)
    single = [line for line in found if line["event"] == "authentication.refused"]
    assert audit_refusals.BURST <= len(single) <= audit_refusals.BURST + 1 + 5 * seconds
    counted = [line["reason"] for line in found if line["event"] == "audit.limited"]
    assert len(counted) <= 2 * (2 + seconds / audit_refusals.COUNT_SECONDS)
    assert set(counted) == {"a", "b"}
    assert events(path).count("authorization.refused") == 1
    assert faults([path]) == []


async def test_flood_while_the_log_cannot_be_written(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it lasts, lines that only count refusals take no more room than the queue has."""
    monkeypatch.setattr(audit_refusals, "COUNT_SECONDS", 0.0)
    log = make(required=False, most_waiting=150)
    sent = 0
    with capture_logs(), full_disk():
        log.note("sigil.encoded")
        await until(lambda: log.condition == "failing")
        while sent < 2_000:
            log.note("authentication.refused", reason="missing")
            sent += 1
            await asyncio.sleep(0 if sent % 10 else 0.001)
        assert len(log._queue) <= 150
    await until(lambda: log.condition == "ok")
    await log.close()
    counted = sum(line.get("count", 0) for line in lines(path))
    assert events(path).count("authentication.refused") + counted == sent
    assert faults([path]) == []


def test_limit_on_the_average() -> None:
    """Over minutes of flood each kind of refusal has its burst and its share a second, and few counts."""
    limit = audit_refusals.RefusalLimit()
    admitted = written = 0
    for tenth in range(6_000):
        now = tenth / 10
        if limit.due_at is not None and now >= limit.due_at:
            written += len(limit.take())
        for number in range(30):
            admitted += limit.admits("authentication.refused", f"reason {number}", now)
    assert admitted == audit_refusals.BURST + audit_refusals.LINES_PER_SECOND * 600 - 1
    assert written <= 30 * 600 / audit_refusals.COUNT_SECONDS


def test_limit_of_unheard_of_reasons() -> None:
    """Even if reasons were without number, the counts would not be."""
    limit = audit_refusals.RefusalLimit()
    for number in range(1000):
        limit.admits("sigil.not_found", str(number), 0.0)
    counts = limit.take()
    assert len(counts) == 65
    assert sum(count.number for count in counts) == 1000 - audit_refusals.BURST


async def test_line_that_cannot_be_written(make: Make, path: Path) -> None:
    """A member that no line can hold costs its own line and no other."""
    log = make()
    log.note("sigil.encoded", subject="\ud800")
    log.note("sigil.encoded", subject="x" * 40_000)
    await encoded(log)
    assert events(path) == ["audit.begun", "audit.unwritable", "audit.unwritable", "sigil.encoded"]
    assert lines(path)[1]["of"] == "sigil.encoded"
    assert faults([path]) == []


async def test_the_digest_is_exported(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain's end is logged at the start, after a rotation, now and then as it moves, at the end."""
    with capture_logs() as logged:
        log = make()
        await encoded(log)
        path.rename(path.with_suffix(".1"))
        await encoded(log)
        await encoded(log)
        monkeypatch.setattr(audit_writer, "_DIGEST_SECONDS", 0.0)
        await encoded(log)
        await until(lambda: any(line.get("last", "").startswith("6:") for line in logged))
        monkeypatch.setattr(audit_writer, "_DIGEST_SECONDS", 60.0)
        await encoded(log)
        await log.close()
    digests = [line for line in logged if line["event"] == "audit digest"]
    sequences = [line["sequence"] for line in digests]
    # Whether the pace was changed before or after the writer went to sleep, nobody knows.
    assert [sequence for sequence in sequences if sequence != 5] == [1, 4, 6, 7]
    at = {line["seq"]: line["chain"] for line in lines(path.with_suffix(".1"), path)}
    assert [line["last"] for line in digests] == [f"{seq}:{at[seq]}" for seq in sequences]


async def test_an_idle_log_shows_its_digest(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines before a silence are exported too, and then nothing more."""
    monkeypatch.setattr(audit_writer, "_DIGEST_SECONDS", 0.05)
    with capture_logs() as logged:
        log = make()
        await encoded(log)
        await until(lambda: any(line.get("sequence") == 2 for line in logged))
        size = path.stat().st_size
        await asyncio.sleep(0.2)
    assert len([line for line in logged if line["event"] == "audit digest"]) == 2
    assert path.stat().st_size == size


async def test_lines_that_nobody_waits_for_become_durable(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log is not required it is synchronised once in a while, not for each group."""
    synced: list[int] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(audit_writer, "_SYNC_SECONDS", 0.3)
    log = make(required=False)
    for number in range(20):
        log.note("sigil.encoded", number=number)
        await asyncio.sleep(0.002)
    await until(lambda: len(events(path)) == 21)
    before = len(synced)
    assert before < 10
    await until(lambda: len(synced) > before)


async def test_no_secret_in_repr(make: Make) -> None:
    """No representation of the log or its parts holds the secret."""
    log = make()
    seen = repr(vars(log)) + repr([vars(part) for part in vars(log).values() if hasattr(part, "__dict__")])
    assert SECRET not in seen


async def test_hang_is_noticed_where_nobody_waits(make: Make, path: Path) -> None:
    """A log that is not required counts as failing, too, while it hangs."""
    log = make(required=False, patience=0.05)
    with frozen_disk(path):
        await encoded(log)
        await until(lambda: log.condition == "failing")
    await until(lambda: log.condition == "ok")


async def test_end_of_a_log_that_fails_tells_of_all(make: Make) -> None:
    """What waits at the end, and what had found no room before, is told of together."""
    log = make(required=False, most_waiting=2)
    with capture_logs() as logged, full_disk():
        for number in range(5):
            await encoded(log, number)
        await log.close()
    assert [line["count"] for line in logged if line["event"] == "audit lines lost"] == [5]
