"""Connections to one Redis server: no retries, no call longer than its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

#: Connections of a pool that are made at a time. More would slow each other down until all are too late,
#: which the next ones would be too.
_CONNECTING: Final = 4
#: Commands that are kept as they go over the wire.
_WRITTEN: Final = 1 << 12
#: Seconds for a connection to be made, in the background.
_HANDSHAKE: Final = 1.0

#: A command's name, and its arguments.
Command = Sequence[str | bytes | int]


async def outcome_of(task: asyncio.Task[None]) -> None:
    """Wait for a task that several wait for; it goes on when one of them leaves.

    Raises:
        ConnectionError: redis-py's; the task was given up.
    """
    await asyncio.wait([task])
    if task.cancelled():
        raise RedisConnectionError("closed")
    task.result()


class Pool(BlockingConnectionPool):
    """A pool whose connections are made in the background, few at a time.

    A caller leaves at its deadline, and the connection it waited for is ready for the next one. Else a
    handshake that takes longer than a call may would never come to its end, and be begun for ever.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turns = asyncio.Semaphore(_CONNECTING)
        self._connecting: dict[AbstractConnection, asyncio.Task[None]] = {}
        self._tls: RedisSSLContext | None = None
        # Most calls are like earlier ones, and to write one takes as long as to send it.
        self._written = lru_cache(_WRITTEN)(self.make_connection().pack_command)

    def make_connection(self) -> AbstractConnection:
        """Make one, not connected yet."""
        make: Callable[[], AbstractConnection] = super().make_connection
        connection = make()
        if isinstance(connection, SSLConnection):
            # Reading certificates takes long: once is enough.
            self._tls = self._tls or connection.ssl_context
            connection.ssl_context = self._tls
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Wait until it is connected, and can be used."""
        task = self._connecting.get(connection)
        if task is None and not connection.is_connected:
            task = self._connecting[connection] = asyncio.create_task(self._connect(connection))
            task.add_done_callback(partial(self._connected, connection))
        if task is not None:
            await outcome_of(task)
        await super().ensure_connection(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close them, or only those that wait to be used."""
        if inuse_connections:
            for task in self._connecting.values():
                task.cancel()
            await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        await super().disconnect(inuse_connections)

    async def _connect(self, connection: AbstractConnection) -> None:
        connect: Callable[[], Awaitable[None]] = connection.connect
        async with self._turns:
            try:
                async with asyncio.timeout(_HANDSHAKE):
                    await connect()
            except BaseException:
                await connection.disconnect(nowait=True)
                raise

    async def run(self, *commands: Command) -> Any:
        """Send commands over one connection, one after the other; returns the answer to the last one.

        This is what redis-py's client does, without its hooks, which cost a tenth of a call.
        """
        get: Callable[[], Awaitable[AbstractConnection]] = self.get_connection
        connection = await get()
        try:
            for command in commands:
                await connection.send_packed_command(self._written(*command), check_health=False)
                answer = await connection.read_response()
            return answer
        finally:
            await self.release(connection)

    def _connected(self, connection: AbstractConnection, task: asyncio.Task[None]) -> None:
        self._connecting.pop(connection, None)
        if not task.cancelled():
            task.exception()  # those who waited have it; if all of them have left, nobody needs it


def make_pool(options: dict[str, Any], *, connections: int) -> Pool:
    """Connections to one server of a ``RedisAddress``, made when they are used.

    It has no time limits of its own for commands: its user has one deadline for all of a call, from the wait
    for a connection to the last byte of the answer. A call that is cancelled in the middle closes its
    connection, so no later call reads its answer.
    """
    options = dict(options)
    encrypted = options.pop("tls", False)
    kind = UnixDomainSocketConnection if "path" in options else SSLConnection if encrypted else Connection
    return Pool(
        connection_class=kind,
        max_connections=connections,
        timeout=None,
        socket_timeout=None,
        # Also bounds the good-bye on a connection that is closed.
        socket_connect_timeout=_HANDSHAKE,
        retry=Retry(NoBackoff(), 0),
        # RESP 2 takes no handshake.
        protocol=2,
        driver_info=None,
        **options,
    )
