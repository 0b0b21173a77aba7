"""Workers that spool and forward, killed at any moment: what they acknowledged arrives, and no more."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from core.errors import StoreUnavailableError
from core.idempotency import Claim
from core.spool.spooled_store import SpooledStore
from tests.heavy import HEAVY
from tests.service.running import forks
from tests.service.spool.switch import Mode, Switch, spooled, sql_store, until_empty
from tests.service.store.store_records import record, record_id

#: Numbers that one life of a worker has.
LIFE: Final = 100_000


class Acknowledged(msgspec.Struct):
    """What a worker was told."""

    what: str
    tenant: str
    number: int
    key: str = ""


class Worker:
    """Writes as fast as it is answered, over a store that comes and goes, and notes each answer in a file."""

    def __init__(self, folder: Path, name: str, life: int, seed: int) -> None:
        self.folder = folder
        self.tenant = name
        self.chance = random.Random(seed)
        self.number = life * LIFE
        self.notes = os.open(folder / f"{name}.acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, number: int, key: str = "") -> None:
        """Survives the process: the system has it."""
        line = msgspec.json.encode(Acknowledged(what, self.tenant, number, key)) + b"\n"
        os.write(self.notes, line)

    async def run(self) -> None:
        """Work until killed."""
        switch = Switch(sql_store(self.folder))
        store = spooled(switch, self.folder)
        store.start()
        toggling = asyncio.create_task(self.toggle(switch))
        numbers: list[int] = []
        while not toggling.done():
            self.number += 1
            with suppress(StoreUnavailableError):
                await self.write(store, numbers)

    async def toggle(self, switch: Switch) -> None:
        """The store comes and goes."""
        modes: list[Mode] = ["up", "down", "lost"]
        while True:
            switch.mode = self.chance.choice(modes)
            await asyncio.sleep(self.chance.uniform(0.0, 0.08))

    async def write(self, store: SpooledStore, numbers: list[int]) -> None:
        """One write, whatever it is."""
        dice = self.chance.random()
        if dice < 0.6 or not numbers:
            count = self.chance.choice([1, 1, 3])
            wanted = range(self.number, self.number + count)
            self.number += count - 1
            await store.put([record(number, tenant=self.tenant) for number in wanted])
            for number in wanted:
                self.note("put", number)
            numbers.extend(wanted)
        elif dice < 0.8:
            key = f"key {self.number}"
            claim = Claim(key.encode().ljust(32), b"r" * 32)
            one = record(self.number, tenant=self.tenant)
            kept = await store.put_once(one, claim)
            assert kept.id == one.id
            self.note("put_once", self.number, key)
            numbers.append(self.number)
        else:
            number = self.chance.choice(numbers[-20:])
            found = await store.revoke(
                self.tenant, record_id(number), reason="r", revoked_by=str(self.number), now_ms=self.number
            )
            assert found is not None
            self.note("revoke", number)


def _work(folder: Path, name: str, life: int, seed: int) -> None:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    asyncio.run(Worker(folder, name, life, seed).run())


def notes(folder: Path) -> Iterator[Acknowledged]:
    """All that was acknowledged; a line that was cut off was not."""
    for path in sorted(folder.glob("*.acknowledged")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield msgspec.json.decode(line, type=Acknowledged)


async def check(folder: Path) -> str:
    """Let everything be forwarded; then the store has it all."""
    switch = Switch(sql_store(folder))
    store = spooled(switch, folder)
    waited = store._spool.state().writes
    store.start()
    await until_empty(store)
    assert store.rejected == 0
    counts = {"put": 0, "put_once": 0, "revoke": 0}
    for one in notes(folder):
        counts[one.what] += 1
        found = await switch.store.get(one.tenant, record_id(one.number))
        assert found is not None, one
        made = record(one.number, tenant=one.tenant)
        assert (
            msgspec.structs.replace(found, revoked_at_ms=None, revoked_by=None, revoked_reason=None) == made
        )
        if one.what == "revoke":
            assert found.revoked_reason == "r", one
        if one.key:
            again = record(one.number + LIFE // 2, tenant=one.tenant)
            kept = await switch.store.put_once(again, Claim(one.key.encode().ljust(32), b"r" * 32))
            assert kept.id == found.id
    puts = {(one.tenant, record_id(one.number)) for one in notes(folder) if one.what == "put"}
    with closing(sqlite3.connect(folder / "remote.db")) as connection:
        rows = connection.execute("SELECT tenant, lower(hex(id)) FROM sigils ORDER BY row").fetchall()
    for tenant in {tenant for tenant, _ in rows}:
        ids = [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for owner, h in rows if owner == tenant]
        kept_in_order = [one for one in ids if (tenant, one) in puts]
        assert kept_in_order == sorted(set(kept_in_order)), "the order is lost, or something is there twice"
    await store.close()
    await switch.store.close()
    return f"{counts}, {waited} writes waited at the end"


def wait_for_notes(path: Path, written: int) -> None:
    """Wait until a worker has been answered some times more."""
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < written + 1000:
        assert time.monotonic() < end, (path.parent / "log").read_text()
        time.sleep(0.005)


@pytest.mark.timeout(600)
def test_workers_that_are_killed(tmp_path: Path) -> None:
    """Whenever they are killed, no acknowledged write is lost, doubled, changed or out of order."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = ["acme", "globex"] if HEAVY else ["acme"]
    workers: dict[str, Any] = {}
    written: dict[str, int] = {}
    lives = 0
    for _ in range(60 if HEAVY else 2):
        for name in names:
            if name not in workers:
                lives += 1
                arguments = (tmp_path, name, lives, chance.randrange(1 << 32))
                workers[name] = forks.Process(target=_work, args=arguments, daemon=True)
                workers[name].start()
        for name in names:
            wait_for_notes(tmp_path / f"{name}.acknowledged", written.get(name, 0))
        time.sleep(chance.uniform(0.0, 0.5))
        for name in chance.sample(names, chance.randint(1, len(names))):
            os.kill(workers[name].pid, signal.SIGKILL)
            workers[name].join()
            written[name] = (tmp_path / f"{name}.acknowledged").stat().st_size
            assert workers.pop(name).exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    for worker in workers.values():
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    print(f"{lives} lives:", asyncio.run(check(tmp_path)))
