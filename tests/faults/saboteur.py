"""Faults at random, one after the other, between a client and a server and of the server itself."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, get_args

from servers.fault_proxy import NO_FAULT, Direction, Event, Fault, FaultProxy, Flow, Welcome
from servers.processes import freeze

#: Within a handshake, a small request or answer, a large one; or with the first byte.
_PLACES: Final = ((0, 0), (1, 300), (300, 3_000), (3_000, 60_000))


class Victim(Protocol):
    """A server in a process of its own."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def port(self) -> int:
        """Where it listens now."""

    def kill(self) -> None:
        """End it without warning."""

    def start(self) -> object:
        """Start it again on what it has kept, and wait until it listens."""


class Saboteur:
    """Lets a proxy and its server fail, as a seed has it; ``counts`` says what was done how often."""

    def __init__(
        self, proxy: FaultProxy, server: Victim, *, seed: int, longest: float = 0.6, most_kills: int = 1000
    ) -> None:
        """Do nothing yet.

        Args:
            proxy: what the client connects to.
            server: behind it.
            seed: decides all.
            longest: seconds of a fault, at most.
            most_kills: of the server, which takes a while to start.
        """
        self._proxy = proxy
        self._server = server
        self._chance = random.Random(f"{seed} saboteur")
        self._longest = longest
        self._most_kills = most_kills
        self._is_frozen = False
        self._is_killed = False
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """One fault after the other, until cancelled; then there is none."""
        kinds: list[Callable[[], None]] = [
            self._all_connections,
            self._all_connections,
            self._all_connections,
            self._new_connections,
            self._new_connections,
            self._resets,
            self._refuses,
            self._freezes,
            self._kills,
        ]
        chance = self._chance
        loop = asyncio.get_running_loop()
        # One thread: a fault whose beginning was cancelled has begun before it is repaired.
        with ThreadPoolExecutor(1, thread_name_prefix="saboteur") as executor:
            try:
                while True:
                    await loop.run_in_executor(executor, chance.choice(kinds))
                    await asyncio.sleep(chance.uniform(0.02, self._longest))
                    await loop.run_in_executor(executor, self.repair)
                    await asyncio.sleep(chance.uniform(0.02, self._longest))
            finally:
                await loop.run_in_executor(executor, self.repair)

    def repair(self) -> None:
        """End all faults."""
        if self._is_frozen:
            os.kill(self._server.pid, signal.SIGCONT)
            self._is_frozen = False
        if self._is_killed:
            self._server.start()
            self._is_killed = False
        self._proxy.target = self._server.port
        self._proxy.heal()

    def _all_connections(self) -> None:
        self._proxy.set(self._fault())

    def _new_connections(self) -> None:
        self._proxy.draw_for_new(lambda: self._fault() if self._chance.random() < 0.7 else NO_FAULT)
        self._proxy.reset_all()

    def _resets(self) -> None:
        self.counts["reset all"] += 1
        self._proxy.reset_all()

    def _refuses(self) -> None:
        self.counts["refuse"] += 1
        self._proxy.refuse()
        if self._chance.random() < 0.5:
            self._proxy.reset_all()

    def _freezes(self) -> None:
        self.counts["freeze"] += 1
        self._is_frozen = True
        freeze(self._server.pid)

    def _kills(self) -> None:
        if self.counts["kill"] == self._most_kills:
            self._freezes()
            return
        self.counts["kill"] += 1
        self._is_killed = True
        self._server.kill()

    def _fault(self) -> Fault:
        chance = self._chance
        welcome: Welcome = chance.choices(get_args(Welcome), [6, 1, 1, 1])[0]
        flows = {"up": Flow(), "down": Flow()}
        direction: Direction = chance.choice(get_args(Direction))
        if welcome == "forward":
            flows[direction] = self._flow()
        else:
            self.counts[f"welcome: {welcome}"] += 1
        return Fault(welcome, flows["up"], flows["down"])

    def _flow(self) -> Flow:
        chance = self._chance
        kind = chance.choices(["delay", "rate", "event"], [1, 1, 4])[0]
        if kind == "delay":
            self.counts["delay"] += 1
            return Flow(delay=chance.uniform(0.001, self._longest))
        if kind == "rate":
            self.counts["throttle"] += 1
            return Flow(rate=chance.choice([500, 5_000, 50_000]))
        event: Event = chance.choice(get_args(Event))
        self.counts[event] += 1
        return Flow(event=event, after=chance.randint(*chance.choice(_PLACES)))
