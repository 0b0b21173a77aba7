"""Load the service and an empty Starlette in turn, and print requests a second as ratios.

Server and client have a core each; the client is wrk with 32 connections. Bodies are varied.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.api.paths import BASE
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from benchmarks.events import varied_events
from benchmarks.sides import Side, Sides

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_CONNECTIONS: Final = 32
_START_SECONDS: Final = 30.0
#: The shortest after which wrk's figures hold still.
_SLICE_SECONDS: Final = 2


class Loaded(NamedTuple):
    """A server that is loaded.

    Attributes:
        goal: requests a second, at least, as a ratio to the first side.
    """

    name: str
    goal: float | None


_SIDES: Final = (
    Loaded("echo", None),
    Loaded("without-store", 2.0),
    Loaded("with-store-and-audit", 1.0),
)


class Requests(NamedTuple):
    """What is sent.

    Attributes:
        path: below the sigils.
        lines: events of a request.
        verifies: whether they ask for verdicts on what the server has sealed before.
    """

    path: str = ""
    media_type: str = "application/json"
    lines: int = 1
    verifies: bool = False


SINGLE: Final = Requests()
VERIFICATION: Final = Requests("/verify", verifies=True)
BATCHES: Final = Requests("/batch", "application/x-ndjson", 100)
VERIFICATIONS: Final = Requests("/verify/batch", "application/x-ndjson", 100, verifies=True)


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


def environment_of(folder: Path, port: int, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a server: nothing of the caller's settings, and limits out of reach."""
    # Bytecode is kept, as it is wherever the service is installed.
    dropped = ("SIGIL_", "JWT_", "DNASTORE_", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in given.items() if not name.startswith(dropped)}
    # Limits are kept, as they are by default.
    settings = {"SIGIL_DATA_DIR": str(folder), "SIGIL_PORT": str(port), "SIGIL_RATE_LIMIT": "100000000"}
    return environment | settings


@contextlib.contextmanager
def serving(
    name: str, folder: Path, cpu: int, environment: Mapping[str, str] = os.environ
) -> Iterator[Server]:
    """Run a server on a core of its own, with its files in a folder.

    Raises:
        OSError: it does not answer.
    """
    listener, port = _address()
    command = ["-m", "benchmarks.applications", name, str(listener.fileno())]
    if name == "with-store-and-audit":
        # The service as it is, which opens its own socket.
        listener.close()
        command = ["-m", "app", "serve", "--development"]
    descriptors = () if listener.fileno() < 0 else (listener.fileno(),)
    with (folder / f"{name}.log").open("wb") as log, listener:
        server = subprocess.Popen(
            ["taskset", "-c", str(cpu), sys.executable, *command],
            env=environment_of(folder, port, environment),
            pass_fds=descriptors,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(port, server)
        yield Server(f"http://127.0.0.1:{port}{BASE}", server.pid)
    finally:
        server.terminate()
        if server.wait(30) not in {0, -signal.SIGTERM}:
            sys.stderr.write((folder / f"{name}.log").read_text())


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers, whatever it says: connections are accepted before anyone reads them.

    Raises:
        OSError: it does not, or has ended.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.01)
        else:
            return
        finally:
            connection.close()


def load(
    server: Server, bodies: Path, token: str, requests: Requests = SINGLE, *, seconds: int, cpu: int
) -> Measured:
    """Send requests for a slice; ``bodies`` has an event a line.

    Raises:
        RuntimeError: some were not answered, or refused.
    """
    command = ["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s"]
    command += ["-s", str(_SCRIPT), server.url + requests.path, "--", str(bodies), token]
    command += [requests.media_type, str(requests.lines)]
    before = server.processor_seconds()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    processor = server.processor_seconds() - before
    found = json.loads(output.splitlines()[-1])
    if found["refused"] or found["broken"]:
        raise RuntimeError(f"{server.url}: {found['refused']} refused, {found['broken']} broken")
    if not (count := found["requests"]):
        raise RuntimeError(f"{server.url} answered nothing in {seconds} seconds")
    return Measured(count / found["microseconds"] * 1e6, processor / count * 1e6, found["p50"], found["p99"])


def write_bodies(folder: Path) -> Path:
    """Write the requests' events, one a line."""
    bodies = folder / "bodies"
    bodies.write_bytes(b"".join(b'{"data":%s}\n' % event for event in varied_events()))
    return bodies


def verify_line(line: bytes, answer: bytes) -> bytes:
    """The request for a verdict on what a line asked to seal, and its answer."""
    return b'{"sigil":"%b",%b' % (json.loads(answer)["sigil"].encode(), line[1:])


def _write_questions(server: Server, bodies: Path, token: str) -> Path:
    """Have a server seal what is in a file; another one with the questions for verdicts, one a line."""
    lines = bodies.read_bytes().splitlines()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCHES.media_type}
    questions = bodies.with_name("questions")
    with questions.open("wb") as file:
        for first in range(0, len(lines), BATCHES.lines):
            some = lines[first : first + BATCHES.lines]
            body = b"\n".join(some)
            request = urllib.request.Request(server.url + BATCHES.path, body, headers)  # noqa: S310 - ours
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - ours
                sealed = answer.read().splitlines()
            file.writelines(verify_line(*pair) + b"\n" for pair in zip(some, sealed, strict=True))
    return questions


@contextlib.contextmanager
def beside_echo(name: str, requests: Requests) -> Iterator[Sides]:
    """The server ``name`` and the echo on one core, loaded from another; seconds an event of wrk's counting.

    The echo is sent single events, whatever the server is sent.
    """
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        token = DevelopmentIssuer(folder).token("acme", "load", ROLES, lifetime=86400)
        bodies = write_bodies(folder)
        servers = {each: stack.enter_context(serving(each, folder, cpus[0])) for each in (name, "echo")}

        asked = _write_questions(servers[name], bodies, token) if requests.verifies else bodies

        def seconds_an_event(server: str, sent: Requests, bodies: Path) -> float:
            measured = load(servers[server], bodies, token, sent, seconds=_SLICE_SECONDS, cpu=cpus[-1])
            return 1 / (measured.rate * sent.lines)

        yield Sides(
            Side(lambda: seconds_an_event(name, requests, asked), returns_figure=True),
            Side(lambda: seconds_an_event("echo", SINGLE, bodies), returns_figure=True),
        )


def measure(rounds: int, seconds: int, cpus: Sequence[int], console: Console) -> dict[str, Measured]:
    """The best slice of each side, taken in turn."""
    best: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        token = DevelopmentIssuer(folder).token("acme", "load", ROLES, lifetime=86400)
        bodies = write_bodies(folder)
        servers = {side.name: stack.enter_context(serving(side.name, folder, cpus[0])) for side in _SIDES}
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
