"""What is used for hours takes no more memory than what is used for a minute."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Final

import pytest

from sigil_native import KeyRing, SigilCodec, TokenBucket, canonicalize_json

pytestmark = [pytest.mark.heavy, pytest.mark.unsanitized, pytest.mark.timeout(600)]

_ROUNDS: Final = 10
_CALLS: Final = 100_000
_ALLOWED_BYTES: Final = 1 << 20


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def test_a_million_seals() -> None:
    """Sealing, verifying and decoding a million events of ever new tenants leaves nothing behind."""
    ring = KeyRing()
    ring.add("correct horse battery staple, thrice")
    codec = SigilCodec(ring)
    after = []
    for round_ in range(_ROUNDS):
        for number in range(_CALLS):
            # More tenants than keys are kept for.
            tenant = f"tenant-{number % 5000}"
            event = {"number": number, "text": f"event {number}", "round": round_}
            sigil = codec.encode(event, tenant=tenant)
            codec.verify(sigil, event, tenant=tenant)
            codec.decode(sigil)
            canonicalize_json(b'{"b":%d,"a":[1,2,3]}' % number)
        after.append(_resident())
    assert after[-1] - after[1] < _ALLOWED_BYTES, after


def test_a_million_keys_that_come_and_go() -> None:
    """A table that is far smaller than the number of keys it sees does not grow, and goes on limiting."""
    bucket = TokenBucket(rate=1000.0, burst=1, capacity=1 << 14)
    after = []
    for round_ in range(_ROUNDS):
        for start in range(0, _CALLS, 1000):
            bucket.acquire_many([f"{round_}:{number}" for number in range(start, start + 1000)])
        assert bucket.acquire(f"known-{round_}")
        assert not bucket.acquire(f"known-{round_}") or not bucket.acquire(f"known-{round_}")
        after.append(_resident())
    assert after[-1] - after[1] < _ALLOWED_BYTES, after
