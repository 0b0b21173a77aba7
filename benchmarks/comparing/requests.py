"""The rows over HTTP: both services run at once on one core, and wrk loads them in turn."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from benchmarks import service
from benchmarks.comparing.launches import Measure, Slices
from benchmarks.comparing.measuring import Result, compare
from benchmarks.comparing.sides import Side, environment_of

_ROWS: Final = {
    "HTTP encode": "without-store",
    "HTTP encode, store and audit": "with-store-and-audit",
}
_SECONDS: Final = 1
_SLICES: Final = 2

Load = Callable[[], float]


@contextlib.contextmanager
def _loaded(
    side: Side, shared: Path, kind: str, folder: Path, *, cpus: tuple[int, int], hash_seed: int
) -> Iterator[Load]:
    """A side's service; what is given loads it for a slice: its processor seconds of a request."""
    folder.mkdir()
    token = DevelopmentIssuer(folder).token("acme", "load", ROLES, lifetime=86400)
    bodies = service.write_bodies(folder)
    environment = environment_of(side, shared, hash_seed=hash_seed)
    with service.serving(kind, folder, cpus[0], environment) as server:

        def load() -> float:
            measured = service.load(server, bodies, token, seconds=_SECONDS, cpu=cpus[1])
            return measured.processor / 1e6

        load()  # what is used for the first time is not timed
        yield load


def _slices(
    sides: tuple[Side, Side],
    shared: Path,
    kind: str,
    count: int,
    cpus: tuple[int, int],
    chance: random.Random,
) -> Slices:
    seed = chance.randrange(1, 2**32)
    errors: dict[str, str] = {}
    loads: dict[str, Load] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        for side in chance.sample(sides, 2):
            try:
                loads[side.name] = stack.enter_context(
                    _loaded(side, shared, kind, Path(name, side.name), cpus=cpus, hash_seed=seed)
                )
            except (OSError, RuntimeError) as error:
                errors[side.name] = f"the service does not work: {error}"
        if errors:
            return Slices(base_error=errors.get("base"), head_error=errors.get("head"))
        found: dict[str, list[float]] = {"base": [], "head": []}
        for _ in range(count):
            for side in chance.sample(sides, 2):
                found[side.name].append(loads[side.name]())
    return Slices(found["base"], found["head"])


def compare_requests(
    sides: tuple[Side, Side],
    shared: Path,
    *,
    cpus: tuple[int, int],
    only: str,
    margin: float,
    chance: random.Random,
    step: Callable[[str], None],
) -> list[Result]:
    """Measure and judge the rows whose name contains ``only``; ``cpus``: the service's and the client's."""

    @contextlib.contextmanager
    def open_launch() -> Iterator[Measure]:
        yield lambda row, count: _slices(sides, shared, _ROWS[row], count, cpus, chance)

    rows = [row for row in _ROWS if only.lower() in row.lower()]
    return compare(open_launch, rows, slices=_SLICES, margin=margin, chance=chance, step=step)
