"""Taking up changed files while the service runs: keys, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from core.audit.interface import Audit, AuditEvent
from core.daemon_threads import in_daemon_thread

_T = TypeVar("_T")
_PATIENCE_SECONDS: Final = 10.0

_log = structlog.get_logger("app.reloading")


class Reloaded(NamedTuple):
    """What came of a reload.

    Attributes:
        changed: whether what is in use now differs from what was before.
        facts: about what is in use now, and what changed, for the log; none of them secret.
        audited: what changed, for the audit log; none of it secret.
    """

    changed: bool
    facts: Mapping[str, str]
    audited: Mapping[str, str] = {}


class ReloadRefusedError(Exception):
    """What the files hold now cannot be used. The message is logged, so it must show nothing secret.

    Attributes:
        reason: short and stable, for the audit log.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Reloadable(Protocol):
    """Something in use that was read from files.

    Each call has a thread of its own, and there are never two at a time.

    Attributes:
        name: for the log, like "key ring".
        changed_event: what the audit log calls a change.
        refused_event: what it calls files that cannot be used.
    """

    name: str
    changed_event: AuditEvent
    refused_event: AuditEvent

    def fingerprint(self) -> bytes:
        """What differs once the files do. Missing and unreadable have fingerprints too; never raises."""

    def reload(self) -> Reloaded:
        """Read the files and use what they hold now, in one step.

        Raises:
            ReloadRefusedError: it cannot be used; what was in use still is. Any other error means the
                same, and is logged by its class alone.
        """


class Reloader:
    """Reloads on request, and when files have changed.

    Files count as changed when two looks in a row show the same new fingerprint: whoever writes a file in
    several steps is given an interval to finish. A request does not wait for that. Files that cannot be
    used are tried again at every look, since the cause may lie elsewhere (too many open files), but
    are complained about once.
    """

    def __init__(
        self,
        reloadables: Sequence[Reloadable],
        audit: Audit,
        *,
        interval: float,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        """Make a reloader of what has just been read.

        Args:
            reloadables: what to keep up to date.
            audit: where changes and refusals are noted.
            interval: seconds between two looks at the files; 0 for never, on request alone.
            patience: seconds after which files that are being read are complained about.
        """
        self._watches = [_Watch(reloadable, audit, patience) for reloadable in reloadables]
        self._interval = interval

    def request(self) -> None:
        """Reload now. Call it in the event loop's thread, or before there is a loop."""
        for watch in self._watches:
            watch.requested.set()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Run, in the main thread's event loop, and take SIGHUP for a request.

        What changed since it was first read is taken up before this is entered: a process that starts
        from settings of an hour ago serves with the keys of now.
        """
        loop = asyncio.get_running_loop()
        # Not the loop's own way, which goes back to what the system does with the signal: that ends the
        # process. Before the first reload, so that no signal falls between the two.
        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(self.request))
        await self._begin()
        running = asyncio.create_task(self._keep_up())
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _begin(self) -> None:
        for watch in self._watches:
            await watch.begin()

    async def _keep_up(self) -> None:
        # Each for itself: files that hang hold up no others.
        await asyncio.gather(*(watch.keep_up(self._interval) for watch in self._watches))


class _Watch:
    """One reloadable, and what is known about its files."""

    def __init__(self, reloadable: Reloadable, audit: Audit, patience: float) -> None:
        self.requested = asyncio.Event()
        self._reloadable = reloadable
        self._audit = audit
        self._patience = patience
        self._last_seen: bytes | None = None
        #: Of the content that was certainly read whole: a file can change twice with one fingerprint
        #: while it is being written, so only one that stood still counts.
        self._taken_up: bytes | None = None
        self._refused = False
        self._complaint: tuple[bytes, str] | None = None

    async def begin(self) -> None:
        """Reload what may have changed since it was first read, and log what is in use."""
        self._last_seen = await self._patiently(self._reloadable.fingerprint)
        await self._reload(self._last_seen, if_unchanged="loaded")

    async def keep_up(self, interval: float) -> None:
        """Look until cancelled, on request and at each interval."""
        while True:
            try:
                async with asyncio.timeout(interval or None):
                    await self.requested.wait()
            except TimeoutError:
                await self._look(requested=False)
            else:
                self.requested.clear()
                await self._look(requested=True)

    async def _look(self, *, requested: bool) -> None:
        """Reload if asked to, or if the files have changed and stand still."""
        seen = await self._patiently(self._reloadable.fingerprint)
        still = seen == self._last_seen
        self._last_seen = seen
        if requested or (still and (self._refused or seen != self._taken_up)):
            self._taken_up = seen if still else None
            await self._reload(seen, if_unchanged="unchanged" if requested else None)

    async def _reload(self, seen: bytes, *, if_unchanged: str | None) -> None:
        """Reload; whoever asked for it, as ``if_unchanged`` tells, is answered in the log in any case."""
        name = self._reloadable.name
        try:
            done = await self._patiently(self._reloadable.reload)
        except ReloadRefusedError as error:
            await self._refuse(seen, error.reason, str(error), again=if_unchanged is not None)
            return
        except Exception as error:
            # A defect: its message may hold what the files hold.
            await self._refuse(seen, "internal", type(error).__name__, again=if_unchanged is not None)
            return
        was_refused, self._refused, self._complaint = self._refused, False, None
        if done.changed:
            _log.info(f"{name} changed", pid=os.getpid(), **done.facts)
            self._audit.note(self._reloadable.changed_event, **done.audited)
        elif was_refused:
            _log.info(f"{name} good again", pid=os.getpid(), **done.facts)
        elif if_unchanged is not None:
            _log.info(f"{name} {if_unchanged}", pid=os.getpid(), **done.facts)

    async def _patiently(self, work: Callable[[], _T]) -> _T:
        """Call something that reads files; complain when it takes long, and wait on."""
        reading = in_daemon_thread(work)
        done, _ = await asyncio.wait([reading], timeout=self._patience)
        if not done:
            self._refused = True
            cause = f"not read within {self._patience} seconds"
            self._complain(self._last_seen or b"", "hangs", cause, again=False)
        return await reading

    async def _refuse(self, seen: bytes, reason: str, cause: str, *, again: bool) -> None:
        self._refused = True
        if not again and await self._patiently(self._reloadable.fingerprint) != seen:
            return  # changed meanwhile, and this may be about what it is now: the next look tells, once
        self._complain(seen, reason, cause, again=again)

    def _complain(self, seen: bytes, reason: str, cause: str, *, again: bool) -> None:
        complaint = (seen, cause)
        is_new = complaint != self._complaint
        self._complaint = complaint
        if is_new or again:
            _log.error(f"{self._reloadable.name} refused", pid=os.getpid(), reason=reason, cause=cause)
        if is_new:
            self._audit.note(self._reloadable.refused_event, reason=reason)
