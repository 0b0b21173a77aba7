"""Batches that are answered without a task, beside the same through ASGI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.http.context import Context
from app.http.lines import MOST_LINES
from app.limits.limits import rate_limits_from
from app.metrics.observers import Observers
from app.server.known_heads import KnownHead
from core import sealed_records, time_slices
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.rate_settings import RateSettings
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import SECRET, lines
from tests.service.running import SIGILS, Answer

BATCH = f"{SIGILS}/batch"
HEADERS = {"Content-Type": "application/x-ndjson", "X-Request-Id": "mine"}
BURST = 20
#: What differs between two answers that are the same.
OWN = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"sigil":"[^"]+"|\d{4}-\d\d-\d\dT[^"]+Z')
#: Headers that tell seconds, or the length of a body with another number of digits in it.
UNSTEADY = {"ratelimit", "retry-after", "x-ratelimit-reset", "content-length"}
#: What lines of the audit log say that does not differ.
AUDITED = ("event", "issuer", "subject", "request_id", "sealing_key", "limit", "route", "reason")

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


class Whole:
    """A request that came whole; keeps what is written."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.head = KnownHead(scope, len(body))
        self.scope: Any = {**scope, "extensions": {}}
        self.whole_body = body
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def write_answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Keep it."""
        headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
        assert len(headers) == lines.count(b"\r\n"), "a header is there twice"
        self.answer.set_result(Answer(status, headers, body))

    async def receive(self) -> Any:
        """Nothing is asked for here."""
        raise AssertionError


def steady(answer: Answer) -> dict[str, str]:
    """Those of an answer's headers that are the same in another second."""
    return {name: value for name, value in answer.headers.items() if name not in UNSTEADY}


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[AuditLog]:
    """An audit log that the application must have."""
    audit = AuditLog(AuditFile(tmp_path / "audit.jsonl", SECRET), required=True)
    yield audit
    await audit.close()


@pytest.fixture
async def inside(tmp_path: Path, audit: AuditLog) -> AsyncIterator[InProcess]:
    """The application with limits."""
    settings = RateSettings.model_validate({"SIGIL_RATE_LIMIT": BURST, "SIGIL_RATE_WINDOW": 86400})
    limits = rate_limits_from(settings, None, audit, Observers().limits)
    application = InProcess(tmp_path, audit, rate_limits=limits)
    async with application.lifespan():
        yield application


def begun(inside: InProcess, body: bytes, token: str, path: str = BATCH, **headers: str) -> Whole | None:
    """A request that is answered without a task; None if that is no way for it."""
    whole = Whole(inside.scope("POST", path, len(body), token=token, headers={**HEADERS, **headers}), body)
    return whole if inside.app.prompt(whole) else None


async def known(inside: InProcess, tenant: str) -> str:
    """A token that was seen before."""
    token = inside.token(tenant)
    assert (await inside.call("GET", SIGILS, token=token)).status == 200
    return token


@pytest.mark.parametrize("name", BODIES)
async def test_both_ways(
    inside: InProcess, audit: AuditLog, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers, limits, what is audited and what is counted are the same, again and again."""
    counted: list[tuple[Any, ...]] = []

    def done(context: Context, _: float) -> None:
        counted.append((context.status, context.problem, context.items, context.outcomes))

    monkeypatch.setattr(inside.app, "on_done", done)
    body = BODIES[name]
    by_asgi, by_hand = await known(inside, "acme-asgi"), await known(inside, "acme-prompt")
    counted.clear()
    for _ in range(3):
        usual = await inside.call("POST", BATCH, body, token=by_asgi, headers=HEADERS)
        whole = begun(inside, body, by_hand)
        assert whole is not None
        prompt = await whole.answer
        assert prompt.status == usual.status
        assert OWN.sub("", prompt.body.decode()) == OWN.sub("", usual.body.decode())
        assert prompt.headers.keys() == usual.headers.keys()
        assert steady(prompt) == steady(usual)
        assert counted.pop() == counted.pop()
    await audit.close()
    noted: dict[str, list[Any]] = {"acme-asgi": [], "acme-prompt": []}
    for line in lines(tmp_path / "audit.jsonl"):
        if line.get("tenant") in noted:
            noted[line["tenant"]].append([line.get(name) for name in AUDITED])
    assert noted["acme-asgi"] == noted["acme-prompt"]


async def test_what_is_left_to_asgi(inside: InProcess) -> None:
    """Streams, other types, keys and callers who are not known are left alone, and nothing is counted."""
    token = await known(inside, "acme")
    assert begun(inside, GOOD, token, BATCH + "?stream=true") is None
    assert begun(inside, GOOD, token, **{"Content-Type": "application/json"}) is None
    assert begun(inside, GOOD, token, **{"Content-Encoding": "gzip"}) is None
    assert begun(inside, GOOD, token, **{"Idempotency-Key": "k"}) is None
    assert begun(inside, GOOD, inside.token("acme", subject="new")) is None
    verifier = inside.token("acme", "sigil:verify", subject="reader")
    await inside.call("GET", SIGILS, token=verifier)
    assert begun(inside, GOOD, verifier) is None
    whole = begun(inside, GOOD, token)
    assert whole is not None
    assert (
        int((await whole.answer).headers["x-ratelimit-remaining"]) == BURST - 2
    )  # who asked for the list before


async def test_others_get_their_turn(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose time slice is over lets others run, and goes on without a task."""
    token = await known(inside, "acme")
    monkeypatch.setattr(time_slices, "_SLICE_SECONDS", 0)
    monkeypatch.setattr(sealed_records, "_LINES_A_PIECE", 1)
    whole = begun(inside, GOOD * 5 + b"1\n" * 5, token)
    assert whole is not None
    turns = 0
    async with asyncio.timeout(20):
        while not whole.answer.done():
            await asyncio.sleep(0)
            turns += 1
    assert turns > 15  # each piece and each line that is read by hand; each piece of the answer
    assert whole.answer.result().body.count(b"\n") == 10
