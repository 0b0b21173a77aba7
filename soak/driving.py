"""Processes of load: what each is told, and their start and end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from servers.program import environment
from soak.plan import LoadPlan, shared_out
from soak.stand import Stand

_REPOSITORY: Final = Path(__file__).resolve().parents[1]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes of load do together.

    Attributes:
        rate: calls a second, of all users together.
        scenarios: each with its share of the users.
        batch: lines of a batch.
        processes: of load.
        token_seconds: how long a token is good.
        first_serial: the number of the first payload; those from there on were never used.
    """

    seconds: float
    users: int
    rate: float
    scenarios: Mapping[str, float]
    batch: int
    processes: int
    token_seconds: float
    first_serial: int = 0

    @property
    def pace(self) -> float:
        """Seconds between two calls of one user."""
        return self.users / self.rate


def load_plans(traffic: Traffic, stand: Stand, folder: Path, begin: float, outages: Path) -> list[LoadPlan]:
    """What each process is told; each has its part of the users of each scenario."""
    counts = shared_out(traffic.users, traffic.scenarios)
    plans = []
    for process in range(traffic.processes):
        callers = {
            name: (count + traffic.processes - 1 - process) // traffic.processes
            for name, count in counts.items()
        }
        plans.append(
            LoadPlan(
                results=str(folder),
                url=stand.url,
                signing_key=str(stand.signing_key_file),
                outages=str(outages),
                begin=begin,
                seconds=traffic.seconds,
                pace=traffic.pace,
                callers={name: count for name, count in callers.items() if count},
                batch=traffic.batch,
                token_seconds=traffic.token_seconds,
                process=process,
                processes=traffic.processes,
                first_serial=traffic.first_serial,
            )
        )
    return plans


@contextmanager
def load_process(plan: LoadPlan) -> Iterator[subprocess.Popen[bytes]]:
    """A process of load, ended afterwards."""
    path = Path(plan.results) / f"load-{plan.process}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan)))
    with path.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "soak.load", str(path)],
            cwd=_REPOSITORY,
            env=environment({}),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait(20)
