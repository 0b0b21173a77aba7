"""The DNAStore's client while something is wrong: deadlines, retries and the breaker."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from core.breaker import State
from core.dnastore.wire import WriteReply, WriteResult
from core.errors import StoreOverloadedError, StoreUnavailableError
from core.store.observation import NoStoreObserver
from tests.service.dnastore.scripted import (
    Connect,
    Request,
    Scripted,
    answer,
    answer_all,
    client_of,
    done,
    eventually,
    files_of,
    problem,
)
from tests.service.server.tls_files import Authority
from tests.service.store.store_records import record, record_id


class Observer(NoStoreObserver):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int | None]] = []
        self.states: list[State] = []

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """See StoreObserver."""
        assert seconds >= 0
        self.requests.append((method, status))

    def circuit_is(self, state: State) -> None:
        """See StoreObserver."""
        self.states.append(state)


async def silent(_: Request) -> bytes:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(_: Request) -> None:
    """Close the connection instead of answering."""


@pytest.mark.parametrize("trouble", ["closed", "503", "cut off", "all unavailable"])
async def test_again_where_that_helps(stage: Scripted, connect: Connect, trouble: str) -> None:
    """A connection that breaks, and a DNAStore that cannot for a moment, cost the caller nothing but time."""
    troubles = {
        "closed": None,
        "503": problem(503, "store_unavailable", "Retry-After: 0\r\n"),
        "cut off": answer(200, b"{}")[:-1] + b"",
        "all unavailable": answer(200, msgspec.json.encode(WriteReply([WriteResult("unavailable")]))),
    }
    turns = iter([True, True, False])

    async def script(request: Request) -> bytes | None:
        if next(turns):
            told = troubles[trouble]
            return told if trouble != "cut off" else None
        return done(request)

    stage.script = script
    await connect().put([record(1)])
    assert len(stage.requests) == 3


@pytest.mark.parametrize("status", [301, 400, 403, 404, 409, 500])
async def test_once_where_nothing_helps(stage: Scripted, connect: Connect, status: int) -> None:
    """What will be the same next time is asked once."""

    async def script(_: Request) -> bytes:
        return problem(status, "whatever", "Location: /elsewhere\r\n")

    stage.script = script
    with pytest.raises(StoreUnavailableError):
        await connect().get("acme", record_id(1))
    assert len(stage.requests) == 1


async def test_retry_after_is_honoured(stage: Scripted, connect: Connect) -> None:
    """Who asks for more time than there is, is not asked again; the caller is told for how long."""

    async def script(_: Request) -> bytes:
        return problem(503, "store_overloaded", "Retry-After: 7\r\n")

    stage.script = script
    client = connect()
    with pytest.raises(StoreOverloadedError):
        await client.get("acme", record_id(1))
    assert len(stage.requests) == 1

    async def unavailable(_: Request) -> bytes:
        return problem(503, "store_unavailable", "Retry-After: 7\r\n")

    stage.script = unavailable
    with pytest.raises(StoreUnavailableError) as raised:
        await client.probe()
    assert (raised.value.reason, raised.value.retry_after) == ("refused", 7)


async def test_deadline_against_silence(stage: Scripted, connect: Connect) -> None:
    """A DNAStore that never answers is asked again, and every call ends by its deadline."""
    stage.script = silent
    client = connect(timeout=0.5, breaker_failures=1000, connections=1)
    began = time.monotonic()
    found = await asyncio.gather(
        client.put([record(1)]), client.get("acme", record_id(1)), client.probe(), return_exceptions=True
    )
    took = time.monotonic() - began
    assert [getattr(one, "reason", None) for one in found] == ["timeout"] * 3
    assert 0.45 < took < 5, took
    assert len(stage.requests) > 3  # how many, a busy machine decides


async def test_a_stream_that_never_ends(stage: Scripted, connect: Connect) -> None:
    """Whoever keeps a call busy, byte by byte, keeps it no longer than its deadline, and that counts."""
    observer = Observer()
    client = connect(timeout=0.3, breaker_failures=1, observer=observer)
    head = b"HTTP/1.1 200 x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await asyncio.sleep(0.02)

    stage.serve = drip  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError, match="timeout"):
        await client.list("acme", limit=1, before=None, status=None, now_ms=0)
    assert observer.states[:2] == ["closed", "open"]


async def test_breaker(stage: Scripted, connect: Connect) -> None:
    """After failures in a row only probes are sent, one at a time, until one succeeds, whoever calls."""
    observer = Observer()

    async def broken(_: Request) -> bytes:
        return problem(500, "internal")

    stage.script = broken
    client = connect(breaker_failures=3, breaker_pause=0.1, observer=observer)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="refused"):
            await client.get("acme", record_id(1))
    asked = len(stage.requests)
    assert asked == 3
    for call in (client.get("acme", record_id(1)), client.put([record(1)]), client.probe()):
        with pytest.raises(StoreUnavailableError, match="open") as raised:
            await call
        assert raised.value.retry_after == 1
    assert len(stage.requests) == asked
    await eventually(lambda: len(stage.requests) >= asked + 2)
    assert {(one.method, one.path) for one in stage.requests[asked:]} == {("POST", "/v1/probe")}
    stage.script = answer_all
    await eventually(lambda: observer.states[-1] == "closed")
    assert await client.get("acme", record_id(1)) is None
    assert observer.states[:4] == ["closed", "open", "half_open", "open"]
    assert observer.requests[0] == ("GET", 500)
    assert observer.requests[-1] == ("GET", 404)


async def test_what_is_refused_does_not_open(stage: Scripted, connect: Connect) -> None:
    """A DNAStore that refuses requests is well, and so is one whose record is damaged."""
    client = connect(breaker_failures=1)
    for status in (400, 403, 404, 409, 413):

        async def script(_: Request, status: int = status) -> bytes:
            return problem(status, "whatever")

        stage.script = script
        with pytest.raises(StoreUnavailableError) as raised:
            await client.get("acme", record_id(1))
        assert raised.value.reason == ("forbidden" if status == 403 else "refused")


async def test_nobody_there(authority: Authority) -> None:
    """A port on which nobody listens is an unavailable store, in time."""
    client = client_of("https://127.0.0.1:1", files_of(authority), timeout=0.3)
    with pytest.raises(StoreUnavailableError) as raised:
        await client.put([record(1)])
    assert raised.value.reason in {"timeout", "connection", "open"}
    await client.close()


async def test_nobody_waits_for_an_open_breaker(stage: Scripted, connect: Connect) -> None:
    """The call whose failure opens the breaker ends there, and does not wait to be refused."""
    stage.script = hang_up
    client = connect(breaker_failures=2, breaker_pause=60, timeout=30)
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailableError, match="connection"):
            await client.put([record(1)])
    assert len(stage.requests) == 2
