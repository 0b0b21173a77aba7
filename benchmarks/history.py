"""What a history costs: encodes and bytes with and without one, and how quickly a store is checked.

    python -m benchmarks.history [--records N] [--rounds N] [--callers N]

Both stores are SQLite files side by side, and take turns, a share of the records each.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.events import EVENT
from core.engine import Engine
from core.history.check import TenantCheck
from core.history.findings import Finding, Findings
from core.records import CanonicalJson
from core.seals import Seals
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.sql_store import SqlStore
from sigil_native import KeyRing, canonicalize_json


def _seals() -> Seals:
    ring = KeyRing()
    ring.add(b"s" * 32)
    return Seals(ring)


async def _encode(engine: Engine, payload: CanonicalJson, count: int, callers: int) -> float:
    """Seconds that so many encodes take, from so many callers at the same time."""
    left = iter(range(count))

    async def call() -> None:
        for _ in left:
            await engine.encode("acme", "benchmark", payload, expires_in=None)

    start = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return time.perf_counter() - start


async def _check(store: Store, seals: Seals, records: int) -> tuple[float, int]:
    """Seconds that a check takes, and entries that it has seen; exits if anything is found."""
    found: list[Finding] = []
    start = time.perf_counter()
    checked = await TenantCheck(store, seals, "acme", Findings(found.append), lambda *_: None).run()
    took = time.perf_counter() - start
    if found or checked.records != records:
        sys.exit(f"{checked.records} records, and {found[:1]}")
    return took, checked.entries


def _size(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


async def _compare(folder: Path, records: int, rounds: int, callers: int) -> None:
    seals, payload = _seals(), CanonicalJson(canonicalize_json(EVENT))
    paths = {name: folder / f"{name}.db" for name in ("without", "with")}
    stores = {name: SqlStore.open(f"sqlite:///{path}") for name, path in paths.items()}
    engines = {
        "without": Engine(seals, stores["without"]),
        "with": Engine(seals, ChainedStore(stores["with"], seals)),
    }
    share = records // rounds
    took: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine.start()
        await _encode(engine, payload, 1000, callers)  # warm up
    for turn in range(rounds):
        for name in sorted(engines, reverse=turn % 2 == 0):
            took[name].append(await _encode(engines[name], payload, share, callers))
    kept = share * rounds + 1000
    sizes = {name: _size(path) / kept for name, path in paths.items()}
    for name, times in took.items():
        rate = share / statistics.median(times)
        seconds, entries = await _check(stores[name], seals, kept)
        print(
            f"{name:>7} history: {rate:8,.0f} encodes/s from {callers} callers, {sizes[name]:5.0f} bytes a"
            f" record, checked at {kept / seconds:8,.0f} records/s with {entries} entries"
        )
    ratios = [plain / chained for plain, chained in zip(took["without"], took["with"], strict=True)]
    print(
        f"with / without: encodes {statistics.median(ratios):.2f} (median of {rounds}),"
        f" bytes {sizes['with'] / sizes['without']:.2f}"
    )
    for engine in engines.values():
        await engine.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--callers", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder), args.records, args.rounds, args.callers))


if __name__ == "__main__":
    main()
