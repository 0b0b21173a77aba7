"""Answers that no DNAStore gives: the caller hears that the store is unavailable, and never anything else."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest

from core.dnastore.client import DnaStoreClient
from core.dnastore.wire import Line, WireRecord, WriteReply, WriteResult
from core.errors import DomainError, RecordCorruptError, StoreUnavailableError
from core.records import Entry, Place, Record, id_of
from tests.heavy import HEAVY
from tests.service.dnastore.scripted import Request, Scripted, answer, client_of, files_of, lines, problem
from tests.service.server.tls_files import Authority
from tests.service.store.store_records import record, record_id

BARE = msgspec.structs.replace(record(5), payload=None)
ENTRY = Entry("acme", "c" * 32, 7, "sealed", record_id(5), 1, "", "sgl1_x")

Call = Callable[[DnaStoreClient], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "put": lambda client: client.put([record(1)]),
    "get": lambda client: client.get("acme", record_id(5)),
    "get_many": lambda client: client.get_many("acme", [record_id(5), record_id(6)]),
    "list": lambda client: client.list("acme", limit=2, before=record_id(9), status="active", now_ms=10),
    "entries": lambda client: client.entries("acme", after=Place("c" * 32, 5), limit=2),
    "count": lambda client: client.count(),
    "purge": lambda client: client.purge("acme", before=record_id(5), limit=10),
    "probe": lambda client: client.probe(),
    "revoke": lambda client: client.revoke("acme", record_id(5), reason="r", revoked_by="b", now_ms=1),
}


@pytest.fixture
async def client(stage: Scripted, authority: Authority) -> AsyncIterator[DnaStoreClient]:
    """A client that is patient with failures, and with a busy machine."""
    made = client_of(
        stage.url, files_of(authority), timeout=20, breaker_failures=1_000_000, largest_record=64 << 10
    )
    yield made
    await made.close()


@pytest.fixture
async def hasty(stage: Scripted, authority: Authority) -> AsyncIterator[DnaStoreClient]:
    """A client that is patient with failures, not with time."""
    made = client_of(stage.url, files_of(authority), timeout=0.3, breaker_failures=1_000_000)
    yield made
    await made.close()


async def refused(
    stage: Scripted, client: DnaStoreClient, call: str, answered: bytes | None, reason: str = "invalid_answer"
) -> None:
    """Hold a call to its one way out."""

    async def script(_: Request) -> bytes | None:
        return answered

    stage.script = script
    with pytest.raises(StoreUnavailableError) as raised:
        await CALLS[call](client)
    assert raised.value.reason == reason, call


def changed(**members: Any) -> Record:
    """A record that nobody has asked for."""
    return msgspec.structs.replace(BARE, **members)


@pytest.mark.parametrize("call", CALLS)
async def test_garbage(stage: Scripted, client: DnaStoreClient, call: str) -> None:
    """What is no HTTP, no JSON, of another type, compressed, redirected or of another kind is no answer."""
    deep = b"[" * 100_000
    for answered in (
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 x\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        answer(200, b"{}", "text/html"),
        answer(200, b"\xff\xfe", "application/json"),
        answer(200, deep, "application/json"),
        answer(200, deep + b"\n", "application/x-ndjson"),
        answer(200, b"[]", "application/json"),
        answer(200, b'{"end":1}\n', "application/x-ndjson"),
        answer(200, zlib.compress(bytes(1 << 20)), more="Content-Encoding: deflate\r\n"),
        answer(302, more="Location: https://127.0.0.1:1/\r\n"),
        answer(206, b"{}"),
        answer(404, b"<html>", "text/html"),
    ):
        await refused(stage, client, call, answered)
    await refused(stage, client, call, problem(403, "tenant_forbidden"), "forbidden")


async def test_404_of_somebody_else(stage: Scripted, client: DnaStoreClient) -> None:
    """Before it is known for a DNAStore, nobody's word that there is no record counts."""

    async def script(_: Request) -> bytes:
        return problem(404, "not_found")

    stage.script = script
    with pytest.raises(StoreUnavailableError):
        await client.get("acme", record_id(1))


@pytest.mark.parametrize(
    "sent",
    [
        changed(tenant="other", payload=b"{}"),
        changed(id=record_id(6), payload=b"{}"),
        changed(canonical_sha256=b"short", payload=b"{}"),
        changed(revoked_at_ms=3, payload=b"{}"),
        BARE,
    ],
)
async def test_another_record(stage: Scripted, client: DnaStoreClient, sent: Record) -> None:
    """Another tenant's record, another one, or half of one, is no answer to a question for one record."""
    await refused(stage, client, "get", answer(200, msgspec.json.encode(WireRecord.of(sent))))


async def test_damaged(stage: Scripted, client: DnaStoreClient) -> None:
    """A record that the DNAStore itself finds damaged is told as such."""
    damaged = lines(Line(damaged=record_id(5)))
    answered = {"get": problem(500, "record_corrupt"), "list": damaged, "get_many": damaged}

    async def script(_: Request) -> bytes:
        return answered[call]

    stage.script = script
    call = "get"
    with pytest.raises(RecordCorruptError):
        await CALLS[call](client)
    call = "list"
    listing = await client.list("acme", limit=2, before=record_id(9), status="active", now_ms=10)
    assert [(type(one), id_of(one)) for one in listing.records] == [(RecordCorruptError, record_id(5))]
    call = "get_many"
    found = await client.get_many("acme", [record_id(5)])
    assert isinstance(found[record_id(5)], RecordCorruptError)


@pytest.mark.parametrize(
    "answered",
    [
        lines(changed(tenant="other")),
        lines(changed(id=record_id(9))),
        lines(changed(id="x")),
        lines(changed(id=record_id(3)), changed(id=record_id(4))),
        lines(BARE, BARE),
        lines(BARE, changed(id=record_id(4)), changed(id=record_id(3))),
        lines(changed(revoked_at_ms=1, revoked_by="x", revoked_reason="x")),
        lines(record(5)),
        lines(Line()),
        lines(Line(entry=ENTRY)),
        answer(200, b'{"end":true}\n{"end":true}', "application/x-ndjson"),
        answer(200, b'{"end":true}\nx', "application/x-ndjson"),
        lines(Line(end=True), Line(end=True)),
        answer(200, b'{"damaged":"' + b"x" * (1 << 20) + b'"}\n', "application/x-ndjson"),
        answer(200, b"x" * (1 << 20), "application/x-ndjson"),
    ],
)
async def test_strange_listings(stage: Scripted, client: DnaStoreClient, answered: bytes) -> None:
    """Records of others, in another order, of another status, too many, twice, with payloads: no listing."""
    await refused(stage, client, "list", answered)


@pytest.mark.parametrize("call", ["list", "get_many", "entries"])
async def test_cut_off(stage: Scripted, hasty: DnaStoreClient, call: str) -> None:
    """A stream without its last line is not taken for whole, however well it ends."""
    one: Line | Record = Line(entry=ENTRY) if call == "entries" else BARE
    await refused(stage, hasty, call, lines(one, whole=False), "timeout")


async def test_strange_lookups(stage: Scripted, client: DnaStoreClient) -> None:
    """Records that were not asked for, or come twice, are no answer to a look-up."""
    for sent in ((changed(id=record_id(7)),), (BARE, BARE), (changed(tenant="other"),), (Line(),)):
        await refused(stage, client, "get_many", lines(*sent))
    await refused(stage, client, "get_many", lines(Line(damaged=record_id(7))))


async def test_strange_entries(stage: Scripted, client: DnaStoreClient) -> None:
    """Entries of others, of another place, in another order or too many are no history."""
    replace = msgspec.structs.replace
    first, second, third = ENTRY, replace(ENTRY, number=8), replace(ENTRY, number=9)
    for sent in (
        (replace(ENTRY, tenant="other"),),
        (replace(ENTRY, number=5),),
        (second, first),
        (first, second, third),
    ):
        await refused(stage, client, "entries", lines(*(Line(entry=one) for one in sent)))
    await refused(stage, client, "entries", lines(BARE))


async def test_strange_outcomes(stage: Scripted, client: DnaStoreClient) -> None:
    """Outcomes of more writes than there were, none, or of a kind that there is not, are none."""
    for results in ([], [WriteResult("done")] * 2):
        await refused(stage, client, "put", answer(200, msgspec.json.encode(WriteReply(results))))
    await refused(stage, client, "put", answer(200, b'{"results":[{"outcome":"perhaps"}]}'))
    await refused(stage, client, "purge", answer(200, b'{"purged":11}'))
    await refused(stage, client, "count", answer(200, b'{"acme":"many"}'))


async def test_endless(stage: Scripted, client: DnaStoreClient) -> None:
    """More bytes than an answer may have are not taken, announced or not."""
    announced = b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    for call in ("put", "get", "purge", "revoke", "count"):
        await refused(stage, client, call, announced)
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    chunked = b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    await refused(stage, client, "get", chunked + 4 * chunk)


async def test_noise(stage: Scripted, hasty: DnaStoreClient) -> None:
    """Whatever was changed in a good answer, the caller gets an error of the domain, or what it asked for."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    good = {
        "put": answer(200, msgspec.json.encode(WriteReply([WriteResult("done")]))),
        "get": answer(200, msgspec.json.encode(WireRecord.of(record(5)))),
        "list": lines(BARE, changed(id=record_id(4))),
        "get_many": lines(BARE, changed(id=record_id(6))),
        "entries": lines(Line(entry=ENTRY)),
    }
    spoiled = b""

    async def script(_: Request) -> bytes:
        return spoiled

    stage.script = script
    for _ in range(3000 if HEAVY else 50):
        call = chance.choice(list(good))
        noisy = bytearray(good[call])
        head = noisy.index(b"\r\n\r\n") + 4
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(head if chance.random() < 0.5 else 0, len(noisy))
            noisy[place] = chance.randrange(256)
        spoiled = bytes(noisy)
        try:
            async with asyncio.timeout(5):
                found = await CALLS[call](hasty)
        except DomainError:
            continue
        several = getattr(found, "records", found)
        several = several.values() if isinstance(several, Mapping) else several
        for one in several if isinstance(several, Iterable) else [found]:
            assert one is None or isinstance(one, RecordCorruptError) or one.tenant == "acme", spoiled
