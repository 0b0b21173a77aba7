"""A results folder, read whole, and cut into what counts for what.

Quantiles are of *calm* windows: after warm-up, with no fault on, and none still being recovered from. Memory
and other resources count through faults, too; after the start of each process, its warm-up is left out.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from soak import results
from soak.results import Fault, Panel, Run, Sample, Violation, Window

_T = TypeVar("_T")

#: What is judged. The processes that make load, and Redis, are others' business.
JUDGED: Final = ("service", "dnastore")
#: A fault that was never recovered from spoils what comes so many seconds after it.
_AFTERMATH: Final = 60.0


class ResultsError(Exception):
    """A results folder cannot be judged; the message names the file."""


class Evidence(NamedTuple):
    """All that a run has left behind, by time."""

    run: Run
    windows: Sequence[Window]
    samples: Sequence[Sample]
    faults: Sequence[Fault]
    violations: Sequence[Violation]
    panels: Sequence[Panel]

    @property
    def steady_from(self) -> float:
        """When the warm-up was over."""
        return self.run.started_at + self.run.warm_up

    @property
    def ended_at(self) -> float:
        """When the run ended, or what is known of it."""
        if self.run.ended_at is not None:
            return self.run.ended_at
        last = [window.begin + window.seconds for window in self.windows[-1:]]
        return max([self.run.started_at, *last, *(sample.at for sample in self.samples[-1:])])

    def of(self, operation: str) -> list[Window]:
        """The windows of one operation."""
        return [window for window in self.windows if window.operation == operation]

    def is_calm(self, window: Window) -> bool:
        """Whether quantiles count in it."""
        end = window.begin + window.seconds
        return (
            window.begin >= self.steady_from
            and window.during is None
            and not any(end > one.began_at and window.begin < over(one) for one in self.faults)
        )

    def calm(self, windows: Iterable[Window]) -> list[Window]:
        """Those of the windows in which quantiles count."""
        return [window for window in windows if self.is_calm(window)]

    def processes(self) -> dict[str, list[Sample]]:
        """The samples of each process."""
        found: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            found[sample.process].append(sample)
        return dict(sorted(found.items()))

    def judged(self) -> dict[str, list[Sample]]:
        """Those of the processes that are the product's."""
        return {name: of for name, of in self.processes().items() if name.partition("/")[0] in JUDGED}

    def lives(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """A process's samples, each time that it ran apart, without its warm-up."""
        for _, life in itertools.groupby(samples, lambda sample: sample.pid):
            whole = list(life)
            begin = max(self.steady_from, whole[0].at + self.run.warm_up)
            if steady := [sample for sample in whole if sample.at >= begin]:
                yield steady

    def records_at(self, times: Sequence[float]) -> list[float]:
        """How many records had been made by then, faults and warm-up included."""
        ordered = sorted(self.windows, key=lambda window: window.begin + window.seconds)
        ends = [self.run.started_at, *(window.begin + window.seconds for window in ordered)]
        made = np.concatenate([[0.0], np.cumsum([window.records for window in ordered], dtype=float)])
        return [float(one) for one in np.interp(times, ends, made)]


def over(fault: Fault) -> float:
    """When a fault's consequences were over."""
    return fault.ended_at + _AFTERMATH if fault.recovered_at is None else fault.recovered_at


def load_evidence(folder: Path) -> Evidence:
    """Read a results folder.

    Raises:
        ResultsError: there is none, or a file in it is damaged.
    """
    path = folder / results.RUN
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: {error}") from None
    # A run makes these at once; faults and panels may be none. Older runs told no plan, and had no file of
    # violations where there were none.
    older = run.faults_planned is None
    for name in (results.WINDOWS, results.SAMPLES, results.VIOLATIONS):
        if not (folder / name).exists() and not (older and name == results.VIOLATIONS):
            raise ResultsError(f"{folder / name}: there is none")
    windows = _lines(folder, results.WINDOWS, Window)
    samples = _lines(folder, results.SAMPLES, Sample)
    return Evidence(
        run,
        sorted(windows, key=lambda window: window.begin),
        sorted(samples, key=lambda sample: sample.at),
        sorted(_lines(folder, results.FAULTS, Fault), key=lambda fault: fault.began_at),
        _lines(folder, results.VIOLATIONS, Violation),
        _lines(folder, results.PANELS, Panel),
    )


def _lines(folder: Path, name: str, kind: type[_T]) -> list[_T]:
    try:
        return list(results.lines(folder, name, kind))
    except OSError as error:
        raise ResultsError(f"{folder / name}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResultsError(f"{folder / name}: {error}") from None
