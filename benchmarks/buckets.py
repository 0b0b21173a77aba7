"""Token buckets: one key again and again, a million at random, and the cost as keys grow in number.

``python -m benchmarks.buckets`` draws the last.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.sides import Opened, Side, Sides, each, over, pair
from benchmarks.timing import interleaved
from sigil_native import TokenBucket

MILLION: Final = 1_000_000
_SAMPLE: Final = 200_000
#: Keys that are put in at once, so that their texts need not all be held.
_CHUNK: Final = 100_000


def key_text(number: int) -> str:
    """A key as services have them: a tenant and a user."""
    return f"tenant-{number % 997}:user-{number:08d}"


def filled(count: int) -> TokenBucket:
    """Buckets of so many keys, none of them full."""
    bucket = TokenBucket(1e-3, 10_000, capacity=max(count, 16))
    for start in range(0, count, _CHUNK):
        bucket.acquire_many([key_text(number) for number in range(start, min(start + _CHUNK, count))])
    return bucket


def sampled(count: int) -> list[str]:
    """Texts of keys in random order, each an object of its own that lies in the order of use."""
    chance = random.Random(count)
    return [key_text(chance.randrange(count)) for _ in range(_SAMPLE)]


def hot_key() -> Opened:
    """One key again and again."""
    bucket = TokenBucket(1e6, 10**9)
    item = RateLimitItemPerSecond(MILLION, 3600)
    windows = FixedWindowRateLimiter(MemoryStorage())
    return over(bucket.acquire, lambda key: windows.hit(item, key), [key_text(17)] * 1000)


def random_keys() -> Opened:
    """A million keys at random, beside one of them again and again."""
    full, keys = filled(MILLION), sampled(MILLION)
    return pair(each(full.acquire, keys), each(full.acquire, [keys[0]] * len(keys)), len(keys))


def random_keys_in_one_call() -> Opened:
    """A million keys at random in one call, beside a call for each."""
    full, keys = filled(MILLION), sampled(MILLION)
    return pair(lambda: full.acquire_many(keys), each(full.acquire, keys), len(keys))


def bytes_a_key(count: int) -> float:
    """Resident bytes that each of so many keys takes."""
    filled(min(count, _CHUNK))  # the texts of a chunk leave memory behind, which is used again
    gc.collect()
    before = _resident()
    bucket = filled(count)
    grown = _resident() - before
    del bucket
    return grown / count


def memory() -> Opened:
    """Bytes a key of a million, each time in a process of its own: what others left is not used again."""
    program = f"from benchmarks.buckets import bytes_a_key; print(bytes_a_key({MILLION}))"

    def call() -> float:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout)

    return nullcontext(Sides(Side(call, returns_figure=True)))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def measure(count: int, rounds: int) -> dict[str, float]:
    """Nanoseconds a call with so many keys, and bytes a key."""
    keys = sampled(count)
    size = bytes_a_key(count)
    bucket = filled(count)
    calls = {
        "acquire": each(bucket.acquire, keys),
        "acquire_many": lambda: bucket.acquire_many(keys),
        "loop": each(len, keys),
    }
    best = interleaved(calls, rounds=rounds)
    per_call = {name: best[name] / len(keys) * 1e9 for name in calls}
    return {"keys": count, **per_call, "bytes_a_key": size, "refused": bucket.full}


def draw(figures: list[dict[str, float]], path: Path) -> None:
    """Draw the cost and the memory against the number of keys."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    counts = [figure["keys"] for figure in figures]
    picture, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(10, 4))
    for name in ("acquire", "acquire_many"):
        time_axes.plot(counts, [figure[name] for figure in figures], marker="o", label=name)
    time_axes.set(xscale="log", xlabel="keys, asked for at random", ylabel="nanoseconds a key")
    time_axes.set_ylim(bottom=0)
    time_axes.legend()
    large = [figure for figure in figures if figure["keys"] >= 1000]
    memory_axes.plot([f["keys"] for f in large], [f["bytes_a_key"] for f in large], marker="o", color="C2")
    memory_axes.set(xscale="log", xlabel="keys", ylabel="resident bytes a key")
    memory_axes.set_ylim(bottom=0)
    for axes in (time_axes, memory_axes):
        axes.grid(alpha=0.3)
    picture.suptitle("TokenBucket: cost and memory against the number of keys")
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})


def main() -> int:
    """Measure from one key to ten million, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.buckets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="passes over 200,000 keys")
    parser.add_argument("--most", type=int, default=10 * MILLION, help="keys of the last point")
    parser.add_argument("--plot", type=Path, default=Path("reports/token-bucket-keys.svg"), metavar="FILE")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.cpu})
    counts = [10**exponent for exponent in range(8) if 10**exponent <= options.most]
    table = Table(title="Token buckets, keys asked for at random")
    for heading in ("Keys", "acquire", "acquire_many", "empty loop", "bytes a key"):
        table.add_column(heading, justify="right")
    figures = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for count in progress.track(counts, description="Measuring"):
            figure = measure(count, options.rounds)
            figures.append(figure)
            times = [f"{figure[name]:.0f} ns" for name in ("acquire", "acquire_many", "loop")]
            table.add_row(f"{count:,}", *times, f"{figure['bytes_a_key']:,.0f}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    draw(figures, options.plot)
    options.plot.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
