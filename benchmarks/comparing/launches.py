"""Launches: both sides' processes at once on one core, whose slices alternate in random order."""

from __future__ import annotations

import contextlib
import json
import random
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from benchmarks.comparing.sides import Side, environment_of

#: Long beside what starting a slice costs, short beside what changes on a machine.
_SLICE_SECONDS: Final = 0.008
_ANSWER_SECONDS: Final = 60.0


class MeasuringError(Exception):
    """A side's process is gone or hangs; the message says which, and what it wrote."""


class Slices(NamedTuple):
    """A row in one launch: seconds an item, a slice of the base and one of the head side by side.

    Attributes:
        base_error: why the base has no such row; there are no slices then.
        head_error: likewise.
    """

    base: Sequence[float] = ()
    head: Sequence[float] = ()
    base_error: str | None = None
    head_error: str | None = None


Measure = Callable[[str, int], Slices]


class Worker:
    """A side's process; see ``benchmarks.comparing.worker``."""

    def __init__(self, side: Side, shared: Path, rows: str, *, cpu: int, hash_seed: int) -> None:
        """Start it; ``rows`` is the ``MODULE:FUNCTION`` that it takes its rows from."""
        self._name = side.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when this is left
        command = [sys.executable, "-m", "benchmarks.comparing.worker", str(side.folder), rows, str(cpu)]
        self._process = subprocess.Popen(
            command,
            cwd=shared,
            env=environment_of(side, shared, hash_seed=hash_seed),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            MeasuringError: none came.
        """
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it has pipes")
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        if not select.select([process.stdout], [], [], _ANSWER_SECONDS)[0]:
            raise MeasuringError(f"the {self._name} does not answer: {request}")
        line = process.stdout.readline()
        if not line:
            self._errors.seek(0)
            written = self._errors.read().decode(errors="replace").strip().splitlines()
            raise MeasuringError("\n".join([f"the {self._name}'s process ended:", *written[-15:]]))
        answer: dict[str, Any] = json.loads(line)
        return answer


def slices_of(base: Worker, head: Worker, row: str, count: int, chance: random.Random) -> Slices:
    """Time a row on both sides, slice by slice."""
    prepared = [worker.ask(prepare=row) for worker in (base, head)]
    errors = [answer.get("error") for answer in prepared]
    if any(errors):
        return Slices(base_error=errors[0], head_error=errors[1])
    # One number of calls for both sides.
    longest = max(answer["seconds"] for answer in prepared)
    calls = max(1, round(_SLICE_SECONDS / max(longest, 1e-9)))
    items = prepared[0]["items"] * calls
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        turn = [(base, found[0]), (head, found[1])]
        chance.shuffle(turn)
        for worker, seconds in turn:
            seconds.append(worker.ask(calls=calls)["seconds"] / items)
    return Slices(*found)


@contextlib.contextmanager
def library_launch(
    sides: tuple[Side, Side], shared: Path, rows: str, *, cpu: int, chance: random.Random
) -> Iterator[Measure]:
    """Both sides' processes; what is given measures a row with so many slices."""
    seed = chance.randrange(1, 2**32)
    with contextlib.ExitStack() as stack:
        order = list(sides)
        chance.shuffle(order)  # whichever starts first takes its memory first
        workers = {
            side.name: stack.enter_context(Worker(side, shared, rows, cpu=cpu, hash_seed=seed))
            for side in order
        }
        yield lambda row, count: slices_of(workers["base"], workers["head"], row, count, chance)
