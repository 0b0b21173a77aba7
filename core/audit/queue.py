"""Audit lines that wait for their file: bounded, and counted where they find no room or flood."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from core.audit.interface import AuditEvent, Member
from core.audit.refusals import LIMITED, RefusalLimit
from core.later import Settled
from core.timestamps import timestamp

#: What an entry holds besides its strings, roughly.
_ENTRY_BYTES: Final = 1000
LONGEST_GROUP: Final = 1000


# Lines that are queued together have one time.
_timestamp = lru_cache(maxsize=16)(timestamp)


class Entry:
    """Lines of one event that wait, one behind the other.

    Attributes:
        count: how many.
        future: of the caller who waits until they are in the file, if one does.
    """

    __slots__ = ("_event", "_lines", "count", "future")

    def __init__(
        self,
        event: AuditEvent,
        lines: Sequence[Mapping[str, Member]],
        *,
        future: Settled | None = None,
    ) -> None:
        self._event = event
        self._lines = lines
        self.future = future
        self.count = len(lines)

    def size(self) -> int:
        """Bytes that they hold while they wait, roughly: they are about as long as each other."""
        strings = sum([len(value) for value in self._lines[0].values() if type(value) is str])
        return (_ENTRY_BYTES + strings) * self.count

    def lines(self, time_ns: int) -> list[dict[str, Member]]:
        """Their members, as of a time since the Unix epoch."""
        time, event = _timestamp(time_ns // 1_000_000), self._event
        return [
            {"time": time, "event": event, **(_present(members) if None in members.values() else members)}
            for members in self._lines
        ]

    def cut(self, count: int) -> None:
        """Keep so many of the first lines."""
        self._lines = self._lines[:count]
        self.count = count


def _present(members: Mapping[str, Member]) -> dict[str, Member]:
    return {name: value for name, value in members.items() if value is not None}


class Arrival:
    """Entries that were queued together, and are written together.

    Attributes:
        entries: in their order.
        count: their lines.
        size: bytes that they hold, roughly.
        born: when they came, by the steady clock.
    """

    __slots__ = ("_time_ns", "born", "count", "entries", "size")

    def __init__(self, entries: Sequence[Entry]) -> None:
        """They come now."""
        self.entries = entries
        self._time_ns = time.time_ns()
        self.born = time.monotonic()
        self.count = sum([entry.count for entry in entries])
        self.size = sum([entry.size() for entry in entries])

    def lines(self) -> list[dict[str, Member]]:
        """The lines of all."""
        return [line for entry in self.entries for line in entry.lines(self._time_ns)]

    def futures(self) -> list[Settled]:
        """Of the callers who wait."""
        return [entry.future for entry in self.entries if entry.future is not None]


class AuditQueue:
    """Entries on their way from event loops to the writer's thread.

    Entries stay in the queue until they are in the file, so a file that cannot be written loses
    nothing before the queue is full. Every method takes the lock.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changed = threading.Condition(threading.Lock())
        self._arrivals: deque[Arrival] = deque()
        self._count = 0
        self._bytes = 0
        self._lost = 0
        self._idle = False
        self._closed = False
        self._limit = RefusalLimit()

    def __len__(self) -> int:
        return self._count

    def put(self, entry: Entry) -> bool:
        """Queue an entry. Lines that find no room count as lost, and the answer is False."""
        return not self.put_all((entry,))

    def put_all(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Queue entries together; those for whose lines there was no room, as in ``put``."""
        arrival = Arrival(entries)
        with self._changed:
            if self._closed:
                self._lost += arrival.count
                return entries
            if self._has_room_for(arrival):
                self._add(arrival)
                return ()
            return [entry for entry in entries if not self._add_some(entry, entry.count)]

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

    def stands_still(self, patience: float) -> bool:
        """Whether what came first has waited for more than so many seconds."""
        with self._changed:
            return bool(self._arrivals) and time.monotonic() - self._arrivals[0].born > patience

    def waiting(self) -> list[Arrival]:
        """What callers wait for, oldest first."""
        with self._changed:
            return [
                arrival
                for arrival in self._arrivals
                if any(not future.done() for future in arrival.futures())
            ]

    # -- for the writer's thread -----------------------------------------------------------------

    def wait(self, until: float | None, *, for_entries: bool) -> None:
        """Sleep until the time has come, or the queue is closed; or, if wanted, until there is an entry."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                self._add_counts(now)
                if (for_entries and self._arrivals) or (until is not None and now >= until):
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

    def head(self) -> tuple[Sequence[Arrival], int]:
        """What came first, a group of lines, which stay; and how many were lost since ``drop``.

        The last arrival may have more lines than the group has left.
        """
        group: list[Arrival] = []
        count = 0
        with self._changed:
            for arrival in self._arrivals:
                group.append(arrival)
                count += arrival.count
                if count >= LONGEST_GROUP:
                    break
            return group, self._lost

    def drop(self, arrivals: int, lost: int) -> int:
        """Forget what came first, which is in the file now, and a number of lost lines; how many are left."""
        with self._changed:
            for _ in range(arrivals):
                arrival = self._arrivals.popleft()
                self._count -= arrival.count
                self._bytes -= arrival.size
            self._lost -= lost
            return self._count + self._lost

    def _has_room_for(self, arrival: Arrival) -> bool:
        return self._count + arrival.count <= self._most and self._bytes + arrival.size <= self._most_bytes

    def _add(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._count += arrival.count
        self._bytes += arrival.size
        if self._idle:
            self._changed.notify()

    def _add_some(self, entry: Entry, events: int) -> bool:
        """Add lines that tell of so many events, or what there is room for; of others the events are lost."""
        room = self._most - self._count
        if room <= 0 or self._bytes >= self._most_bytes:
            self._lost += events
            return False
        fits = entry.count <= room
        if not fits:
            self._lost += entry.count - room
            entry.cut(room)
            # Whoever waits for all of them is told otherwise.
            entry.future = None
        self._add(Arrival((entry,)))
        return fits

    def _add_counts(self, now: float) -> None:
        """Lines for the refusals that were only counted."""
        due_at = self._limit.due_at
        if due_at is not None and now >= due_at:
            for event, reason, number in self._limit.take():
                members: dict[str, Any] = {"of": event, "reason": reason, "count": number}
                self._add_some(Entry("audit.limited", (members,)), number)
