"""A TCP proxy that misbehaves as it is told, between a client and a server that know nothing of it.

It has a thread and an event loop of its own, so that synchronous tests can use it as well as others.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar

_T = TypeVar("_T")

#: Towards the server, or the client.
Direction = Literal["up", "down"]
#: What the byte meets that comes after so many, and all that follow it. ``stall``: nothing gets through, and
#: nothing is lost, until another fault is set. ``reset``: both sides get a RST. ``truncate``: both sides are
#: closed. ``half_close``: the receiver gets a FIN and the rest is swallowed, the other direction goes on.
#: ``half_open``: the sender gets a FIN, the receiver hears nothing more and is not told. ``garble``: bytes
#: are changed, or put in between.
Event = Literal["stall", "reset", "truncate", "half_close", "half_open", "garble"]
#: How a new connection is taken: to the server; to nobody, who never answers; to a RST; to the server and,
#: copied, a second time, for which nobody hears the answers.
Welcome = Literal["forward", "black_hole", "reset", "twice"]

_PIECE: Final = 1 << 16
#: Pieces a second, when bytes are counted out.
_BEATS: Final = 50
_PATIENCE_SECONDS: Final = 20.0


class Flow(NamedTuple):
    """What happens to the bytes of one direction.

    Attributes:
        delay: seconds by which each piece is late.
        rate: bytes a second; None: all that there are.
        event: what happens behind ``after`` bytes, counted from the moment when this was set.
    """

    delay: float = 0.0
    rate: float | None = None
    event: Event | None = None
    after: int = 0


class Fault(NamedTuple):
    """What happens to a connection; by default nothing."""

    welcome: Welcome = "forward"
    up: Flow = Flow()
    down: Flow = Flow()


NO_FAULT: Final = Fault()


class _EndedError(Exception):
    """A direction's event ends the connection."""

    def __init__(self, event: Event, source: socket.socket, sink: socket.socket) -> None:
        super().__init__(event)
        self.event = event
        self.source = source
        self.sink = sink


class FaultProxy:
    """Listens on a free port of loopback and passes on to a server, with the faults that are set.

    Everything public may be called from any thread. ``counts`` has what was done: connections by their
    welcome, events by their name, bytes by their direction.
    """

    def __init__(self, port: int, *, seed: int = 0) -> None:
        """Listen, and pass on to a port of loopback; ``seed`` decides what garbled bytes become."""
        self.target = port
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._fault = NO_FAULT
        self._queued: deque[Fault] = deque()
        self._draw: Callable[[], Fault] | None = None
        self._present: set[_Connection] = set()
        self._numbers = 0
        self._listener: socket.socket | None = None
        #: Never listens, and keeps the port ours while nobody does.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(self, fault: Fault) -> None:
        """Have this for all connections, those that there are and those that come."""

        def change() -> None:
            self._fault, self._draw = fault, None
            self._queued.clear()
            for connection in self._present:
                connection.set(fault)

        self._call(change)

    def set_for_new(self, *faults: Fault) -> None:
        """Have these for the next connections, one each; others stay as they are."""
        self._call(lambda: self._queued.extend(faults))

    def draw_for_new(self, draw: Callable[[], Fault]) -> None:
        """Ask for each new connection what shall become of it, in the proxy's thread."""

        def change() -> None:
            self._draw = draw

        self._call(change)

    def heal(self) -> None:
        """Have no faults. What stalled goes on; what is half open, or in a black hole, is lost and reset."""
        self.set(NO_FAULT)
        self.listen()
        self._call(lambda: [one.task.cancel() for one in self._present if one.lost])

    def reset_all(self) -> None:
        """Reset all connections that there are."""
        self._call(lambda: [one.task.cancel() for one in self._present])

    def listen(self) -> None:
        """Take connections."""

        def begin() -> None:
            if self._listener is None:
                self._listener = _bound(self.port)
                self._listener.listen(256)
                self._loop.add_reader(self._listener, self._accept, self._listener)

        self._call(begin)

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay, and so does the port."""
        self._call(self._refuse)

    @property
    def present(self) -> int:
        """How many connections there are now."""
        return self._call(lambda: len(self._present))

    def close(self) -> None:
        """Reset all connections, and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(_PATIENCE_SECONDS)
            assert not self._thread.is_alive(), "the proxy does not end"

    def _call(self, work: Callable[[], _T]) -> _T:
        async def call() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_PATIENCE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._until_the_end())
        self._place.close()
        self._loop.close()

    async def _until_the_end(self) -> None:
        await self._ending.wait()
        self._refuse()
        tasks = [connection.task for connection in self._present]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _refuse(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self.counts["refuse"] += 1
            self._accept(listener)
            self._loop.remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        """Take all who are connected."""
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = listener.accept()
                client.setblocking(False)
                self._take(client)

    def _take(self, client: socket.socket) -> None:
        fault = self._queued.popleft() if self._queued else self._draw() if self._draw else self._fault
        self._numbers += 1
        self.counts[fault.welcome] += 1
        chance = random.Random(f"{self._seed} {self._numbers}")
        connection = _Connection(client, fault, chance, self.counts)
        self._present.add(connection)
        connection.begin(self.target, self._present.discard)


def _bound(port: int) -> socket.socket:
    """A socket at a port of loopback that others of ours may have too."""
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


class _Connection:
    """One client's connection. The sockets are closed when its task ends; cancelled, they are reset."""

    def __init__(
        self, client: socket.socket, fault: Fault, chance: random.Random, counts: Counter[str]
    ) -> None:
        self.lost = False
        self._welcome = fault.welcome
        self._client = client
        self._sockets = [client]
        self._up = _Stream("up", fault.up, chance, counts)
        self._down = _Stream("down", fault.down, chance, counts)

    def begin(self, port: int, ended: Callable[[_Connection], object]) -> None:
        """Serve it; call ``ended`` afterwards."""
        self.task = asyncio.get_running_loop().create_task(self._serve(port))

        def close(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # before it had begun
                self._reset()
            for one in self._sockets:
                one.close()
            ended(self)

        self.task.add_done_callback(close)

    def set(self, fault: Fault) -> None:
        """Have another fault from now on; for a welcome it is late."""
        self._up.set(fault.up)
        self._down.set(fault.down)

    async def _serve(self, port: int) -> None:
        try:
            await self._follow(port)
        except _EndedError as end:
            await self._finish(end)
        except (OSError, asyncio.CancelledError):
            # One side is gone, or the test wants it so: the other side hears of it.
            self._reset()

    async def _follow(self, port: int) -> None:
        if self._welcome == "reset":
            self._reset()
        elif self._welcome == "black_hole":
            self.lost = True
            await asyncio.Event().wait()
        else:
            server = await self._connect(port)
            copy = await self._connect(port) if self._welcome == "twice" else None
            pumps = [self._up.pump(self._client, server, copy), self._down.pump(server, self._client)]
            await _all_of(pumps if copy is None else [*pumps, _swallow(copy)])

    async def _connect(self, port: int) -> socket.socket:
        server = socket.socket()
        self._sockets.append(server)
        server.setblocking(False)
        await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", port))
        return server

    def _reset(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _finish(self, end: _EndedError) -> None:
        if end.event == "reset":
            self._reset()
        elif end.event == "half_open":
            self.lost = True
            end.source.close()
            try:
                await _swallow(end.sink)
            except (OSError, asyncio.CancelledError):
                self._reset()


class _Stream:
    """One direction of a connection."""

    def __init__(self, direction: Direction, flow: Flow, chance: random.Random, counts: Counter[str]) -> None:
        self._direction = direction
        self._chance = chance
        self._counts = counts
        self._changed = asyncio.Event()
        self.set(flow)

    def set(self, flow: Flow) -> None:
        """Count from 0, and let go what waits."""
        self._flow = flow
        self._passed = 0
        self._is_counted = False
        self._changed.set()
        self._changed = asyncio.Event()

    async def pump(
        self, source: socket.socket, sink: socket.socket, copy: socket.socket | None = None
    ) -> None:
        """Pass on what comes, until its end.

        Raises:
            _EndedError: by an event.
        """
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _PIECE):
            while data:
                piece, event = await self._next_piece(data)
                data = data[len(piece) :]
                self._passed += len(piece)
                if event == "half_close":
                    _shut(sink)
                    continue
                if event is not None and event != "garble":
                    raise _EndedError(event, source, sink)
                sent = self._garbled(piece) if event else piece
                self._counts[self._direction] += len(sent)
                await loop.sock_sendall(sink, sent)
                if copy is not None:
                    with contextlib.suppress(OSError):
                        await loop.sock_sendall(copy, sent)
        for one in (sink, copy):
            _shut(one)

    async def _next_piece(self, data: bytes) -> tuple[bytes, Event | None]:
        """What is next, after waiting for it, at least one byte; and the event that it meets."""
        if self._flow.delay:
            await self._unless_changed(self._flow.delay)
        if self._flow.rate is not None:
            data = data[: max(int(self._flow.rate / _BEATS), 1)]
            await self._unless_changed(len(data) / self._flow.rate)
        while (event := self._flow.event) is not None:
            left = self._flow.after - self._passed
            if left > 0:
                return data[:left], None
            self._counts[event] += not self._is_counted
            self._is_counted = True
            if event != "stall":
                return data, event
            await self._changed.wait()
        return data, None

    def _garbled(self, piece: bytes) -> bytes:
        place = self._chance.randrange(len(piece))
        if self._chance.random() < 0.5:
            return piece[:place] + self._chance.randbytes(self._chance.randint(1, 8)) + piece[place:]
        flipped = piece[place] ^ self._chance.randint(1, 255)
        return piece[:place] + bytes([flipped]) + piece[place + 1 :]

    async def _unless_changed(self, seconds: float) -> None:
        """Wait, but no longer than until something else is set."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


async def _all_of(pumps: list[Coroutine[Any, Any, None]]) -> None:
    """Run until all have ended, or one fails; then the others are cancelled, and its error is raised."""
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _swallow(source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(source, _PIECE):
        pass


def _shut(sink: socket.socket | None) -> None:
    if sink is not None:
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy_to(port: int, *, seed: int = 0) -> Iterator[FaultProxy]:
    """A proxy without faults at first, ended afterwards."""
    with FaultProxy(port, seed=seed) as proxy:
        yield proxy
