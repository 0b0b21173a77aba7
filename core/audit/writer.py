"""The thread that writes the audit log, a group of lines at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from core.audit.file import Appended, AuditFile
from core.audit.interface import Member
from core.audit.outage import Outage
from core.audit.position import Position
from core.audit.queue import LONGEST_GROUP, Arrival, AuditQueue, Entry
from core.errors import AuditUnavailableError
from core.later import Settled
from sigil_native import canonicalize

_log = structlog.get_logger("core.audit.interface")

_RETRY_SECONDS: Final = 1.0
#: How often lines that nobody waits for are made durable, and how often the chain's end is logged.
_SYNC_SECONDS: Final = 1.0
_DIGEST_SECONDS: Final = 60.0
#: What a begin line says in the course of ordinary business.
_ORDINARY: Final = frozenset({"first", "rotated", "key_changed"})
#: Of one line; the library's limit is higher.
_LONGEST_LINE: Final = 32 << 10

_Line = dict[str, Member]


def settle(futures: Sequence[Settled], error: AuditUnavailableError | None) -> None:
    """Tell callers that their lines are in the file, or why not. In their event loop."""
    for future in futures:
        if future.done():  # given up, or cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(AuditUnavailableError(error.reason, retry_after=error.retry_after))


class AuditWriter:
    """Takes what waits in the queue, writes it, and tells those who wait.

    The file belongs to the thread alone. A failure loses nothing: the lines stay in the queue, and
    another attempt is made every second.

    Attributes:
        outage: whether the log works.
        tried: set after the first attempt.
        written: lines that are in the file.
        lost: lines that found no room, as the file tells.
    """

    def __init__(self, file: AuditFile, queue: AuditQueue, *, durable: bool) -> None:
        """Prepare; ``durable``: every group is on disk before anybody is told, instead of soon after."""
        self._file = file
        self._queue = queue
        self._durable = durable
        self.outage = Outage()
        self.tried = threading.Event()
        self._synced_at = 0.0
        self._is_synced = True
        self._position: Position | None = None
        self._shown: Position | None = None
        self._shown_at = 0.0
        self.written = 0
        self.lost = 0
        self._lost_before = 0
        #: Is told how many seconds it took to write a group of lines, in the writer's thread.
        self.on_written: Callable[[float], None] = lambda _: None
        #: Is called in the writer's thread when there is more room in the queue.
        self.on_room: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="sigil-audit-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. It first looks whether the file can be written."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until all is written after the queue was closed. Blocks; a hanging disk is left alone."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.error("audit log not closed", waiting=len(self._queue), lost=self._queue.lost)

    # -- in the writer's thread ------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            closing = self._queue.is_closed
            arrivals, lost = self._queue.head()
            written = self._write(arrivals, lost, closing=closing)
            self.tried.set()
            if closing and (not written or sum(arrival.count for arrival in arrivals) < LONGEST_GROUP):
                break
            if written:
                self._queue.wait(self._next_duty(), for_entries=True)
            else:
                self._queue.wait(time.monotonic() + _RETRY_SECONDS, for_entries=False)
        # And those that found no room since the file could last be told of some.
        if left := len(self._queue) + self._queue.lost:
            _log.error("audit lines lost", count=left)
        self._show_digest()
        self._file.close()

    def _next_duty(self) -> float | None:
        """When something is to be done though no line comes."""
        times = []
        if self._queue.lost:
            times.append(0.0)
        if not self._is_synced:
            times.append(self._synced_at + _SYNC_SECONDS)
        if self._position != self._shown:
            times.append(self._shown_at + _DIGEST_SECONDS)
        return min(times, default=None)

    def _write(self, arrivals: Sequence[Arrival], lost: int, *, closing: bool) -> bool:
        now = time.monotonic()
        durable = self._durable or closing or now - self._synced_at >= _SYNC_SECONDS
        lines = [line for arrival in arrivals for line in arrival.lines()]
        count = len(lines)
        if lost:
            lines += Arrival((Entry("audit.lost", ({"count": lost},)),)).lines()
        try:
            appended = self._appended(lines, durable=durable)
        except Exception as error:
            # Whatever it is, the callers must hear of it and the thread must go on.
            self._failed(error)
            return False
        self.on_written(time.monotonic() - now)
        self.written += count
        self.lost += lost
        left = self._queue.drop(len(arrivals), lost)
        self.on_room()
        if left < LONGEST_GROUP:
            in_all = self.lost + self._queue.lost
            self.outage.end(in_all - self._lost_before)
            self._lost_before = in_all
        self._settle(arrivals, None)
        if durable:
            self._synced_at = now
        self._is_synced = durable
        self._report(appended, now)
        return True

    def _appended(self, lines: Sequence[_Line], *, durable: bool) -> Appended:
        try:
            return self._file.append(lines, sync=durable)
        except (ValueError, TypeError):
            # A defect of ours; it must not keep the other lines out of the file.
            return self._file.append([_writable(line) for line in lines], sync=durable)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, AuditUnavailableError):
            cause = error.__cause__
            self.outage.begin(error.reason, None if cause is None else str(cause))
        else:
            _log.error("audit log has a defect", cause=type(error).__name__)
            error = AuditUnavailableError("io")
            self.outage.begin(error.reason)
        self._settle(self._queue.waiting(), error)

    def _settle(self, arrivals: Sequence[Arrival], error: AuditUnavailableError | None) -> None:
        futures = [future for arrival in arrivals for future in arrival.futures()]
        if futures:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                futures[0].get_loop().call_soon_threadsafe(settle, futures, error)

    def _report(self, appended: Appended, now: float) -> None:
        self._position = appended.position
        begun = appended.begun
        if begun is not None:
            log = _log.info if begun in _ORDINARY else _log.warning
            log("audit log begun", reason=begun, sequence=appended.position.sequence)
        overdue = self._position != self._shown and now - self._shown_at >= _DIGEST_SECONDS
        if begun is not None or self._shown is None or overdue:
            self._show_digest()

    def _show_digest(self) -> None:
        """The end of the chain, for an operator to compare a file with: it shows that a tail was cut off."""
        if self._position is not None:
            _log.info("audit digest", sequence=self._position.sequence, last=self._position.last)
        self._shown, self._shown_at = self._position, time.monotonic()


def _writable(line: _Line) -> _Line:
    with suppress(ValueError, TypeError):
        if len(canonicalize(line)) < _LONGEST_LINE:
            return line
    return {"time": line["time"], "event": "audit.unwritable", "of": line["event"]}
