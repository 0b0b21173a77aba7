"""Audit lines that wait for their file: bounded, and counted where they find no room or flood."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from core.audit.interface import AuditEvent, Member
from core.audit.refusals import LIMITED, RefusalLimit
from core.timestamps import timestamp

#: What an entry holds besides its strings, roughly.
_ENTRY_BYTES: Final = 1000
LONGEST_GROUP: Final = 1000


class Entry:
    """A line that waits.

    Attributes:
        born: when it came, by the steady clock.
        future: of the caller who waits until the line is in the file, if one does.
    """

    __slots__ = ("_event", "_members", "_time_ns", "born", "future", "size")

    def __init__(
        self, event: AuditEvent, members: Mapping[str, Member], future: asyncio.Future[None] | None = None
    ) -> None:
        self._event = event
        self._members = members
        self._time_ns = time.time_ns()
        self.born = time.monotonic()
        self.future = future
        self.size = _ENTRY_BYTES + sum([len(value) for value in members.values() if type(value) is str])

    def line(self) -> dict[str, Member]:
        """The line's members."""
        line: dict[str, Member] = {"time": timestamp(self._time_ns // 1_000_000), "event": self._event}
        for name, value in self._members.items():
            if value is not None:
                line[name] = value
        return line


class AuditQueue:
    """Entries on their way from event loops to the writer's thread.

    Entries stay in the queue until they are in the file, so a file that cannot be written loses
    nothing before the queue is full. Every method takes the lock.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changed = threading.Condition(threading.Lock())
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._lost = 0
        self._idle = False
        self._closed = False
        self._limit = RefusalLimit()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, *entries: Entry) -> bool:
        """Queue entries, one behind the other. Those without room count as lost, and the answer is False."""
        with self._changed:
            if self._closed:
                self._lost += len(entries)
                return False
            kept = [self._add(entry, 1) for entry in entries]
            return all(kept)

    def admits(self, event: AuditEvent, members: Mapping[str, Member]) -> bool:
        """Whether an event gets a line of its own; a refusal too many is only counted."""
        if event not in LIMITED:
            return True
        with self._changed:
            was_due = self._limit.due_at is not None
            admitted = self._limit.admits(event, str(members.get("reason", "")), time.monotonic())
            if not was_due and not admitted and self._idle:
                self._changed.notify()
        return admitted

    def close(self) -> None:
        """Take no more; the writer's ``wait`` ends."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def waiting(self) -> list[Entry]:
        """The entries whose callers wait, oldest first."""
        with self._changed:
            return [entry for entry in self._entries if entry.future is not None and not entry.future.done()]

    # -- for the writer's thread -----------------------------------------------------------------

    def wait(self, until: float | None, *, for_entries: bool) -> None:
        """Sleep until the time has come, or the queue is closed; or, if wanted, until there is an entry."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                self._add_counts(now)
                if (for_entries and self._entries) or (until is not None and now >= until):
                    return
                times = [moment for moment in (until, self._limit.due_at) if moment is not None]
                self._idle = True
                self._changed.wait(max(0.0, min(times) - now) if times else None)
                self._idle = False
            self._add_counts(float("inf"))

    @property
    def lost(self) -> int:
        """How many found no room since ``drop``."""
        return self._lost

    def head(self) -> tuple[Sequence[Entry], int]:
        """The oldest entries, a group of them, which stay; and how many were lost since ``drop``."""
        with self._changed:
            return list(islice(self._entries, LONGEST_GROUP)), self._lost

    def drop(self, entries: int, lost: int) -> int:
        """Forget the oldest, which are in the file now, and a number of lost ones; how many are left."""
        with self._changed:
            for _ in range(entries):
                self._bytes -= self._entries.popleft().size
            self._lost -= lost
            return len(self._entries) + self._lost

    def _add(self, entry: Entry, events: int) -> bool:
        """Add a line that tells of so many events; without room these are lost."""
        if len(self._entries) >= self._most or self._bytes >= self._most_bytes:
            self._lost += events
            return False
        self._entries.append(entry)
        self._bytes += entry.size
        if self._idle:
            self._changed.notify()
        return True

    def _add_counts(self, now: float) -> None:
        """Lines for the refusals that were only counted."""
        due_at = self._limit.due_at
        if due_at is not None and now >= due_at:
            for event, reason, number in self._limit.take():
                members: dict[str, Any] = {"of": event, "reason": reason, "count": number}
                self._add(Entry("audit.limited", members), number)
