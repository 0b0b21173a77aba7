"""Batches that are answered without a task, beside the same through ASGI."""

from __future__ import annotations

import asyncio

import pytest

from app.http.lines import MOST_LINES
from core import sealed_records, time_slices
from tests.service.api.both_ways import BURST, BothWays, begun, known
from tests.service.api.in_process import InProcess
from tests.service.running import SIGILS

BATCH = f"{SIGILS}/batch"
LINES = {"Content-Type": "application/x-ndjson"}

GOOD = b'{"data":{"n":1}}\n'
BODIES = {
    "plain": GOOD * 3,
    "lifetimes": b'{"data":{},"expires_in":60}\n{"data":{},"expires_in":1e99}\n' + GOOD,
    "read by hand": b'{"expires_in":60,"data":{"b":1.50,"a":"\\u00e9"}}\r\n {"data" : {}}',
    "bad": b'1\n\n{"data":[]}\n{"data":{"a":1,"a":2}}\n{"data":{}, "x":1}\n\xff\n' + GOOD,
    "nothing but bad": b"1\n2\n",
    "empty": b"",
    "blank": b"\n \r\n",
    "too many": GOOD * (MOST_LINES + 1),
    "more than is left": GOOD * BURST + GOOD,
}


async def test_both_ways(both_ways: BothWays) -> None:
    """Answers, limits, what is audited and what is counted are the same, again and again."""
    for number, (name, body) in enumerate(BODIES.items()):
        print(name)  # shown where it fails
        await both_ways.begin(f"tenant-{number}")
        for _ in range(3):
            await both_ways.ask(BATCH, (body, body), LINES)
    await both_ways.end()


async def test_what_is_left_to_asgi(limited: InProcess) -> None:
    """Streams, other types, keys and callers who are not known are left alone, and nothing is counted."""
    token = await known(limited, "acme")
    assert begun(limited, BATCH + "?stream=true", GOOD, token, LINES) is None
    assert begun(limited, BATCH, GOOD, token, {"Content-Type": "application/json"}) is None
    assert begun(limited, BATCH, GOOD, token, LINES | {"Content-Encoding": "gzip"}) is None
    assert begun(limited, BATCH, GOOD, token, LINES | {"Idempotency-Key": "k"}) is None
    assert begun(limited, BATCH, GOOD, limited.token("acme", subject="new"), LINES) is None
    verifier = limited.token("acme", "sigil:verify", subject="reader")
    await limited.call("GET", SIGILS, token=verifier)
    assert begun(limited, BATCH, GOOD, verifier, LINES) is None
    whole = begun(limited, BATCH, GOOD, token, LINES)
    assert whole is not None
    assert (
        int((await whole.answer).headers["x-ratelimit-remaining"]) == BURST - 2
    )  # who asked for the list before


async def test_others_get_their_turn(limited: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose time slice is over lets others run, and goes on without a task."""
    token = await known(limited, "acme")
    monkeypatch.setattr(time_slices, "_SLICE_SECONDS", 0)
    monkeypatch.setattr(sealed_records, "_LINES_A_PIECE", 1)
    whole = begun(limited, BATCH, GOOD * 5 + b"1\n" * 5, token, LINES)
    assert whole is not None
    turns = 0
    async with asyncio.timeout(20):
        while not whole.answer.done():
            await asyncio.sleep(0)
            turns += 1
    assert turns > 15  # each piece and each line that is read by hand; each piece of the answer
    assert whole.answer.result().body.count(b"\n") == 10
