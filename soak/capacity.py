"""How much a machine carries: the rate goes up by steps until one is too much."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from soak import results
from soak.driving import Traffic, load_plans, load_process
from soak.histograms import merged, quantile_ms
from soak.outages import tell
from soak.results import Sample, Violation, Window
from soak.run import LEAD, interruptible
from soak.sampling import Sampler
from soak.stand import Stand, Wishes, running_stand

#: Payloads of one step have numbers that no other step reaches.
_SERIALS: Final = 1 << 32
#: Of a rate that works, what to plan with: the rest is for what a short step does not show.
_PART: Final = 0.75
#: By so much a process of load may be late before it measures itself.
_LAG: Final = 0.1
_PARTS: Final = ("service", "dnastore", "load")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried.

    Attributes:
        first: calls a second of the first step.
        factor: each step's rate over the one before.
        seconds: of a step; its first half is for settling, and is not judged.
        most_steps: those that are tried again included.
        p99_ms: what latencies from the intended start may reach.
    """

    folder: Path
    first: float
    factor: float
    seconds: float
    most_steps: int
    p99_ms: float
    users: int
    scenarios: Mapping[str, float]
    workers: int
    batch: int
    processes: int
    history: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one rate came to.

    Attributes:
        cpu: of each part, processors in use; None where a step is too short to tell.
        trouble: why it is not good; empty where it is.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu: Mapping[str, float | None]
    trouble: str


def search(wanted: Search, tell_of: Callable[[Step], None]) -> list[Step]:
    """Step up until a rate fails twice, on a stand of its own, without faults; all steps.

    Raises:
        FileExistsError: the folder is not empty.
        SystemExit: something does not start; with its log.
    """
    wanted.folder.mkdir(parents=True, exist_ok=True)
    if any(wanted.folder.iterdir()):
        raise FileExistsError(f"{wanted.folder} is not empty")
    steps: list[Step] = []
    rate = wanted.first
    wishes = Wishes(workers=wanted.workers, history=wanted.history, prometheus=False)
    with interruptible(), running_stand(wanted.folder / "stand", wishes) as stand:
        while len(steps) < wanted.most_steps:
            steps.append(_step(wanted, stand, rate, len(steps)))
            tell_of(steps[-1])
            if not steps[-1].trouble:
                rate *= wanted.factor
            # Once may be bad luck of a machine that has other things to do, too.
            elif [step.rate for step in steps[-2:]] == [rate, rate]:
                break
    return steps


def recommended(steps: Sequence[Step]) -> float | None:
    """Calls a second to plan with; None if no step was good."""
    good = [step.rate for step in steps if not step.trouble]
    return max(good) * _PART if good else None


def _step(wanted: Search, stand: Stand, rate: float, number: int) -> Step:
    folder = wanted.folder / f"step-{number + 1:02}"
    folder.mkdir()
    outages = folder / "outages.json"
    tell(outages, [])
    traffic = Traffic(
        seconds=wanted.seconds,
        users=wanted.users,
        rate=rate,
        scenarios=wanted.scenarios,
        batch=wanted.batch,
        processes=wanted.processes,
        token_seconds=max(60.0, 2 * wanted.seconds),
        first_serial=number * _SERIALS,
    )
    begin = time.time() + LEAD
    with ExitStack() as stack:
        sampler = stack.enter_context(contextlib.closing(Sampler(folder, stand.watched)))
        plans = load_plans(traffic, stand, folder, begin, outages)
        processes = [stack.enter_context(load_process(plan)) for plan in plans]
        codes = [process.wait(LEAD + wanted.seconds + 90) for process in processes]
        sampler.close()
    if any(codes):
        raise SystemExit(f"a process of load ended with {codes}; see load-*.log in {folder}")
    return judge_step(folder, rate, begin + wanted.seconds / 2, begin + wanted.seconds, wanted.p99_ms)


def judge_step(folder: Path, rate: float, begin: float, end: float, most_ms: float) -> Step:
    """What a step came to between these times, by its results folder."""
    windows = [one for one in results.lines(folder, results.WINDOWS, Window) if begin <= one.begin < end]
    samples = [one for one in results.lines(folder, results.SAMPLES, Sample) if begin <= one.at <= end + 5]
    latencies = merged(windows)
    p99 = quantile_ms(latencies, 99)
    return Step(
        rate=rate,
        p50_ms=quantile_ms(latencies, 50),
        p99_ms=p99,
        cpu={part: _processors(samples, part) for part in _PARTS},
        trouble="; ".join(_troubles(folder, windows, samples, p99, most_ms)),
    )


def _troubles(
    folder: Path, windows: Sequence[Window], samples: Sequence[Sample], p99: float, most_ms: float
) -> Iterator[str]:
    if not any(window.calls for window in windows):
        yield "no calls"
    if any(True for _ in results.lines(folder, results.VIOLATIONS, Violation)):
        yield "violations"
    if failed := sum(sum(window.failures.values()) for window in windows):
        yield f"{failed} failed"
    if refused := sum(window.refused for window in windows):
        yield f"{refused} refused"
    if p99 > most_ms:
        yield "slow"
    lag = max((one.lag_seconds for one in samples if one.lag_seconds is not None), default=0.0)
    if lag > _LAG:
        yield f"load {1000 * lag:,.0f} ms late"


def _processors(samples: Sequence[Sample], part: str) -> float | None:
    """How many processors a part used, all its processes together; None if none was looked at twice."""
    by_process: dict[str, list[Sample]] = {}
    for one in samples:
        if one.process.startswith(f"{part}/"):
            by_process.setdefault(one.process, []).append(one)
    looked = [(taken[0], taken[-1]) for taken in by_process.values() if len(taken) > 1]
    if not looked:
        return None
    return sum((last.cpu_seconds - first.cpu_seconds) / (last.at - first.at) for first, last in looked)
