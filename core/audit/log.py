"""The audit log: lines go through a bounded queue into a chained file, and callers wait where they must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.audit.file import AuditFile
from core.audit.interface import AuditCondition, AuditEvent, Member
from core.audit.places import BatchPlaces
from core.audit.queue import AuditQueue, Entry
from core.audit.writer import AuditWriter, settle
from core.errors import AuditUnavailableError
from core.later import Later, Settled

#: Lines of all tenants; those of batches fill half of it.
_MOST_WAITING: Final = 40_000
_MOST_WAITING_BYTES: Final = 64 << 20
#: Seconds after which a required line that is not in its file counts as refused.
_PATIENCE: Final = 5.0
_LOOKS_IN_PATIENCE: Final = 10


class Following(Entry):
    """A Sequel: lines that are queued when that is done what they tell."""

    __slots__ = ("_log", "later")

    def __init__(self, log: AuditLog, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """Prepare, in the event loop of whoever waits."""
        self._log = log
        self.later = Later(asyncio.get_running_loop())
        super().__init__(event, lines, future=self.later)

    def begin_all(self, sequels: Sequence[Following]) -> None:
        """See Sequel.begin_all."""
        self._log.follow(sequels)


class AuditLog:
    """The Audit of a process. One log serves one event loop.

    Where it is required, ``write`` returns when the line is on disk and raises when it cannot be;
    where it is not, nobody waits for that, and lines that find no room are counted. Batches wait for room as
    long as it comes: what is lost is lost of a log that does not work.
    """

    def __init__(
        self,
        file: AuditFile,
        *,
        required: bool,
        most_waiting: int = _MOST_WAITING,
        most_waiting_bytes: int = _MOST_WAITING_BYTES,
        patience: float = _PATIENCE,
    ) -> None:
        self._required = required
        self._patience = patience
        self._queue = AuditQueue(most=most_waiting, most_bytes=most_waiting_bytes)
        self._places = BatchPlaces(
            most_waiting // 2, patience, (lambda: 0) if required else self._queue.__len__
        )
        self._writer = AuditWriter(file, self._queue, durable=required)
        #: Of those who wait for places although the log is not required.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer.on_room = self._tell_of_room
        self._watching = False
        self._writer.start()

    @classmethod
    def open(cls, path: Path, secret: str, *, required: bool) -> AuditLog:
        """Open the log, or make it.

        Raises:
            AuditUnavailableError: it is required and cannot be written.
        """
        with suppress(OSError):  # what is wrong then, the first attempt to write says
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = cls(AuditFile(path, secret), required=required)
        try:
            log.wait_until_tried()
            log.check()
        except AuditUnavailableError:
            log._queue.close()
            raise
        return log

    def wait_until_tried(self) -> None:
        """Wait until it is known whether the file can be written, for a while. Blocks."""
        if not self._writer.tried.wait(self._patience):
            self._writer.outage.begin("slow")

    def note(self, event: AuditEvent, **members: Member) -> None:
        """See Audit.note."""
        if self._queue.admits(event, members):
            self._put(Entry(event, (members,)))

    async def write(self, event: AuditEvent, **members: Member) -> None:
        """See Audit.write."""
        await self.write_all(event, (members,))

    async def write_all(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """See Audit.write_all."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._begin(event, lines, future):
            await future

    def write_soon(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> Later | None:
        """See Audit.write_soon."""
        later = Later(asyncio.get_running_loop())
        return later if self._begin(event, lines, later) else None

    def sequel(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> Following | None:
        """See Audit.sequel."""
        following = Following(self, event, lines)
        return following if following.count else None

    def follow(self, sequels: Sequence[Following]) -> None:
        """Queue the lines of sequels, as ``write_all`` would. Of any thread."""
        broken = self._writer.outage.reason
        if broken is not None or not self._required:
            for sequel in sequels:
                sequel.future = None
        refused = self._queue.put_all(sequels)
        if refused:
            self._writer.outage.begin("overloaded")
        loop = sequels[0].later.get_loop()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            if not self._watching:
                loop.call_soon_threadsafe(self._watch_over, loop)
            if not self._required:
                loop.call_soon_threadsafe(settle, [sequel.later for sequel in sequels], None)
                return
            if refused:
                error = AuditUnavailableError("overloaded", retry_after=1)
                full = [sequel.later for sequel in sequels if sequel in refused]
                loop.call_soon_threadsafe(settle, full, error)
            if broken is not None:
                laters = [sequel.later for sequel in sequels if sequel not in refused]
                loop.call_soon_threadsafe(settle, laters, AuditUnavailableError(broken))

    def check(self) -> None:
        """See Audit.check."""
        reason = self._writer.outage.reason
        if self._required and reason is not None:
            raise AuditUnavailableError(reason)

    def has_places(self, lines: int) -> bool:
        """See Audit.has_places."""
        return self._places.has(lines) or (not self._required and not self._is_written())

    async def set_aside(self, lines: int) -> None:
        """See Audit.set_aside."""
        if not self._required:
            await self._set_aside_if_it_helps(lines)
            return
        await self._places.take(lines)
        try:
            self.check()
        except AuditUnavailableError:
            self._places.give_back(lines)
            raise

    def give_back(self, lines: int) -> None:
        """See Audit.give_back."""
        self._places.give_back(lines)

    @property
    def condition(self) -> AuditCondition:
        """See Audit.condition."""
        return "ok" if self._writer.outage.reason is None else "failing"

    async def close(self) -> None:
        """See Audit.close. A file that can still not be written loses what waits for it."""
        if not self._queue.is_closed:
            self._queue.close()
            await asyncio.to_thread(self._writer.join, self._patience)

    @property
    def waiting(self) -> int:
        """Lines that are not in the file yet."""
        return len(self._queue)

    @property
    def written(self) -> int:
        """Lines that this process has written."""
        return self._writer.written

    @property
    def lost(self) -> int:
        """Lines that found no room."""
        return self._writer.lost + self._queue.lost

    def on_written(self, tell: Callable[[float], None]) -> None:
        """Have it told how many seconds it takes to write lines; it is called in the writer's thread."""
        self._writer.on_written = tell

    async def _set_aside_if_it_helps(self, lines: int) -> None:
        """Wait for room while there comes some; go on without it otherwise."""
        if self._is_written():
            self._loop = asyncio.get_running_loop()
            try:
                await self._places.take(lines)
            except AuditUnavailableError:
                pass
            else:
                return
        self._places.take_in_any_case(lines)

    def _is_written(self) -> bool:
        """Whether what waits in the queue is on its way into the file, however much it is."""
        works = self._writer.outage.reason in {None, "overloaded"}
        return works and not self._queue.stands_still(self._patience)

    def _tell_of_room(self) -> None:
        """In the writer's thread: have those served who wait for what is written now."""
        if not self._required and self._loop is not None and self._places.are_wanted:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._places.serve)

    def _begin(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]], future: Settled) -> bool:
        """Queue lines; whether somebody must wait for them, whose future is settled then."""
        if not lines:
            return False
        if not self._required:
            if self._queue.admits(event, lines[0]):
                self._put(Entry(event, lines))
                self._watch_over(future.get_loop())
            return False
        broken = self._writer.outage.reason
        # What has happened is queued all the same: the log shall have it when it works again.
        if not self._put(Entry(event, lines, future=future if broken is None else None)):
            raise AuditUnavailableError("overloaded", retry_after=1)
        if broken is not None:
            raise AuditUnavailableError(broken)
        self._watch_over(future.get_loop())
        return True

    def _put(self, entry: Entry) -> bool:
        kept = self._queue.put(entry)
        if not kept:
            self._writer.outage.begin("overloaded")
        return kept

    def _watch_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._watching:
            self._watching = True
            loop.call_later(self._patience / _LOOKS_IN_PATIENCE, self._watch, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Notice a writer that hangs, and release its callers."""
        # First, so that other threads ask for another look at what this one does not see.
        self._watching = False
        if self._queue.stands_still(self._patience):
            self._writer.outage.begin("slow")
            futures = [future for arrival in self._queue.waiting() for future in arrival.futures()]
            settle(futures, AuditUnavailableError("slow"))
        elif len(self._queue):
            self._watch_over(loop)
