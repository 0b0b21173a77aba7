"""The DNAStore's client: requests that writes share, bounds, deadlines, retries and the breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from core.breaker import State
from core.dnastore.client import DnaStoreClient
from core.dnastore.wire import WireRecord, WriteReply, WriteResult
from core.errors import (
    DomainError,
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    InvalidRecordError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.store.observation import NoStoreObserver
from tests.service.dnastore.scripted import (
    Request,
    Scripted,
    answer,
    answer_all,
    client_of,
    done,
    files_of,
    lines,
    problem,
    writes_of,
)
from tests.service.server.tls_files import Authority
from tests.service.store.store_records import record, record_id

Connect = Callable[..., DnaStoreClient]


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


@pytest.fixture
async def connect(stage: Scripted, authority: Authority) -> AsyncIterator[Connect]:
    """Makes clients of the DNAStore that are closed after the test."""
    made: list[DnaStoreClient] = []

    def make(**options: Any) -> DnaStoreClient:
        made.append(client_of(stage.url, files_of(authority), **options))
        return made[-1]

    yield make
    for client in made:
        await client.close()


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - it holds in another place
            await asyncio.sleep(0.005)


async def silent(_: Request) -> bytes:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_writes_share_requests(stage: Scripted, connect: Connect) -> None:
    """Writes that come while others are under way go together; each is sent once, in order."""
    client = connect(connections=2)
    await asyncio.gather(*(client.put([record(number)]) for number in range(500)))
    sent = [write.records[0].issued_at_ms for one in stage.requests for write in writes_of(one)]
    assert sorted(sent) == list(range(500))
    assert len(stage.requests) <= 4
    assert stage.connections <= 2


async def test_a_write_fails_alone(stage: Scripted, connect: Connect) -> None:
    """Of writes that share a request, each has its own outcome."""
    outcomes: dict[Any, type[DomainError] | None] = {
        "done": None,
        "duplicate": DuplicateRecordError,
        "invalid": InvalidRecordError,
        "key_reused": IdempotencyKeyReusedError,
        "forbidden": StoreUnavailableError,
        "unavailable": StoreUnavailableError,
        "overloaded": StoreOverloadedError,
        "not_found": StoreUnavailableError,
    }

    async def script(request: Request) -> bytes:
        results = [WriteResult(list(outcomes)[write.records[0].issued_at_ms]) for write in writes_of(request)]
        return answer(200, msgspec.json.encode(WriteReply(results)))

    stage.script = script
    client = connect(connections=1)
    found = await asyncio.gather(
        *(client.put([record(number)]) for number in range(len(outcomes))), return_exceptions=True
    )
    assert [None if one is None else type(one) for one in found] == list(outcomes.values())
    assert len(stage.requests) == 1


async def test_a_request_that_is_refused_is_halved(stage: Scripted, connect: Connect) -> None:
    """A request that the DNAStore refuses as a whole costs nobody anything but the write that is at fault."""

    async def script(request: Request) -> bytes:
        if any(write.records[0].issued_at_ms == 13 for write in writes_of(request)):
            return problem(413, "too_large")
        return done(request)

    stage.script = script
    client = connect(connections=1)
    found = await asyncio.gather(*(client.put([record(one)]) for one in range(30)), return_exceptions=True)
    assert [number for number, one in enumerate(found) if one is not None] == [13]
    assert isinstance(found[13], InvalidRecordError)


async def test_bounded_requests(stage: Scripted, connect: Connect) -> None:
    """No request has more than about 8 MiB, however much waits."""
    client = connect(connections=1)
    payload = b'"' + b"x" * (3 << 20) + b'"'
    await asyncio.gather(*(client.put([record(number, payload=payload)]) for number in range(5)))
    assert [len(writes_of(one)) for one in stage.requests] == [2, 2, 1]


async def test_too_many_writes(stage: Scripted, connect: Connect) -> None:
    """When too many wait, the next is refused at once, and those that wait are kept."""
    release = asyncio.Event()

    async def script(request: Request) -> bytes:
        await release.wait()
        return done(request)

    stage.script = script
    client = connect(connections=1, max_waiting=3)
    first = asyncio.create_task(client.put([record(0)]))
    await eventually(lambda: len(stage.requests) == 1)
    waiting = [asyncio.create_task(client.put([record(number)])) for number in range(1, 4)]
    await asyncio.sleep(0)
    with pytest.raises(StoreOverloadedError):
        await client.put([record(4)])
    release.set()
    await asyncio.gather(first, *waiting)
    await client.put([record(5)])


async def test_too_many_reads(stage: Scripted, connect: Connect) -> None:
    """So many reads go at once, so many wait, together, and the next is refused at once."""
    release = asyncio.Event()

    async def script(request: Request) -> bytes:
        await release.wait()
        if request.path == "/v1/lookups":
            return lines(record(3))
        return answer(200, b"{}") if request.path == "/v1/counts" else await answer_all(request)

    stage.script = script
    client = connect(connections=1, max_waiting=3)
    reads = []
    for number in range(2):
        reads.append(asyncio.create_task(client.get("acme", record_id(number))))
        await eventually(lambda: len(stage.requests) == len(reads))
    reads += [asyncio.create_task(client.get("acme", record_id(number))) for number in range(2, 5)]
    await asyncio.sleep(0)
    with pytest.raises(StoreOverloadedError):
        await client.get("acme", record_id(5))
    counts = [asyncio.create_task(client.count()) for _ in range(7)]
    await eventually(lambda: len(stage.requests) == 2 + 4)
    with pytest.raises(StoreOverloadedError):
        await client.count()
    release.set()
    assert await asyncio.gather(*reads) == [None, None, None, record(3), None]
    await asyncio.gather(*counts)
    assert [one.path for one in stage.requests].count("/v1/lookups") == 1


async def test_a_cancelled_caller_takes_nothing_back(stage: Scripted, connect: Connect) -> None:
    """A write whose caller gives up is sent all the same, and disturbs no other."""
    client = connect(connections=1)
    tasks = [asyncio.create_task(client.put([record(number)])) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(len(writes_of(one)) for one in stage.requests) == 3
    assert not tasks[0].exception()
    assert not tasks[2].exception()


async def test_put_once_and_revoke(stage: Scripted, connect: Connect) -> None:
    """Outcomes with records become them; those without one that should have one are no answers."""
    kept = msgspec.structs.replace(record(1), payload=None)
    revoked = msgspec.structs.replace(kept, revoked_at_ms=5, revoked_by="me", revoked_reason="why")
    result = WriteResult("done", WireRecord.of(kept))

    async def script(request: Request) -> bytes:
        return answer(200, msgspec.json.encode(WriteReply([result])))

    stage.script = script
    client = connect()
    claim = Claim(bytes(32), bytes(32))
    assert await client.put_once(record(1), claim) == record(1)
    assert await client.put_once(record(2), claim) == kept
    result = WriteResult("done", WireRecord.of(revoked))
    assert await client.revoke("acme", kept.id, reason="why", revoked_by="me", now_ms=5) == revoked
    result = WriteResult("not_found")
    assert await client.revoke("acme", kept.id, reason="why", revoked_by="me", now_ms=5) is None
    for strange in (
        WriteResult("done"),
        WriteResult("done", WireRecord.of(kept)),
        WriteResult("done", WireRecord.of(msgspec.structs.replace(revoked, tenant="other"))),
        WriteResult("done", WireRecord.of(msgspec.structs.replace(revoked, id=record_id(9)))),
    ):
        result = strange
        with pytest.raises(StoreUnavailableError, match="invalid_answer"):
            await client.revoke("acme", kept.id, reason="why", revoked_by="me", now_ms=5)


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
    assert 0.45 < took < 2, took
    assert len(stage.requests) >= 6


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


async def test_long_listings_are_asked_for_in_pieces(stage: Scripted, connect: Connect) -> None:
    """More records than a request may have come all the same, in order, and likewise of those looked up."""
    bare = [msgspec.structs.replace(record(number), payload=None) for number in range(1500)]

    async def script(request: Request) -> bytes:
        if request.path == "/v1/lookups":
            ids = set(msgspec.json.decode(request.body)["ids"])
            return lines(*(one for one in bare if one.id in ids))
        query = dict(part.split("=") for part in request.path.partition("?")[2].split("&"))
        below = [one for one in reversed(bare) if one.id < query.get("before", "g")]
        return lines(*below[: int(query["limit"])])

    stage.script = script
    client = connect()
    listing = await client.list("acme", limit=1400, before=None, status=None, now_ms=0)
    assert listing.records == bare[:99:-1]
    found = await client.get_many("acme", [one.id for one in bare] + [record_id(9999)])
    assert found == {one.id: one for one in bare}
    assert len(stage.requests) == 4


async def test_close_finishes_what_was_accepted(stage: Scripted, connect: Connect) -> None:
    """Writes and reads that were accepted are finished, and afterwards everything is refused."""
    client = connect(connections=1)
    calls = [asyncio.create_task(client.put([record(number)])) for number in range(10)]
    calls.append(asyncio.create_task(client.probe()))
    await asyncio.sleep(0)
    await client.close()
    await asyncio.gather(*calls[:10])
    await asyncio.gather(calls[10], return_exceptions=True)
    for call in (client.put([record(1)]), client.get("acme", record_id(1)), client.probe()):
        with pytest.raises(StoreUnavailableError, match="closed"):
            await call
    await client.close()


async def test_nobody_there(authority: Authority) -> None:
    """A port on which nobody listens is an unavailable store, in time."""
    client = client_of("https://127.0.0.1:1", files_of(authority), timeout=0.3)
    with pytest.raises(StoreUnavailableError) as raised:
        await client.put([record(1)])
    assert raised.value.reason in {"timeout", "connection", "open"}
    await client.close()


async def test_what_cannot_be_sent(stage: Scripted, connect: Connect) -> None:
    """A record that JSON cannot hold, and a write of too many records, are refused before they are sent."""
    client = connect()
    with pytest.raises(InvalidRecordError):
        await client.put([msgspec.structs.replace(record(1), created_by="\ud800")])
    with pytest.raises(InvalidRecordError):
        await client.put([record(number) for number in range(2001)])
    await client.put([])
    assert stage.requests == []
