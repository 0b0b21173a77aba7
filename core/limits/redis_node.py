"""One Redis server that runs the function: a deadline for each call, a breaker, and loading by itself."""

from __future__ import annotations

import asyncio
import contextlib
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

from core.breaker import Breaker, BreakerOpenError, State
from core.deadlines import Deadline, Deadlines
from core.errors import LimiterUnavailableError
from core.limits.redis_address import name_of
from core.limits.redis_client import Command, make_pool, outcome_of
from core.limits.redis_function import MISSING, NAME, SOURCE

#: Characters of a failure's cause that are logged.
_LONGEST_CAUSE: Final = 200
#: Seconds to give up connections in.
_FAREWELL: Final = 1.0
#: Seconds without a call after which the server is asked whether it is still there.
_QUIET: Final = 0.5
#: Arguments of the function that only look at one key, whatever quota it has, and write nothing: the time, as
#: the server may refuse to tell it, parts, no cost, and a bucket that is larger than all.
_LOOK: Final = (b"0", b"1", b"0", b"0", b"%d" % (1 << 52), b"0")


class _StrangeAnswerError(ResponseError):
    """Somebody else's function has this name, or somebody else answers."""


class RedisNode:
    """One server.

    While its breaker is not closed, it is tried in the background, so that no request has to wait for a
    server that is away, and so that it comes back even if nobody asks. Once started, it is also tried while
    nobody asks, so that its being away is known before a request needs it.

    Attributes:
        cause: what was wrong when it failed last, for the log.
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
        self._listening: asyncio.Task[None] | None = None
        self._asked = float("-inf")
        self.cause = ""

    def __repr__(self) -> str:
        return f"RedisNode({self.name}, {self.breaker.state})"

    def start(self) -> None:
        """Begin to ask while nobody else does. Needs a running event loop."""
        if self._listening is None and not self._closed:
            self._listening = asyncio.create_task(self._listen())

    async def call(
        self,
        keys: Sequence[str],
        arguments: Sequence[bytes],
        deadline: Deadline,
        *,
        asking: bool = False,
    ) -> list[int]:
        """Call the function. A deadline that passes meanwhile is this server's failure.

        Raises:
            LimiterUnavailableError: no answer, or one that says it cannot.
            MovedError, AskError: another node of the cluster has these keys. Nothing was done.
        """
        try:
            admission = self.breaker.admit()
        except BreakerOpenError:
            raise LimiterUnavailableError("open") from None
        self._asked = asyncio.get_running_loop().time()
        success: bool | None = None
        cause: BaseException | str = ""
        try:
            answer = _checked(await self._loaded(keys, arguments, asking), len(keys))
            success = True
            return answer
        except asyncio.CancelledError:
            if deadline.passed:
                success, cause = False, "no answer in time"
            raise
        except (MovedError, AskError):
            success = True  # it is well, and knows its cluster
            raise
        except (TimeoutError, RedisTimeoutError) as error:
            success, cause = False, "no answer in time"
            raise LimiterUnavailableError("timeout") from error
        except (ResponseError, AuthenticationError, BusyLoadingError) as error:
            success, cause = False, error
            if isinstance(error, ReadOnlyError):
                # Its name may lead to another server by now.
                self._chore(self._pool.disconnect(inuse_connections=False))
            raise LimiterUnavailableError("refused") from error
        except (RedisError, OSError) as error:
            success, cause = False, error
            raise LimiterUnavailableError("connection") from error
        finally:
            if success is False:
                self.cause = str(cause)[:_LONGEST_CAUSE]
            if success is False and keys:
                self._probe_with = (keys[:1], _LOOK)
            self.breaker.conclude(admission, success)

    async def close(self) -> None:
        """Give up all connections."""
        self._closed = True
        tasks = [
            task
            for task in (self._loading, self._probing, self._listening, *self._chores)
            if task is not None
        ]
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
        command: Command = ("FCALL", NAME, len(keys), *keys, *arguments)
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
        """Try until the server answers or is given up."""
        try:
            while self.breaker.state != "closed":
                # Half open, somebody's call is under way.
                await asyncio.sleep(max(self.breaker.wait, 0.01))
                await self._look()
        finally:
            self._probing = None

    async def _listen(self) -> None:
        """Try whenever nobody has asked for a while, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            if self.breaker.state == "closed" and clock() - self._asked >= _QUIET:
                await self._look()
            await asyncio.sleep(_QUIET)

    async def _look(self) -> None:
        """Look at the key that was asked for when it failed last. What comes of it the breaker knows."""
        with (
            contextlib.suppress(LimiterUnavailableError, MovedError, AskError, TimeoutError),
            self._deadlines.begin() as deadline,
        ):
            await self.call(*self._probe_with, deadline)

    def _chore(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _checked(answer: Any, keys: int) -> list[int]:
    """The function's answer: two numbers, and three for each key."""
    if not isinstance(answer, list) or len(answer) != 2 + 3 * keys:
        raise _StrangeAnswerError("an answer that is not the function's")
    for number in answer:
        if type(number) is not int:
            raise _StrangeAnswerError("an answer that is not the function's")
    return answer
