"""Which Redis server a group's limits are on: the only one, or one of a cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, RedisError

from core.breaker import State
from core.deadlines import Deadline
from core.errors import LimiterUnavailableError
from core.limits.redis_address import RedisAddress, name_of
from core.limits.redis_client import make_pool
from core.limits.redis_node import RedisNode

MakeNode = Callable[[dict[str, Any]], RedisNode]

#: Seconds in which a node must tell about its cluster, in the background.
_LOOK: Final = 0.25
#: Seconds between two looks at a cluster.
_PAUSE: Final = 0.25


async def _ask_for_slots(options: dict[str, Any]) -> Sequence[Any]:
    """Read a node's map over a connection of its own, which waits for nobody.

    Raises:
        RedisError, OSError: the node does not tell; TimeoutError is one of the latter.
    """
    pool = make_pool(options, connections=1)
    try:
        async with asyncio.timeout(_LOOK):
            ranges: Sequence[Any] = await pool.run(("CLUSTER", "SLOTS"))
            return ranges
    finally:
        await pool.disconnect()


class Servers(Protocol):
    """One server or more."""

    @property
    def states(self) -> Mapping[str, State]:
        """Their names, and how the breaker of each stands."""

    @property
    def causes(self) -> Mapping[str, str]:
        """What was wrong with those that are left alone."""

    @property
    def lost(self) -> bool:
        """Whether nobody knows where they are."""

    def start(self) -> None:
        """Begin to notice while nobody asks that one is away. Needs a running event loop."""

    async def call(self, keys: Sequence[str], arguments: Sequence[bytes], deadline: Deadline) -> list[int]:
        """Call the function where the keys are.

        Raises:
            LimiterUnavailableError: no answer, or one that says it cannot.
        """

    def failed(self, node: RedisNode) -> None:
        """Hear that a node's breaker has opened."""

    async def close(self) -> None:
        """Give up all connections."""


def _causes(nodes: Iterable[RedisNode]) -> dict[str, str]:
    return {node.name: node.cause for node in nodes if node.breaker.state != "closed"}


class SingleServer:
    """The only one."""

    lost = False

    def __init__(self, options: dict[str, Any], make: MakeNode) -> None:
        """Know the server."""
        self._node = make(options)

    @property
    def states(self) -> Mapping[str, State]:
        """See ``Servers``."""
        return {self._node.name: self._node.breaker.state}

    @property
    def causes(self) -> Mapping[str, str]:
        """See ``Servers``."""
        return _causes([self._node])

    def start(self) -> None:
        """See ``Servers``."""
        self._node.start()

    async def call(self, keys: Sequence[str], arguments: Sequence[bytes], deadline: Deadline) -> list[int]:
        """See ``Servers``."""
        try:
            return await self._node.call(keys, arguments, deadline)
        except (MovedError, AskError) as error:
            # A node of a cluster, which the URL does not say.
            raise LimiterUnavailableError("refused") from error

    def failed(self, node: RedisNode) -> None:
        """See ``Servers``."""

    async def close(self) -> None:
        """See ``Servers``."""
        await self._node.close()


class ClusterServers:
    """The masters of a cluster, each with its own connections and breaker.

    The map of slots is read when it is needed first, and again, in the background, whenever a node says that
    it has changed or does not answer as it should. So a fail-over is followed by itself.
    """

    def __init__(self, address: RedisAddress, make: MakeNode, *, on_change: Callable[[], object]) -> None:
        """Know some nodes, of which one must answer to find the others.

        ``on_change`` is called when others are used than before, or when the cluster is lost or found.
        """
        self._address = address
        self._make = make
        self._on_change = on_change
        self._nodes: dict[str, RedisNode] = {}
        self._slots: list[RedisNode | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._looking: asyncio.Task[None] | None = None
        self._looked = float("-inf")
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False
        self._started = False
        self.lost = False

    @property
    def states(self) -> Mapping[str, State]:
        """See ``Servers``."""
        return {name: node.breaker.state for name, node in self._nodes.items()}

    @property
    def causes(self) -> Mapping[str, str]:
        """See ``Servers``."""
        return _causes(self._nodes.values())

    def start(self) -> None:
        """See ``Servers``."""
        self._started = True
        self._look_soon()

    async def call(self, keys: Sequence[str], arguments: Sequence[bytes], deadline: Deadline) -> list[int]:
        """See ``Servers``. Follows to another node once, because nothing was done at the first."""
        slot = key_slot(keys[0].encode())
        node = self._slots[slot] or await self._found(slot)
        try:
            return await self._follow(node, slot, keys, arguments, deadline)
        except (MovedError, AskError) as error:
            self._look_soon()
            raise LimiterUnavailableError("refused") from error
        except (LimiterUnavailableError, asyncio.CancelledError):
            self._look_soon()
            raise

    def failed(self, node: RedisNode) -> None:
        """See ``Servers``."""
        self._look_soon()

    async def close(self) -> None:
        """See ``Servers``."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes.values()), *self._farewells)

    async def _follow(
        self, node: RedisNode, slot: int, keys: Sequence[str], arguments: Sequence[bytes], deadline: Deadline
    ) -> list[int]:
        try:
            return await node.call(keys, arguments, deadline)
        except AskError as error:
            other = self._at(error.host or node.host, error.port)
            return await other.call(keys, arguments, deadline, asking=True)
        except MovedError as error:
            other = self._slots[slot] = self._at(error.host or node.host, error.port)
            self._look_soon()
            return await other.call(keys, arguments, deadline)

    async def _found(self, slot: int) -> RedisNode:
        """The node of a slot of which nothing is known yet."""
        if self.lost:
            raise LimiterUnavailableError("open")
        self._look_soon()
        if not self._nodes and self._looking is not None:
            await asyncio.wait([self._looking])
        node = self._slots[slot]
        if node is None:
            # No map, or one in which nobody has this slot.
            raise LimiterUnavailableError("refused" if self._nodes else "connection")
        return node

    def _at(self, host: str, port: int) -> RedisNode:
        options = self._address.node(host, port)
        name = name_of(options)
        if name not in self._nodes:
            node = self._nodes[name] = self._make(options)
            if self._started:
                node.start()
        return self._nodes[name]

    def _look_soon(self) -> None:
        if self._looking is None and not self._closed:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Read the map, from the first node that has it; go on until there is one."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                await asyncio.sleep(max(self._looked + _PAUSE - clock(), 0))
                self._looked = clock()
                if await self._look_around() or self._nodes:
                    return
                self.lost = True
                self._on_change()
        finally:
            self._looking = None

    async def _look_around(self) -> bool:
        known = random.sample(list(self._nodes.values()), len(self._nodes))
        known.sort(key=lambda node: node.breaker.state != "closed")
        seeds = random.sample(self._address.nodes, len(self._address.nodes))
        for options in [*(self._address.node(node.host, node.port) for node in known), *seeds]:
            try:
                ranges = await _ask_for_slots(options)
            except (RedisError, OSError):
                continue  # the next one will know; its own calls tell what is wrong with this one
            self._read(ranges, options["host"])
            return True
        return False

    def _read(self, ranges: Sequence[Any], asked: str) -> None:
        """Take over a map: ``CLUSTER SLOTS`` has first slot, last slot and master of each range."""
        slots: list[RedisNode | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            # A node that does not know its own name is where it was asked.
            node = self._at(host.decode() if host not in (None, b"", b"?") else asked, port)
            slots[first : last + 1] = [node] * (last + 1 - first)
        masters = {node for node in slots if node is not None}
        for name, node in list(self._nodes.items()):
            if node not in masters:
                del self._nodes[name]
                task = asyncio.create_task(node.close())
                self._farewells.add(task)
                task.add_done_callback(self._farewells.discard)
        self._slots = slots
        self.lost = False
        self._on_change()
