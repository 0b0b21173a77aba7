"""Batches of one tenant beside single calls of another: they share an audit log that everybody must have."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from core.audit.file import AuditFile
from core.audit.log import AuditLog
from tests.service.api.both_ways import begun, known
from tests.service.api.in_process import InProcess
from tests.service.api.test_streamed_batches import Exchange
from tests.service.audit.audits import SECRET, faults, lines
from tests.service.running import SIGILS, Answer

ENCODE = f"{SIGILS}/batch"
VERIFY = f"{SIGILS}/verify/batch"
LINES = {"Content-Type": "application/x-ndjson"}
#: Lines of a batch; a log has room for those of three, and for as many of single calls.
COUNT = 100


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[AuditLog]:
    """A small audit log."""
    audit = AuditLog(
        AuditFile(tmp_path / "audit.jsonl", SECRET), required=True, patience=60, most_waiting=6 * COUNT
    )
    audit.wait_until_tried()
    yield audit
    await audit.close()


@pytest.fixture
async def inside(
    tmp_path: Path, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[InProcess]:
    """The application with this log, and batches as small."""
    monkeypatch.setattr("app.api.prompt_batches.MOST_LINES", COUNT)
    application = InProcess(tmp_path, audit)
    async with application.lifespan():
        yield application


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for is done by threads
            await asyncio.sleep(0.005)


def of(events: list[dict[str, object]], tenant: str) -> Counter[object]:
    """How many lines of a tenant there are, by their events."""
    return Counter(line["event"] for line in events if line.get("tenant") == tenant)


async def prompt(inside: InProcess, path: str, body: bytes, token: str, headers: dict[str, str]) -> Answer:
    """The answer that is given without a task."""
    whole = begun(inside, path, body, token, headers)
    assert whole is not None
    return await whole.answer


async def test_single_calls_are_answered(inside: InProcess, audit: AuditLog, tmp_path: Path) -> None:
    """While batches fill their part of the queue, others wait for it unsealed; single calls find room."""
    token, other = await known(inside, "acme"), await known(inside, "globex")
    body = b'{"data":{"n":1}}\n' * COUNT
    sealed = (await inside.call("POST", SIGILS, {"data": {}}, token=other)).json
    judged = {"sigil": sealed["sigil"], "data": {}}
    foreign = json.dumps(judged).encode() + b"\n"
    file = tmp_path / "audit.jsonl"
    with file.with_name("audit.jsonl.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asked = [
            asyncio.create_task(prompt(inside, ENCODE, body, token, LINES)),
            asyncio.create_task(inside.call("POST", ENCODE, body, token=token, headers=LINES)),
            asyncio.create_task(prompt(inside, VERIFY, foreign * COUNT, token, LINES)),
        ]
        await until(lambda: audit.waiting == 3 * COUNT)
        assert begun(inside, ENCODE, body, token, LINES) is None  # it needs a task to wait in
        asked += [
            asyncio.create_task(inside.call("POST", path, text, token=token, headers=LINES))
            for path, text in ((ENCODE, body), (VERIFY, foreign * COUNT), (ENCODE, body), (VERIFY, foreign))
        ]
        stream = asyncio.create_task(Exchange(inside, ENCODE + "?stream=true", [body, body]).run())
        single, verification = json.dumps({"data": {}}).encode(), json.dumps(judged).encode()
        plain = {"Content-Type": "application/json"}
        singles = [
            asyncio.create_task(prompt(inside, SIGILS, single, other, plain)),
            asyncio.create_task(prompt(inside, f"{SIGILS}/verify", verification, other, plain)),
            asyncio.create_task(inside.call("POST", SIGILS, {"data": {}}, token=other)),
            asyncio.create_task(inside.call("POST", f"{SIGILS}/verify", judged, token=other)),
            asyncio.create_task(
                inside.call("POST", f"{SIGILS}/{sealed['id']}/revoke", {"reason": "x"}, token=other)
            ),
        ]
        await until(lambda: audit.waiting == 3 * COUNT + len(singles))
        assert audit.condition == "ok"
        assert len(await stored(inside)) == 2 * COUNT + 3
    answers = await asyncio.gather(*asked, *singles)
    assert {answer.status for answer in answers} == {200, 201}
    assert len((await stream).answers) == 2 * COUNT + 1
    await audit.close()
    noted = lines(file)
    assert of(noted, "acme") == {"sigil.encoded": 6 * COUNT, "sigil.verified": 2 * COUNT + 1}
    assert of(noted, "globex") == {"sigil.encoded": 3, "sigil.verified": 2, "sigil.revoked": 1}
    assert faults([file]) == []


async def stored(inside: InProcess) -> list[object]:
    """The records that the store has."""
    with inside.store._database.reading.connect() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM sigils"))


async def test_a_caller_who_goes_away(inside: InProcess, audit: AuditLog, tmp_path: Path) -> None:
    """What a batch does for a caller who has gone keeps its places until its lines are written."""
    token = await known(inside, "acme")
    body = b'{"data":{"n":1}}\n' * COUNT
    with (tmp_path / "audit.jsonl.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        calls = [
            asyncio.create_task(inside.call("POST", ENCODE, body, token=token, headers=LINES))
            for _ in range(4)
        ]
        await until(lambda: audit.waiting == 3 * COUNT)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert not audit.has_places(1)
    await until(lambda: audit.has_places(3 * COUNT))
    assert len(await stored(inside)) == 3 * COUNT


async def test_a_piece_that_finds_no_room(
    inside: InProcess, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that has waited in vain is broken off with nothing done of the piece; a batch is refused."""
    await known(inside, "acme")
    monkeypatch.setattr(audit._places, "_patience", 0.0)
    set_aside = audit.set_aside
    pieces: list[int] = []

    async def taking(count: int) -> None:
        if pieces:
            await set_aside(3 * COUNT)  # somebody else was quicker
        pieces.append(count)
        await set_aside(count)

    monkeypatch.setattr(audit, "set_aside", taking)
    body = b'{"data":{"n":1}}\n' * COUNT
    stream = await Exchange(inside, ENCODE + "?stream=true", [body, body]).run()
    *answers, last = stream.answers
    why = last["broken_off"]
    assert (len(answers), last["line"], why["status"], why["code"]) == (100, 101, 503, "audit_unavailable")
    assert last["retry_after"] == 1
    monkeypatch.setattr(audit, "set_aside", set_aside)
    token = inside.token("acme")
    refused = await inside.call("POST", VERIFY, b'{"sigil":"x","data":{}}', token=token, headers=LINES)
    assert (refused.status, refused.json["code"]) == (503, "audit_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert len(await stored(inside)) == COUNT
    assert audit.condition == "ok"
    assert (await inside.call("POST", SIGILS, {"data": {}}, token=token)).status == 201


async def test_flood(inside: InProcess, audit: AuditLog) -> None:
    """While ten times what the queue holds comes from one tenant, all calls of another are answered."""
    token, other = await known(inside, "acme"), await known(inside, "globex")
    sealed = (await inside.call("POST", SIGILS, {"data": {}}, token=other)).json
    judged = {"sigil": sealed["sigil"], "data": {}}
    line = json.dumps(judged).encode() + b"\n"
    bodies = ((ENCODE, b'{"data":{}}\n' * COUNT), (VERIFY, line * COUNT))
    batches = [
        asyncio.create_task(inside.call("POST", path, body, token=token, headers=LINES))
        for path, body in bodies * 30
    ]
    calls: list[tuple[str, object]] = [(SIGILS, {"data": {}}), (f"{SIGILS}/verify", judged)]
    singles: Counter[int] = Counter()
    while not all(batch.done() for batch in batches):
        for path, body in calls:
            singles[(await inside.call("POST", path, body, token=other)).status] += 1
        if len(batches) < 100:  # without a task, where there is room for it now
            begun_now = [begun(inside, path, text, token, LINES) for path, text in bodies]
            batches += [asyncio.ensure_future(whole.answer) for whole in begun_now if whole is not None]
    assert singles.keys() == {200, 201}
    assert {batch.result().status for batch in batches} == {200}
    assert audit.has_places(3 * COUNT)
