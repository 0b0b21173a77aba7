"""One Redis server that runs the function: a deadline for each call, a breaker, and loading by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)
from redis.typing import EncodableT

from core.breaker import Breaker, BreakerOpenError, State
from core.deadlines import Deadline, Deadlines
from core.errors import LimiterUnavailableError
from core.limits.redis_address import name_of
from core.limits.redis_client import make_pool, outcome_of
from core.limits.redis_function import MISSING, NAME, SOURCE

#: Seconds to give up connections in.
_FAREWELL: Final = 1.0
#: Arguments of the function that only look at one key, whatever quota it has, and write nothing: the time, as
#: the server may refuse to tell it, parts, no cost, and a bucket that is larger than all.
_LOOK: Final = (b"0", b"1", b"0", b"0", b"%d" % (1 << 52), b"0")


class RedisNode:
    """One server.

    While its breaker is not closed, it is tried in the background, so that no request has to wait for a
    server that is away, and so that it comes back even if nobody asks.
    """

    def __init__(
        self,
        options: dict[str, Any],
        *,
        deadlines: Deadlines,
        connections: int,
        failures: int,
        pause: float,
        on_change: Callable[[RedisNode, State], object],
    ) -> None:
        """Know a server; nothing is sent yet. ``on_change`` hears of each change of the breaker's state."""
        self.name = name_of(options)
        self.host = str(options.get("host", ""))
        self.port = int(options.get("port", 6379))
        self._deadlines = deadlines
        self._pool = make_pool(options, connections=connections)
        self._on_change = on_change
        self.breaker = Breaker(failures=failures, pause=pause, on_change=self._changed)
        self._probe_with: tuple[Sequence[str], Sequence[bytes]] = ((), _LOOK[:1])
        self._loading: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisNode({self.name}, {self.breaker.state})"

    async def call(
        self,
        keys: Sequence[str],
        arguments: Sequence[bytes],
        deadline: Deadline,
        *,
        asking: bool = False,
    ) -> Any:
        """Call the function. A deadline that passes meanwhile is this server's failure.

        Raises:
            LimiterUnavailableError: no answer, or one that says it cannot.
            MovedError, AskError: another node of the cluster has these keys. Nothing was done.
        """
        try:
            admission = self.breaker.admit()
        except BreakerOpenError:
            raise LimiterUnavailableError("open") from None
        success: bool | None = None
        try:
            answer = await self._loaded(keys, arguments, asking)
            success = True
            return answer
        except asyncio.CancelledError:
            if deadline.passed:
                success = False
            raise
        except (MovedError, AskError):
            success = True  # it is well, and knows its cluster
            raise
        except (TimeoutError, RedisTimeoutError) as error:
            success = False
            raise LimiterUnavailableError("timeout") from error
        except (ResponseError, AuthenticationError, BusyLoadingError) as error:
            success = False
            if isinstance(error, ReadOnlyError):
                # Its name may lead to another server by now.
                self._chore(self._pool.disconnect(inuse_connections=False))
            raise LimiterUnavailableError("refused") from error
        except (RedisError, OSError) as error:
            success = False
            raise LimiterUnavailableError("connection") from error
        finally:
            if success is False and keys:
                self._probe_with = (keys[:1], _LOOK)
            self.breaker.conclude(admission, success)

    async def close(self) -> None:
        """Give up all connections."""
        self._closed = True
        tasks = [task for task in (self._loading, self._probing, *self._chores) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._pool.disconnect()
        except (RedisError, OSError):
            pass  # what is left of it is closed with the process

    async def _loaded(self, keys: Sequence[str], arguments: Sequence[bytes], asking: bool) -> Any:
        """Call the function; load it first where it is missing."""
        try:
            return await self._send(keys, arguments, asking)
        except ResponseError as error:
            if MISSING not in str(error):
                raise
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._loading_done)
        # Not for this call alone: others wait for it too.
        await outcome_of(self._loading)
        return await self._send(keys, arguments, asking)

    async def _send(self, keys: Sequence[str], arguments: Sequence[bytes], asking: bool) -> Any:
        command: tuple[EncodableT, ...] = ("FCALL", NAME, len(keys), *keys, *arguments)
        return await (self._pool.run(("ASKING",), command) if asking else self._pool.run(command))

    async def _load(self) -> None:
        with self._deadlines.begin():
            await self._pool.run(("FUNCTION", "LOAD", "REPLACE", SOURCE))

    def _loading_done(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()  # those who waited have it; if all of them have left, nobody needs it

    def _changed(self, state: State) -> None:
        if state == "open" and self._probing is None and not self._closed:
            self._probing = asyncio.create_task(self._probe())
        self._on_change(self, state)

    async def _probe(self) -> None:
        """Look at the key that was asked for last, until the server answers or is given up."""
        try:
            while self.breaker.state != "closed":
                # Half open, somebody's call is under way.
                await asyncio.sleep(max(self.breaker.wait, 0.01))
                try:
                    with self._deadlines.begin() as deadline:
                        await self.call(*self._probe_with, deadline)
                except (LimiterUnavailableError, MovedError, AskError, TimeoutError):
                    continue  # the breaker knows
        finally:
            self._probing = None

    def _chore(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
