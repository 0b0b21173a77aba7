"""A service under steady load while its DNAStore is frozen, killed and started again, drawn over time.

``python -m benchmarks.outage`` starts both, with a spool between them and without, and draws what is seen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from app.api.paths import BASE
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.dnastore.development import DevelopmentFiles
from benchmarks.events import varied_events
from servers.program import Program, app, free_ports

#: Seconds from the beginning: what happens to the DNAStore.
_EVENTS: Final = ((6.0, "freeze"), (14.0, "thaw"), (22.0, "kill"), (34.0, "start"))
_END: Final = 46.0
_WITH: Final = "with spool"
_WITHOUT: Final = "without"
#: Seconds between looks at the metrics.
_LOOK: Final = 0.1
_PATIENCE: Final = aiohttp.ClientTimeout(total=5)
#: Seconds that one point of the picture stands for.
_BUCKET: Final = 0.5
_METRIC: Final = re.compile(r"^(dnastore_spool_writes|dnastore_circuit_state) (\S+)$", re.MULTILINE)


class Answer(NamedTuple):
    """One request: when it should have been sent, its status (0: none came), and seconds from then on."""

    at: float
    status: int
    seconds: float


class Look(NamedTuple):
    """What the service told of itself at a moment: writes in its spool; 0 closed, 1 half open, 2 open."""

    at: float
    waiting: float
    circuit: float


class Course(msgspec.Struct):
    """What was seen of one run, and when the DNAStore listened again."""

    answers: list[Answer]
    looks: list[Look]
    back: float = _END


class Place(NamedTuple):
    """Where the programs run, and on which ports."""

    folder: Path
    dnastore: int
    service: int
    metrics: int


@contextlib.contextmanager
def _running(place: Place, *, spool: bool) -> Iterator[Program]:
    """Service and DNAStore; the DNAStore."""
    data = place.folder / "dnastore"
    files = DevelopmentFiles(data)
    dnastore = Program(
        app("dnastore", "--development"),
        place.dnastore,
        place.folder / "dnastore.log",
        {
            "DNASTORE_SERVER_DATA_DIR": str(data),
            "DNASTORE_SERVER_PORT": str(place.dnastore),
            "DNASTORE_SERVER_METRICS_PORT": "off",
        },
    )
    certificate, key = files.client
    service = Program(
        app("serve", "--development"),
        place.service,
        place.folder / "service.log",
        {
            "SIGIL_DATA_DIR": str(place.folder / "service"),
            "SIGIL_PORT": str(place.service),
            "SIGIL_METRICS_PORT": str(place.metrics),
            "SIGIL_RATE_LIMIT": "100000000",
            "DNASTORE_URL": f"https://127.0.0.1:{place.dnastore}",
            "DNASTORE_CLIENT_CERT": str(certificate),
            "DNASTORE_CLIENT_KEY": str(key),
            "DNASTORE_CA_CERT": str(files.authority),
            "DNASTORE_TIMEOUT": "1",
            "DNASTORE_SPOOL": "on" if spool else "off",
        },
    )
    try:
        dnastore.start()
        service.start()
        yield dnastore
    finally:
        service.kill()
        dnastore.kill()


def _happens(dnastore: Program, what: str) -> None:
    if what == "freeze":
        dnastore.send(signal.SIGSTOP)
    elif what == "thaw":
        dnastore.send(signal.SIGCONT)
    elif what == "kill":
        dnastore.kill()
    else:
        dnastore.start()


async def _sabotage(dnastore: Program, begin: float, course: Course) -> None:
    for moment, what in _EVENTS:
        await asyncio.sleep(begin + moment - time.monotonic())
        await asyncio.to_thread(_happens, dnastore, what)
    course.back = time.monotonic() - begin


async def _look(session: aiohttp.ClientSession, port: int, begin: float, looks: list[Look]) -> None:
    while (now := time.monotonic() - begin) < _END:
        try:
            async with session.get(f"http://127.0.0.1:{port}/metrics", timeout=_PATIENCE) as response:
                found = dict(_METRIC.findall(await response.text()))
        except (aiohttp.ClientError, TimeoutError):
            continue
        waiting, circuit = (
            float(found.get(name, 0)) for name in ("dnastore_spool_writes", "dnastore_circuit_state")
        )
        looks.append(Look(now, waiting, circuit))
        await asyncio.sleep(_LOOK)


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes, due: float) -> tuple[int, float]:
    """Encode; the status, and seconds since it should have been sent: slow answers delay no other."""
    try:
        async with session.post(url, data=body) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        status = 0
    return status, time.monotonic() - due


async def _load(place: Place, dnastore: Program, rate: int) -> Course:
    token = DevelopmentIssuer(place.folder / "service").token("acme", "load", ROLES, lifetime=86400)
    bodies = [b'{"data":%s}' % event for event in varied_events()]
    url = f"http://127.0.0.1:{place.service}{BASE}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    course = Course([], [])
    async with aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=30),
    ) as session:
        await asyncio.gather(*(_ask(session, url, body, 0.0) for body in bodies[:32]))  # connections are made
        begin = time.monotonic()

        async def one(due: float, body: bytes) -> None:
            status, seconds = await _ask(session, url, body, begin + due)
            course.answers.append(Answer(due, status, seconds))

        async with asyncio.TaskGroup() as group:
            group.create_task(_sabotage(dnastore, begin, course))
            group.create_task(_look(session, place.metrics, begin, course.looks))
            for number, body in zip(range(int(_END * rate)), itertools.cycle(bodies), strict=False):
                due = number / rate
                if (wait := begin + due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(one(due, body))
    return course


def measure(rate: int, *, spool: bool) -> Course:
    """The course of one run, at so many encodes a second."""
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name), *free_ports(3))
        with _running(place, spool=spool) as dnastore:
            return asyncio.run(_load(place, dnastore, rate))


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("nan")


def _buckets(course: Course) -> list[tuple[float, list[Answer]]]:
    """The answers of each piece of time, by the moment at which they should have been asked for."""
    pieces: list[list[Answer]] = [[] for _ in range(int(_END / _BUCKET))]
    for answer in course.answers:
        pieces[min(int(answer.at / _BUCKET), len(pieces) - 1)].append(answer)
    return [((number + 0.5) * _BUCKET, piece) for number, piece in enumerate(pieces)]


def _phases(back: float) -> Iterator[tuple[str, float, float, str]]:
    """How the DNAStore is: what it is called, from when to when, and a colour."""
    moments = [moment for moment, _ in _EVENTS]
    yield "DNAStore frozen", moments[0], moments[1], "tab:blue"
    yield "gone", moments[2], moments[3], "tab:red"
    yield "starting", moments[3], back, "tab:orange"


def draw(courses: Mapping[str, Course], rate: int, path: Path) -> None:
    """Draw what is answered, how quickly, what waits, and the breaker, one above the other."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    picture, (answered, latency, waiting, circuit) = plt.subplots(
        4, 1, figsize=(9, 9), sharex=True, height_ratios=[3, 3, 3, 1]
    )
    for (name, course), colour in zip(courses.items(), ("C2", "C1"), strict=True):
        pieces = _buckets(course)
        times = [moment for moment, _ in pieces]
        acknowledged = [sum(one.status == 201 for one in piece) / _BUCKET for _, piece in pieces]
        answered.plot(times, acknowledged, color=colour, label=name)
    spooled = courses[_WITH]
    for part, style in ((0.5, "-"), (0.99, ":")):
        for name, colour in ((_WITH, "C2"), (_WITHOUT, "C1")):
            quantiles = [
                _quantile(sorted(one.seconds for one in piece), part) * 1000
                for _, piece in _buckets(courses[name])
            ]
            latency.plot(times, quantiles, style, color=colour, label=f"p{part * 100:g}, {name}")
    waiting.plot([look.at for look in spooled.looks], [look.waiting for look in spooled.looks], color="C2")
    circuit.step(
        [look.at for look in spooled.looks],
        [look.circuit for look in spooled.looks],
        where="post",
        color="C4",
    )
    answered.axhline(rate, color="grey", linewidth=0.8, linestyle="--")
    answered.set(ylabel="encodes answered\na second", ylim=(0, rate * 1.15))
    latency.set(ylabel="milliseconds, from when\nit was to be sent", yscale="log", ylim=(1, 20_000))
    waiting.set(ylabel="writes that wait\nin the spool")
    waiting.set_ylim(bottom=0)
    circuit.set(ylabel="breaker", xlabel="seconds", xlim=(0, _END), ylim=(-0.3, 2.3))
    circuit.set_yticks([0, 1, 2], ["closed", "half open", "open"])
    for axes in (answered, latency, waiting, circuit):
        axes.grid(alpha=0.3)
        for name, begin, end, colour in _phases(spooled.back):
            axes.axvspan(begin, end, color=colour, alpha=0.08)
            if axes is answered:
                axes.text((begin + end) / 2, rate * 1.04, name, ha="center", color=colour)
    answered.legend(loc="center", bbox_to_anchor=(0.41, 0.5))
    latency.legend(loc="upper right", ncols=4, fontsize="small")
    picture.suptitle(f"A DNAStore frozen, then killed, under {rate} encodes a second")
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})


def _table(courses: Mapping[str, Course]) -> Table:
    table = Table(title="Encodes by what they were answered with, and how long they took")
    table.add_column("", no_wrap=True)
    for heading in ("201", "503", "other", "p50", "p99", "slowest", "most waiting"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, course in courses.items():
        statuses = Counter(one.status for one in course.answers)
        kept, refused = statuses.pop(201, 0), statuses.pop(503, 0)
        seconds = sorted(one.seconds for one in course.answers)
        table.add_row(
            name,
            *(f"{count:,}" for count in (kept, refused, statuses.total())),
            *(f"{_quantile(seconds, part) * 1000:,.1f} ms" for part in (0.5, 0.99, 1.0)),
            f"{max(look.waiting for look in course.looks):,.0f}",
        )
    return table


def main() -> int:
    """Measure both, draw and print; 0 whatever comes of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--rate", type=int, default=100, help="encodes a second")
    parser.add_argument("--plot", type=Path, default=Path("reports/dnastore-outage.svg"), metavar="FILE")
    options = parser.parse_args()
    courses = {name: measure(options.rate, spool=name == _WITH) for name in (_WITH, _WITHOUT)}
    Console(width=None if sys.stdout.isatty() else 110).print(_table(courses))
    draw(courses, options.rate, options.plot)
    options.plot.with_suffix(".json").write_bytes(msgspec.json.encode(courses))
    return 0


if __name__ == "__main__":
    sys.exit(main())
