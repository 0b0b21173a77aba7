"""Connections to one Redis server: no retries, no call longer than its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, RedisSSLContext, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.typing import EncodableT

#: Connections of a pool that are made at a time. More would slow each other down until all are too late,
#: which the next ones would be too.
_CONNECTING: Final = 4
_SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
#: Seconds for a connection to be made, in the background.
_HANDSHAKE: Final = 1.0
#: What an address in a URL may add. Everything else is ours: time limits, retries, how answers are read.
_OPTIONS: Final = frozenset(
    ("host", "port", "path", "db", "username", "password", "connection_class", "client_name")
) | frozenset(
    f"ssl_{name}"
    for name in (
        "keyfile",
        "certfile",
        "password",
        "cert_reqs",
        "ca_certs",
        "ca_path",
        "check_hostname",
        "min_version",
    )
)


class RedisAddress:
    """Where Redis is, and how to get in. Shows no secrets.

    Attributes:
        cluster: whether it is a cluster, of which these are some nodes.
        nodes: for each node, what redis-py's connections are made with.
    """

    __slots__ = ("cluster", "nodes")

    def __init__(self, url: str) -> None:
        """Read a URL.

        ``redis://``, ``rediss://`` (TLS) and ``unix://`` as redis-py has them. ``redis+cluster://`` and
        ``rediss+cluster://`` name one or more nodes of a cluster, separated by commas:
        ``redis+cluster://user:password@one:6379,two:6379``.

        Raises:
            ValueError: it is none of these. The message has nothing of the URL.
        """
        try:
            parts = urlsplit(url)
            if parts.scheme not in _SCHEMES:
                raise ValueError(parts.scheme)
            self.cluster = parts.scheme.endswith("+cluster")
            self.nodes = [_options(node) for node in _nodes(parts)]
        except ValueError:
            message = "not the URL of a Redis server: " + ", ".join(f"{scheme}://" for scheme in _SCHEMES)
            raise ValueError(message) from None
        if self.cluster and any(node.get("db", 0) for node in self.nodes):
            raise ValueError("a Redis Cluster has no database but 0")
        for node in self.nodes:
            if unknown := node.keys() - _OPTIONS:
                raise ValueError(f"not an option of a Redis URL: {', '.join(sorted(unknown))}")

    def __repr__(self) -> str:
        names = ", ".join(map(name_of, self.nodes))
        return f"RedisAddress({'cluster of ' if self.cluster else ''}{names})"

    def node(self, host: str, port: int) -> dict[str, Any]:
        """The options for another node of the cluster."""
        return {**self.nodes[0], "host": host, "port": port}


def name_of(options: dict[str, Any]) -> str:
    """What a node is called in logs."""
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _nodes(parts: SplitResult) -> list[str]:
    if not parts.scheme.endswith("+cluster"):
        return [parts.geturl()]
    access, at, hosts = parts.netloc.rpartition("@")
    scheme = parts.scheme.removesuffix("+cluster")
    return [
        parts._replace(scheme=scheme, netloc=access + at + host.strip()).geturl() for host in hosts.split(",")
    ]


def _options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(parse_url(url))
    if "path" not in options and not options.get("host"):
        raise ValueError("no host")
    return options


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

    async def run(self, *commands: Sequence[EncodableT]) -> Any:
        """Send commands over one connection, one after the other; returns the answer to the last one.

        This is what redis-py's client does, without its hooks, which cost a tenth of a call.
        """
        get: Callable[[], Awaitable[AbstractConnection]] = self.get_connection
        connection = await get()
        try:
            for command in commands:
                await connection.send_command(*command, check_health=False)
                answer = await connection.read_response()
            return answer
        finally:
            await self.release(connection)

    def _connected(self, connection: AbstractConnection, task: asyncio.Task[None]) -> None:
        self._connecting.pop(connection, None)
        if not task.cancelled():
            task.exception()  # those who waited have it; if all of them have left, nobody needs it


def make_pool(options: dict[str, Any], *, connections: int) -> Pool:
    """Connections to one server, made when they are used.

    It has no time limits of its own for commands: its user has one deadline for all of a call, from the wait
    for a connection to the last byte of the answer. A call that is cancelled in the middle closes its
    connection, so no later call reads its answer.
    """
    return Pool(
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
