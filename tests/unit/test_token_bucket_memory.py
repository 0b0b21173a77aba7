"""A flood of keys that nobody has seen before: memory stays at the cap, and who is known is served."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import Final

import pytest

from tests.heavy import HEAVY
from tests.token_bucket_model import TokenBucketModel

KEYS: Final = 50_000_000 if HEAVY else 600_000

_FLOOD: Final = """
import os, sys, time
from sigil_native._bucket import TokenBucket

CAPACITY, KEYS, GROUP = 1 << 14, int(sys.argv[1]), 1000

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

def flood(bucket, count):
    for _ in range(count // GROUP):
        random = os.urandom(8 * GROUP)
        bucket.acquire_many([random[place : place + 8] for place in range(0, 8 * GROUP, 8)])

moment = [0]
# Each new key is live for a second, in which 100,000 more come: six times what there is room for.
bucket = TokenBucket(1, 20, capacity=CAPACITY, clock=lambda: moment[0])
flood(TokenBucket(1, 20, capacity=10), 10 * GROUP)
before = resident()
served = 0
for turn in range(KEYS // 10_000):
    served += bucket.acquire("known")
    flood(bucket, 10_000)
    moment[0] += 100_000_000
grown = resident() - before
print(turn + 1, served, bucket.full, grown, 4096 + 16 * (2 * CAPACITY + 128))
"""


@pytest.mark.unsanitized
def test_a_flood_of_keys() -> None:
    """Random keys fill the table to its size and no further; who was there before keeps its limit."""
    done = subprocess.run(
        [sys.executable, "-c", _FLOOD, str(KEYS)], capture_output=True, text=True, check=True, timeout=600
    )
    turns, served, full, grown, cap = map(int, done.stdout.split())
    print(f"{turns * 10_000} keys, {full} found no room, {grown} bytes of memory, {cap} for the table")
    model = TokenBucketModel(Fraction(1), 20)
    assert served == sum(model.take(Fraction(turn, 10), 1) for turn in range(turns))
    assert full > KEYS // 2
    # Python's own memory moves by some pages; nothing grows with the keys.
    assert grown <= cap + (1 << 18)
