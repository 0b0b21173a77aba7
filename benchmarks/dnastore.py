"""Time records that go through a DNAStore's client and server beside the same store used directly.

``python -m benchmarks.dnastore`` starts a server of its own, over an SQLite file beside the direct one's.
Rounds of both are taken in turn, so both see the same machine and disk; the ratio is the median of the
rounds' ratios. Each caller waits for its call before it makes the next.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from app.dnastore.development import DevelopmentFiles
from core.dnastore.client import DnaStoreClient
from core.records import CanonicalJson, Record
from core.store.interface import Store
from core.store.sql_store import SqlStore
from core.tls import ClientFiles, Identity, client_context
from sigil_native import KeyRing, SigilCodec

_START_SECONDS: Final = 30.0
_PAYLOAD: Final = CanonicalJson(
    b'{"amount":1299.5,"at":"2026-11-22T10:00:00Z","currency":"EUR","id":"evt_01HZX3","items":'
    b'[{"qty":2,"sku":"A-1"},{"qty":1,"sku":"B-7"}],"note":null,"ok":true,"tenant":"acme","type":"order.paid"}'
)
DIRECT: Final = "SqlStore"
REMOTE: Final = "client and server"

Call = Callable[[Store], Awaitable[object]]


class Records:
    """Makes records, and remembers their ids."""

    def __init__(self) -> None:
        self._codec = SigilCodec(_ring())
        self._digest = hashlib.sha256(_PAYLOAD).digest()
        self.ids: dict[int, list[str]] = {}
        self._turn = 0

    async def put(self, store: Store) -> None:
        """Keep a new one."""
        sigil = self._codec.decode(self._codec.encode_json(_PAYLOAD, tenant="acme"))
        await store.put(
            [
                Record(
                    tenant="acme",
                    id=sigil.id,
                    sigil=sigil.text,
                    key_id=sigil.key_id,
                    issued_at_ms=sigil.issued_at_ms,
                    expires_at_ms=0,
                    payload=_PAYLOAD,
                    canonical_sha256=self._digest,
                    created_at_ms=sigil.issued_at_ms,
                    created_by="benchmark",
                )
            ]
        )
        self.ids.setdefault(id(store), []).append(sigil.id)

    async def get(self, store: Store) -> None:
        """Read one of them."""
        ids = self.ids[id(store)]
        self._turn += 7919
        if await store.get("acme", ids[self._turn % len(ids)]) is None:
            raise SystemExit("a record is missing")


def _ring() -> KeyRing:
    ring = KeyRing()
    ring.add("only for benchmarks: 32 bytes or more")
    return ring


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A DNAStore in a process of its own; its URL."""
    log = folder / "log"
    variables = {
        **os.environ,
        "DNASTORE_SERVER_DATA_DIR": str(folder),
        "DNASTORE_SERVER_PORT": "0",
        "DNASTORE_SERVER_METRICS_PORT": "0",
    }
    with log.open("wb") as standard_error:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "dnastore", "--development"],
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=standard_error,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while (url := _listening(log)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the DNAStore did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _listening(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            said: dict[str, Any] = msgspec.json.decode(line)
            if said.get("event") == "listening":
                return str(said["url"])
    return None


async def _round(call: Call, store: Store, callers: int, seconds: float) -> float:
    """Calls a second, with so many callers at once."""
    calls = 0
    start = time.perf_counter()

    async def caller() -> None:
        nonlocal calls
        while time.perf_counter() - start < seconds:
            await call(store)
            calls += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return calls / (time.perf_counter() - start)


async def measure(
    stores: Mapping[str, Store], *, concurrency: list[int], rounds: int, seconds: float
) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Calls a second in each round, of each store, by what is done and how many do it at once."""
    records = Records()
    ways: dict[str, Call] = {"put": records.put, "get": records.get}
    rates: dict[tuple[str, int], dict[str, list[float]]] = {}
    for what, call in ways.items():
        for callers in concurrency:
            found = rates[what, callers] = {name: [] for name in stores}
            for turn in range(rounds + 1):
                for name, store in stores.items():
                    rate = await _round(call, store, callers, seconds)
                    if turn:  # the first round connects
                        found[name].append(rate)
    return rates


async def _compare(url: str, folder: Path, options: argparse.Namespace) -> Any:
    files = DevelopmentFiles(folder)
    context = client_context(ClientFiles(Identity(*files.client), files.authority))
    stores: dict[str, Store] = {
        DIRECT: SqlStore.open(f"sqlite:///{folder / 'direct.db'}"),
        REMOTE: DnaStoreClient(url, lambda: context, connections=options.connections),
    }
    for store in stores.values():
        store.start()
    try:
        return await measure(
            stores, concurrency=options.callers, rounds=options.rounds, seconds=options.seconds
        )
    finally:
        for store in stores.values():
            await store.close()


def main() -> int:
    """Measure and print; 0 whatever the verdict is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dnastore", description=__doc__)
    parser.add_argument("--callers", type=int, nargs="+", default=[64, 256], help="at once")
    parser.add_argument("--connections", type=int, default=4, help="requests with writes at once")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument(
        "--folder", type=Path, help="for the databases: the disk is a part of what is measured"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with _server(folder) as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rates = runner.run(_compare(url, folder, options))
    table = Table(title=f"DNAStore, SQLite on both sides, {options.rounds} rounds")
    table.add_column("Call")
    for heading in ("at once", f"{DIRECT}/s", f"{REMOTE}/s", "Ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (what, callers), found in rates.items():
        ratio = statistics.median(
            remote / direct for remote, direct in zip(found[REMOTE], found[DIRECT], strict=True)
        )
        direct, remote = (statistics.median(found[name]) for name in (DIRECT, REMOTE))
        table.add_row(what, str(callers), f"{direct:,.0f}", f"{remote:,.0f}", f"{ratio:.2f}x")
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
