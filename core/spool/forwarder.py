"""The task that forwards what waits in a spool."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from core.errors import StoreUnavailableError
from core.spool.delivery import Delivered, Rejection, deliver
from core.spool.host_lock import HostLock
from core.spool.rows import SpooledRow
from core.spool.spool import Spool
from core.store.interface import Store
from core.store.observation import StoreObserver

_log = structlog.get_logger(__name__)

#: Writes, and bytes, that are read at a time.
_MOST_ROWS: Final = 500
_MOST_BYTES: Final = 4 << 20
#: Tenants whose writes are on their way at once.
_TENANTS_AT_ONCE: Final = 16
#: Attempts after which a write is set aside that makes store or service fail in ways they should not.
_DEFECTS: Final = 5


class Pace(NamedTuple):
    """How often to try.

    Attributes:
        first_pause: seconds until the store is tried again, the first time.
        longest_pause: twice as long each time, up to this.
        look: seconds between looks at a spool that was empty, or that another process forwards.
    """

    first_pause: float = 0.1
    longest_pause: float = 5.0
    look: float = 0.5


class Forwarder:
    """Forwards the spool's writes whenever there are any, if no other process of this host does.

    In their order within each tenant: a wave is sent when the one before it has its outcomes. A write is
    taken out when the store has it, so after a death at any point it is sent again, which changes nothing.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        observer: StoreObserver,
        *,
        pace: Pace = Pace(),  # noqa: B008 - immutable
        on_look: Callable[[], object] = lambda: None,
        on_failure: Callable[[StoreUnavailableError], object] = lambda _: None,
        on_success: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            spool: whose writes are forwarded.
            store: where to.
            observer: is told what waits, and what became of it.
            pace: how often to try.
            on_look: called whenever the spool was looked at.
            on_failure: called when the store cannot be asked, with why not.
            on_success: called when the store has taken something.
        """
        self._spool = spool
        self._store = store
        self._observer = observer
        self._pace = pace
        self._on_look = on_look
        self._on_failure = on_failure
        self._on_success = on_success
        self._lock = HostLock(Path(f"{spool.path}.lock"))
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pauses = 0
        self._defects = 0
        #: Whether this process is sending now.
        self.is_forwarding = False

    def start(self) -> None:
        """Begin; in a running event loop. May be called again."""
        if self._task is not None:
            return
        # Of nobody's request: not in the context of the one that happens to start it.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="sigil-spool-forwarder", context=contextvars.Context()
        )

    def wake(self) -> None:
        """Try now: the store answers, or something waits."""
        self._wake.set()

    async def close(self) -> None:
        """Stop. What is on its way may arrive still."""
        task, self._task = self._task, None
        # After a stop in disorder its loop is gone.
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._lock.close()

    async def _run(self) -> None:
        while True:
            pause = self._pace.look
            try:
                waits = self._spool.state().writes or self._spool.is_short
                if waits and not await self._forward():
                    pause = self._back_off()
            except StoreUnavailableError as error:
                _log.error("spool failing", reason=error.reason, pid=os.getpid())
                pause = self._back_off()
            except Exception:
                _log.exception("forwarding failed", pid=os.getpid())
                pause = self._back_off()
            self._tell()
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        if self._pauses:
            # A store that answers questions and takes no writes wakes us again and again.
            await asyncio.sleep(min(self._pace.first_pause, self._pace.look, seconds))
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while (left := end - clock()) > 0 and not self._wake.is_set():
            # Not wait_for, which forgets that it was cancelled if it is woken just then.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._pace.look)):
                    await self._wake.wait()
            self._tell()
        self._wake.clear()

    async def _forward(self) -> bool:
        """Send until nothing waits, or another process does it; False if the store is away."""
        if not self._lock.take():
            return True
        self.is_forwarding = True
        forwarded = False
        try:
            while self._spool.state().writes:
                if not await self._forward_batch():
                    return False
                self._pauses = 0
                self._tell()
                forwarded = True
            while (forwarded or self._spool.is_short) and not self._spool.state().writes:
                forwarded = await self._spool.shrink()
            return True
        finally:
            self.is_forwarding = False
            self._lock.give_back()

    async def _forward_batch(self) -> bool:
        rows = await self._spool.batch(0, most=_MOST_ROWS, most_bytes=_MOST_BYTES)
        by_tenant: dict[str, list[SpooledRow]] = {}
        for row in rows:
            by_tenant.setdefault(row.tenant, []).append(row)
        free = asyncio.Semaphore(_TENANTS_AT_ONCE)

        async def send(own: Sequence[SpooledRow]) -> Delivered:
            async with free:
                return await deliver(self._store, own)

        results = await asyncio.gather(*(send(own) for own in by_tenant.values()))
        failures = [result.failure for result in results if result.failure is not None]
        done = [sequence for result in results for sequence in result.done]
        rejected = [rejection for result in results for rejection in result.rejected]
        defect = next((one for one in failures if not isinstance(one, StoreUnavailableError)), None)
        if defect is not None and not done and not rejected:
            rejected += self._defective(rows, defect)
        away = next((one for one in failures if isinstance(one, StoreUnavailableError)), None)
        if away is not None:
            self._on_failure(away)
        elif done:
            self._on_success()
        if done or rejected:
            await self._spool.settle(done, rejected)
            self._count(results, rejected)
        return not failures

    def _defective(self, rows: Sequence[SpooledRow], defect: Exception) -> list[Rejection]:
        """Nothing goes on because of a defect: after some attempts, the first write gets out of the way."""
        self._defects += 1
        _log.error("forwarding a spooled write failed", exc_info=defect, sequence=rows[0].sequence)
        if self._defects < _DEFECTS:
            return []
        self._defects = 0
        return [Rejection(rows[0].sequence, "internal")]

    def _count(self, results: Sequence[Delivered], rejected: Sequence[Rejection]) -> None:
        self._defects = 0
        for result in results:
            for sequence in result.done:
                self._observer.forwarded("without_key" if sequence in result.without_key else "kept")
        for _ in rejected:
            self._observer.forwarded("rejected")

    def _back_off(self) -> float:
        pause = min(self._pace.first_pause * 2.0 ** min(self._pauses, 30), self._pace.longest_pause)
        self._pauses += 1
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all hosts come at once

    def _tell(self) -> None:
        with contextlib.suppress(StoreUnavailableError):
            state = self._spool.state()
            self._observer.spool_is(state.writes, state.size, self._spool.oldest_seconds)
        self._on_look()
