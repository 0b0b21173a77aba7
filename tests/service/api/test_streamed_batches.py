"""Batches that are carried out while they come: what is done, what is told of it, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.http import lines as limits
from app.http.bodies import LINES as NDJSON
from app.http.bodies import BodyLimits, BodyReader
from app.http.context import Context
from app.http.lines import PIECE_BYTES, whole_lines
from app.metrics.requests import RequestMetrics
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.errors import StoreUnavailableError
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import SECRET, events
from tests.service.running import SIGILS, Service
from tests.service.server.wire import PATIENCE, request

ENCODE = f"{SIGILS}/batch?stream=true"
VERIFY = f"{SIGILS}/verify/batch?stream=true"
LINES = {"Content-Type": "application/x-ndjson"}
#: So long that a piece of a body has three of them.
LONG = "x" * (PIECE_BYTES // 3 + 1000)


class Exchange:
    """A request of the application, whose body comes in parts, and its answer.

    Attributes:
        asked: how many parts were asked for.
        reads: set while the client reads answers.
    """

    def __init__(
        self, application: InProcess, path: str, parts: Sequence[bytes], *, gone: bool = False
    ) -> None:
        self._application = application
        self._parts = parts
        self._gone = gone
        self._path, _, self._query = path.partition("?")
        self.asked = 0
        self.reads = asyncio.Event()
        self.reads.set()
        self.messages: list[Any] = []
        #: What was asked for when each message was sent.
        self.asked_before: list[int] = []

    async def run(self, **headers: str) -> Exchange:
        """Ask, and wait for the end."""
        sent = {"content-type": "application/x-ndjson", **headers}
        sent["authorization"] = f"Bearer {self._application.token('acme')}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": self._query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "extensions": {"sigil.abort": lambda: self.messages.append("aborted")},
        }
        await self._application.app(scope, self._receive, self._send)
        return self

    @property
    def status(self) -> int:
        """Of the answer."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def answers(self) -> list[Any]:
        """The lines of the answer."""
        return [json.loads(line) for line in b"".join(self._bodies()).splitlines()]

    def _bodies(self) -> list[bytes]:
        return [message.get("body", b"") for message in self.messages if message != "aborted"]

    async def _receive(self) -> Any:
        await asyncio.sleep(0)
        if self.asked < len(self._parts):
            self.asked += 1
            last = self.asked == len(self._parts) and not self._gone
            return {"type": "http.request", "body": self._parts[self.asked - 1], "more_body": not last}
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.messages.append(message)
        self.asked_before.append(self.asked)


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[InProcess]:
    """The application, with an audit log that it must have."""
    audit = AuditLog(AuditFile(tmp_path / "audit.jsonl", SECRET), required=True)
    application = InProcess(tmp_path, audit)
    async with application.lifespan():
        yield application
    await audit.close()


def line_of(**members: object) -> bytes:
    """A line of a body."""
    return json.dumps(members).encode() + b"\n"


def long_lines(count: int) -> list[bytes]:
    """Lines of which a piece has three."""
    return [line_of(data={"n": number, "pad": LONG}) for number in range(count)]


def kept(folder: Path) -> int:
    """How many records the store has."""
    with closing(sqlite3.connect(folder / "sigils.db")) as connection:
        count: int = connection.execute("SELECT count(*) FROM sigils").fetchone()[0]
        return count


async def test_all_are_sealed(inside: InProcess, tmp_path: Path) -> None:
    """A body of more lines than are kept together is answered line by line, to an end line; numbers go on."""
    good = [line_of(data={"n": number}) for number in range(2500)]
    body = b"\n\r\n".join([b"".join(good[:1200]), b"bad\n", b"".join(good[1200:])])
    parts = [body[at : at + 7001] for at in range(0, len(body), 7001)]
    exchange = await Exchange(inside, ENCODE, parts).run()
    assert exchange.status == 200
    names = dict(exchange.messages[0]["headers"])
    assert names[b"content-type"] == NDJSON.name
    assert b"content-length" not in names
    *answers, end = exchange.answers
    assert end == {"end": True}
    ids = [answer["id"] for answer in answers if "id" in answer]
    assert (len(answers), len(ids), ids) == (2501, 2500, sorted(ids))
    assert (answers[1200]["line"], answers[1200]["error"]["code"]) == (1203, "syntax")
    assert kept(tmp_path) == 2500
    assert events(tmp_path / "audit.jsonl").count("sigil.encoded") == 2500
    judged = [
        line_of(sigil=answer["sigil"], data={"n": number if number != 5 else 0})
        for number, answer in enumerate(answer for answer in answers if "id" in answer)
    ]
    exchange = await Exchange(inside, VERIFY, judged).run()
    *verdicts, end = exchange.answers
    assert end == {"end": True}
    assert [number for number, verdict in enumerate(verdicts) if not verdict["valid"]] == [5]
    assert events(tmp_path / "audit.jsonl").count("sigil.verified") == 2500


async def test_without_the_wish(inside: InProcess) -> None:
    """``stream=false`` is a batch as ever; anything else in a query is refused."""
    body = line_of(data={})
    whole = await Exchange(inside, f"{SIGILS}/batch?stream=false", [body]).run()
    assert dict(whole.messages[0]["headers"])[b"content-length"]
    assert [answer["status"] for answer in whole.answers] == ["active"]
    for query in ("stream=1", "stream", "steam=true", "stream=true&stream=true"):
        for path in (f"{SIGILS}/batch", f"{SIGILS}/verify/batch"):
            refused = await Exchange(inside, f"{path}?{query}", [body]).run()
            assert (refused.status, refused.answers[0]["code"]) == (400, "invalid_query")


async def test_answers_come_before_the_body_has_ended(inside: InProcess) -> None:
    """Once a piece is there it is sealed and answered; the rest of the body is asked for afterwards."""
    exchange = await Exchange(inside, ENCODE, long_lines(9)).run()
    assert len(exchange.answers) == 10
    asked = [
        asked
        for message, asked in zip(exchange.messages, exchange.asked_before, strict=True)
        if message.get("body")
    ]
    assert asked == [3, 6, 9, 9]


async def test_who_does_not_read_is_not_read_from(inside: InProcess, tmp_path: Path) -> None:
    """While answers cannot be sent nothing more of the body is asked for, and nothing more is done."""
    exchange = Exchange(inside, ENCODE, long_lines(9))
    exchange.reads.clear()
    task = asyncio.create_task(exchange.run())
    async with asyncio.timeout(PATIENCE):
        while kept(tmp_path) == 0:  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert (exchange.asked, kept(tmp_path)) == (3, 3)
    exchange.reads.set()
    await task
    assert (len(exchange.answers), kept(tmp_path)) == (10, 9)


async def test_a_store_that_goes_away(
    inside: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered is kept; the last line says from which line on nothing is, and why."""
    put = inside.store.put

    async def failing(records: Sequence[Any], entries: Sequence[Any] = ()) -> None:
        if kept(tmp_path):
            raise StoreUnavailableError("full", retry_after=30)
        await put(records, entries)

    monkeypatch.setattr(inside.store, "put", failing)
    exchange = await Exchange(inside, ENCODE, [b"\n", *long_lines(9)]).run()
    *answers, last = exchange.answers
    assert (exchange.status, len(answers), kept(tmp_path)) == (200, 3, 3)
    assert (last["line"], last["retry_after"]) == (5, 30)
    why = last["broken_off"]
    assert (why["code"], why["status"], why["type"]) == (
        "store_unavailable",
        503,
        "/docs/problems/store_unavailable",
    )
    first = await Exchange(inside, ENCODE, long_lines(1)).run()
    assert (first.status, first.answers[0]["code"]) == (503, "store_unavailable")


async def test_a_client_who_goes(inside: InProcess, tmp_path: Path) -> None:
    """What was read before is sealed and audited, and nothing is answered to nobody."""
    exchange = await Exchange(inside, ENCODE, long_lines(4), gone=True).run()
    assert kept(tmp_path) == 3
    assert events(tmp_path / "audit.jsonl").count("sigil.encoded") == 3
    assert exchange.messages[-1].get("more_body")


async def test_refused_from_the_beginning(inside: InProcess) -> None:
    """What is wrong before the first answer is a problem as ever."""
    for body, status, code in (
        (b"", 422, "empty_batch"),
        (b" \n\r\n", 422, "empty_batch"),
        (b" " * ((1 << 20) + 1), 413, "body_too_large"),
    ):
        exchange = await Exchange(inside, ENCODE, [body]).run()
        assert (exchange.status, exchange.answers[0]["code"]) == (status, code)
    other = await Exchange(inside, ENCODE, [b"{}"]).run(**{"content-type": "application/json"})
    assert (other.status, other.answers[0]["code"]) == (415, "unsupported_media_type")
    keyed = await Exchange(inside, ENCODE, [b"{}"]).run(**{"idempotency-key": "k"})
    assert (keyed.status, keyed.answers[0]["code"]) == (400, "idempotency_key_refused")


async def test_what_is_counted(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are counted by what they came to, also of a batch that was broken off, which is an error."""
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    monkeypatch.setattr(inside.app, "on_done", metrics.ended)
    monkeypatch.setattr("app.api.batch_streams.MOST_STREAMED_LINES", 7)
    await Exchange(inside, ENCODE, [b"bad\n", *long_lines(9)]).run()
    await Exchange(inside, ENCODE, [b"bad\n", *long_lines(2)]).run()
    counted = {
        sample.labels["outcome"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "sigil_encode_total"
    }
    # The pieces have four, three and three lines, then three.
    assert (counted["sealed"], counted["refused"], counted["failed"]) == (6 + 2, 1 + 3 + 1, 0)
    assert registry.get_sample_value("sigil_error_total", {"code": "too_many_lines"}) == 1


async def test_more_than_may_be(inside: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that turns out too large, or to have too many lines, is broken off where it does."""
    large = await Exchange(inside, ENCODE, long_lines(60)).run()
    *answers, last = large.answers
    assert (last["broken_off"]["code"], last["line"]) == ("body_too_large", len(answers) + 1)
    assert kept(tmp_path) == len(answers) > 30
    monkeypatch.setattr("app.api.batch_streams.MOST_STREAMED_LINES", 7)
    many = await Exchange(inside, ENCODE, long_lines(9)).run()
    *answers, last = many.answers
    assert (last["broken_off"]["code"], last["line"], len(answers)) == ("too_many_lines", 7, 6)
    assert limits.MOST_STREAMED_LINES >= limits.MOST_LINES


def test_limits_are_charged_piece_by_piece(new_service: Callable[..., Service]) -> None:
    """Each piece is paid for before it is looked at; where the limits end, the answer does."""
    service = new_service(SIGIL_RATE_LIMIT="250", SIGIL_RATE_WINDOW="3600").start()
    body = b'{"data":{}}\n' * 600
    answer = service.call("POST", ENCODE, body, token=service.token(), headers=LINES)
    *answers, last = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.status == 200
    assert last["broken_off"]["code"] == "rate_limited"
    assert (last["line"], last["retry_after"] > 0) == (201, True)
    assert len(answers) == kept(service.data_dir) == 200


def test_a_client_who_reads_late(new_service: Callable[..., Service]) -> None:
    """Over a connection a client who does not read is not worked for; once it reads it gets everything."""
    count = 40_000
    service = new_service(SIGIL_MAX_BODY_BYTES=str(8 << 20), SIGIL_RATE_LIMIT="10000000").start()
    body = b"".join(b'{"data":{"n":%d}}\n' % number for number in range(count))
    head = request(
        ENCODE,
        "Content-Type: application/x-ndjson",
        f"Content-Length: {len(body)}",
        method="POST",
        token=service.token(),
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(head + body)
        before, now = -1, 0
        end = time.monotonic() + PATIENCE
        while (now == 0 or now != before) and time.monotonic() < end:
            time.sleep(0.5)
            before, now = now, kept(service.data_dir)
        assert 0 < now < count
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(1 << 20)
    assert received.count(b'"status":"active"') == count == kept(service.data_dir)
    assert b'{"end":true}' in received


@given(
    st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\r", b"\n")), min_size=1, max_size=30),
    st.integers(1, 60),
)
async def test_pieces_are_whole_lines(parts: list[bytes], size: int) -> None:
    """However a body comes, its pieces are all of it, and no line is in two of them."""
    waiting = list(parts)

    async def receive() -> Any:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    context = Context({"type": "http", "headers": [(b"content-type", NDJSON.name)], "path": "/"}, receive)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PIECE_BYTES", size)
        body = BodyReader(BodyLimits(1 << 20, 30)).stream(context, NDJSON)
        pieces = [piece async for piece in whole_lines(body)]
    assert b"".join(pieces) == b"".join(parts)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert all(pieces)
