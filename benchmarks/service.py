"""Load the service and an empty Starlette in turn, and print requests a second as ratios.

Server and client have a core each; the client is wrk with 32 connections. Bodies are varied.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.api.sigils import BASE
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from benchmarks.events import varied_events

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_CONNECTIONS: Final = 32
_START_SECONDS: Final = 30.0


class Side(NamedTuple):
    """A server that is loaded.

    Attributes:
        goal: requests a second, at least, as a ratio to the first side.
    """

    name: str
    goal: float | None


_SIDES: Final = (
    Side("echo", None),
    Side("without-store", 2.0),
    Side("with-store-and-audit", 1.0),
)


class Measured(NamedTuple):
    """One slice: requests a second, then microseconds.

    Attributes:
        processor: the server's processor time for a request, of all its threads. It holds still where
            other programs share the machine, and the rate does not.
    """

    rate: float
    processor: float
    p50: int
    p99: int


class Server(NamedTuple):
    """A running server."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        """What its threads have used so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def _address() -> tuple[socket.socket, int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    return listener, listener.getsockname()[1]


@contextlib.contextmanager
def serving(side: Side, folder: Path, cpu: int, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a side's server on a core of its own, with its files in a folder.

    Raises:
        OSError: it does not accept connections.
    """
    listener, port = _address()
    command = ["-m", "benchmarks.applications", side.name, str(listener.fileno())]
    cleaned = {name: value for name, value in environment.items() if not name.startswith(("SIGIL_", "JWT_"))}
    # Limits are kept, as they are by default, but out of reach.
    cleaned |= {"SIGIL_DATA_DIR": str(folder), "SIGIL_PORT": str(port), "SIGIL_RATE_LIMIT": "100000000"}
    if side.name == "with-store-and-audit":
        # The service as it is, which opens its own socket.
        listener.close()
        command = ["-m", "app", "serve", "--development"]
    descriptors = () if listener.fileno() < 0 else (listener.fileno(),)
    with (folder / f"{side.name}.log").open("wb") as log, listener:
        server = subprocess.Popen(
            ["taskset", "-c", str(cpu), sys.executable, *command],
            env=cleaned,
            pass_fds=descriptors,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, server)
        yield Server(f"http://127.0.0.1:{port}{BASE}", server.pid)
    finally:
        server.terminate()
        if server.wait(30) not in {0, -signal.SIGTERM}:
            sys.stderr.write((folder / f"{side.name}.log").read_text())


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.05)
        else:
            return


def load(server: Server, bodies: Path, token: str, *, seconds: int, cpu: int) -> Measured:
    """Send encodes for a slice; ``bodies`` has one a line.

    Raises:
        RuntimeError: some were not answered, or refused.
    """
    command = ["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s"]
    command += ["-s", str(_SCRIPT), server.url, "--", str(bodies), token]
    before = server.processor_seconds()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    processor = server.processor_seconds() - before
    found = json.loads(output.splitlines()[-1])
    if found["refused"] or found["broken"]:
        raise RuntimeError(f"{server.url}: {found['refused']} refused, {found['broken']} broken")
    count = found["requests"]
    return Measured(count / found["microseconds"] * 1e6, processor / count * 1e6, found["p50"], found["p99"])


def write_bodies(folder: Path) -> Path:
    """Write the requests' bodies, one a line."""
    bodies = folder / "bodies"
    bodies.write_bytes(b"".join(b'{"data":%s}\n' % event for event in varied_events()))
    return bodies


def measure(rounds: int, seconds: int, cpus: Sequence[int], console: Console) -> dict[str, Measured]:
    """The best slice of each side, taken in turn."""
    best: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        token = DevelopmentIssuer(folder).token("acme", "load", ROLES, lifetime=86400)
        bodies = write_bodies(folder)
        servers = {
            side.name: stack.enter_context(serving(side, folder, cpus[0], os.environ)) for side in _SIDES
        }
        slices = [name for _ in range(rounds) for name in servers]
        for side in track(
            slices, "Loading", console=console, transient=True, disable=not console.is_terminal
        ):
            measured = load(servers[side], bodies, token, seconds=seconds, cpu=cpus[-1])
            best[side] = max(measured, best.get(side, measured))
    return best


def main() -> int:
    """Measure and print; 0 whatever the verdicts are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="slices of each server, taken in turn")
    parser.add_argument("--seconds", type=int, default=3, help="length of a slice, at least 2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    best = measure(options.rounds, options.seconds, sorted(os.sched_getaffinity(0)), Console(stderr=True))
    table = Table(title=f"Encode over HTTP, {_CONNECTIONS} connections, best of {options.rounds}")
    for heading in ("Server", "Requests/s", "Processor", "p50", "p99", "Ratio", "Goal"):
        table.add_column(heading, justify="left" if heading == "Server" else "right")
    reports = []
    for side in _SIDES:
        measured = best[side.name]
        ratio = measured.rate / best["echo"].rate
        goal = "" if side.goal is None else f"≥ {side.goal:g}x"
        table.add_row(
            side.name,
            f"{measured.rate:,.0f}",
            f"{measured.processor:.1f} µs",
            f"{measured.p50:,} µs",
            f"{measured.p99:,} µs",
            f"{ratio:.2f}x",
            goal,
        )
        reports.append({"server": side.name, **measured._asdict(), "ratio": ratio, "goal": side.goal})
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"servers": reports}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
