"""What the SQL store costs as its records grow in number: ``python -m benchmarks.stores`` draws it."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.records import CanonicalJson, Record
from core.store.sql_rows import RECORD_COLUMNS, row_of
from core.store.sql_store import SqlStore

_SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
_TENANTS: Final = 20
_CHUNK: Final = 50_000
#: Of one round.
_ENCODES: Final = 640
_CONCURRENT: Final = 64
_GETS: Final = 500
_LISTS: Final = 100
_PAGE: Final = 50
_START_MS: Final = 1_750_000_000_000
_LIFETIME_MS: Final = 86_400_000

_PAYLOAD: Final = CanonicalJson(
    json.dumps({"amount": 4200, "event": "order.paid", "note": "x" * 190}, separators=(",", ":")).encode()
)
_DIGEST: Final = hashlib.sha256(_PAYLOAD).digest()
_SIGIL: Final = "sgl1_" + "A" * 86


def tenant_of(number: int) -> str:
    """Tenants write in turn."""
    return f"tenant-{number % _TENANTS}"


def digits_of(number: int) -> str:
    """The id of the record that was written as this one: a UUIDv7 whose time and counter ascend."""
    return f"{_START_MS + number // 100:012x}7{number % 100:03x}8000{number:012x}"


def id_of(number: int) -> str:
    """The same in its text form."""
    digits = digits_of(number)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def record_of(number: int) -> Record:
    """A record of 240 bytes of payload; every tenth one has an expiry."""
    at_ms = _START_MS + number // 100
    return Record(
        tenant=tenant_of(number),
        id=id_of(number),
        sigil=_SIGIL,
        key_id=7,
        issued_at_ms=at_ms,
        expires_at_ms=at_ms + _LIFETIME_MS if number % 10 == 0 else 0,
        payload=_PAYLOAD,
        canonical_sha256=_DIGEST,
        created_at_ms=at_ms,
        created_by="benchmark",
    )


def rows(count: int) -> Iterator[list[tuple[object, ...]]]:
    """The rows of so many records, some at a time."""
    row = list(row_of(record_of(0)))
    tenant, identity, issued, expires, created = map(
        RECORD_COLUMNS.index, ("tenant", "id", "issued_at_ms", "expires_at_ms", "created_at_ms")
    )
    for first in range(0, count, _CHUNK):
        some: list[tuple[object, ...]] = []
        for number in range(first, min(first + _CHUNK, count)):
            at_ms = _START_MS + number // 100
            row[tenant] = tenant_of(number)
            row[identity] = bytes.fromhex(digits_of(number))
            row[issued] = row[created] = at_ms
            row[expires] = at_ms + _LIFETIME_MS if number % 10 == 0 else 0
            some.append(tuple(row))
        yield some


def fill_sqlite(path: Path, count: int, advance: Callable[[int], None]) -> str:
    """Make a database of so many records; its URL."""
    url = f"sqlite:///{path}"
    asyncio.run(SqlStore.open(url).close())
    marks = ", ".join("?" * len(RECORD_COLUMNS))
    insert = f"INSERT INTO sigils ({', '.join(RECORD_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our names
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        for some in rows(count):
            with connection:
                connection.executemany(insert, some)
            advance(len(some))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return url


def fill_postgresql(server: str, count: int, advance: Callable[[int], None]) -> str:
    """Make a database of so many records on a server, in place of one of this name; its URL."""
    name = f"sigil_benchmark_{count}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(SqlStore.open(url).close())
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for some in rows(count):
            with cursor.copy(f"COPY sigils ({', '.join(RECORD_COLUMNS)}) FROM STDIN".encode()) as copy:
                for row in some:
                    copy.write_row(row)
            advance(len(some))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) sigils")
        connection.execute("CHECKPOINT")
    return url


class Loaded:
    """A store of so many records, and what is timed with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, count: int) -> None:
        self.count = count
        self._loop = loop
        self._store = SqlStore.open(url)
        self._next = count
        self._chance = random.Random(count)

    def calls(self) -> dict[str, Callable[[], object]]:
        """What is timed, by its name."""
        work: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "encode": self._encode,
            "get": lambda: self._get(with_payload=True),
            "status": lambda: self._get(with_payload=False),
            "list": self._list,
        }
        return {name: self._timed(one) for name, one in work.items()}

    def _timed(self, work: Callable[[], Coroutine[Any, Any, object]]) -> Callable[[], object]:
        return lambda: self._loop.run_until_complete(work())

    async def _encode(self) -> None:
        numbers = iter(range(self._next, self._next + _ENCODES))
        self._next += _ENCODES

        async def one_after_another() -> None:
            for number in numbers:
                await self._store.put((record_of(number),))

        await asyncio.gather(*(one_after_another() for _ in range(_CONCURRENT)))

    async def _get(self, *, with_payload: bool) -> None:
        for _ in range(_GETS):
            number = self._chance.randrange(self.count)
            found = await self._store.get(tenant_of(number), id_of(number), with_payload=with_payload)
            assert found is not None  # noqa: S101

    async def _list(self) -> None:
        for _ in range(_LISTS):
            number = self._chance.randrange(_PAGE * _TENANTS, self.count)
            page = await self._store.list(
                tenant_of(number), limit=_PAGE, before=id_of(number), status=None, now_ms=0
            )
            assert len(page.records) == _PAGE  # noqa: S101

    def close(self) -> None:
        """Close the store."""
        self._loop.run_until_complete(self._store.close())


_OPERATIONS: Final = {
    "encode": (f"encode, {_CONCURRENT} at once", _ENCODES),
    "get": ("get", _GETS),
    "status": ("status lookup", _GETS),
    "list": (f"page of {_PAGE}", _LISTS),
}


def measure(urls: dict[int, str], rounds: int) -> list[dict[str, float]]:
    """Microseconds of each operation at each size, the best round's; sizes take turns in each round.

    Of each there is the time that passed, which other work on the machine makes longer, and the processors'
    time of all threads.
    """
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        stack.callback(loop.close)
        stores = [Loaded(loop, url, count) for count, url in urls.items()]
        for loaded in stores:
            stack.callback(loaded.close)
        figures = [{"records": float(loaded.count)} for loaded in stores]
        for _ in range(rounds):
            for loaded, figure in zip(stores, figures, strict=True):
                for name, call in loaded.calls().items():
                    began, worked = time.perf_counter(), time.process_time()
                    call()
                    spent = {name: time.perf_counter() - began, f"{name} cpu": time.process_time() - worked}
                    for kind, seconds in spent.items():
                        each = seconds / _OPERATIONS[name][1] * 1e6
                        figure[kind] = min(figure.get(kind, each), each)
    return figures


def draw(figures: Sequence[dict[str, float]], path: Path) -> None:
    """Draw the cost of each operation against the number of records."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    counts = [figure["records"] for figure in figures]
    picture, (time_axes, relative_axes) = plt.subplots(1, 2, figsize=(10, 4))
    for name, (label, _) in _OPERATIONS.items():
        time_axes.plot(counts, [figure[name] for figure in figures], marker="o", label=label)
        spent = [figure[f"{name} cpu"] for figure in figures]
        relative_axes.plot(counts, [one / spent[0] for one in spent], marker="o", label=label)
    time_axes.set(xscale="log", yscale="log", xlabel="records", ylabel="microseconds")
    time_axes.legend()
    relative_axes.set(
        xscale="log", xlabel="records", ylabel=f"processor time, times that at {counts[0]:,.0f}"
    )
    for bound in (0.8, 1.2):
        relative_axes.axhline(bound, color="grey", linestyle=":", linewidth=1)
    # Now that the bounds are drawn, so that they are within.
    relative_axes.set_ylim(bottom=0)
    for axes in (time_axes, relative_axes):
        axes.grid(alpha=0.3)
    picture.suptitle("SqlStore: cost against the number of records")
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})


def main() -> int:
    """Fill, measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of every size")
    parser.add_argument("--most", type=int, default=_SIZES[-1], help="records of the last point")
    parser.add_argument("--folder", type=Path, help="for the databases, about 6 GB; removed afterwards")
    parser.add_argument(
        "--postgresql", metavar="URL", help="a server's database, beside which others are made"
    )
    parser.add_argument("--plot", type=Path, default=Path("reports/store-size.svg"), metavar="FILE")
    options = parser.parse_args()
    sizes = [size for size in _SIZES if size <= options.most]
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="sigil-stores-") as name:
        urls = {}
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("Filling", total=sum(sizes))

            def advance(count: int) -> None:
                progress.advance(task, count)

            for size in sizes:
                if options.postgresql:
                    urls[size] = fill_postgresql(options.postgresql, size, advance)
                else:
                    urls[size] = fill_sqlite(Path(name) / f"{size}.db", size, advance)
        figures = measure(urls, options.rounds)
    kind = "PostgreSQL" if options.postgresql else "SQLite"
    table = Table(title=f"SqlStore on {kind}: microseconds, and those of processors")
    for heading in ("Records", *(label for label, _ in _OPERATIONS.values())):
        table.add_column(heading, justify="right")
    for figure in figures:
        times = []
        for name in _OPERATIONS:
            spent = figure[f"{name} cpu"]
            times.append(f"{figure[name]:.0f}, {spent:.0f} ({spent / figures[0][f'{name} cpu']:.2f}x)")
        table.add_row(f"{figure['records']:,.0f}", *times)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    draw(figures, options.plot)
    options.plot.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
