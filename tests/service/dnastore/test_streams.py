"""Streams take no more of the store than their reader takes of them, and never look whole when they are not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from core.errors import StoreUnavailableError
from core.records import Entry, Listing, Place, Record, Status
from tests.service.dnastore.in_process import Exchange, Inside, eventually
from tests.service.store.store_records import record

_PATH = "/v1/records?tenant=acme"


class Endless:
    """A store with more records than anybody reads, some of whose calls fail."""

    def __init__(self, fails_at: int = -1) -> None:
        self.pages = 0
        self._fails_at = fails_at

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """Another page, full."""
        await asyncio.sleep(0)
        self.pages += 1
        if self.pages == self._fails_at:
            raise StoreUnavailableError("io")
        return Listing([record(1 << 40 | (1 << 30) - number, tenant=tenant) for number in range(limit)])

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """Another page, full."""
        self.pages += 1
        if self.pages == self._fails_at:
            raise StoreUnavailableError("io")
        number = 0 if after is None else after.number
        return [
            Entry(tenant, "0" * 32, number + place, "sealed", "x", 1, "", "s")
            for place in range(1, limit + 1)
        ]

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> dict[str, Record]:
        """All of them."""
        self.pages += 1
        if self.pages == self._fails_at:
            raise StoreUnavailableError("io")
        return {one: record(number) for number, one in enumerate(record_ids)}


async def test_no_more_than_is_read(tmp_path: Path) -> None:
    """A reader that stops reading stops the walk through the store; one that goes away ends it."""
    store = Endless()
    inside = Inside(tmp_path, store)
    exchange = Exchange()
    call = asyncio.create_task(inside.call("GET", _PATH, exchange=exchange))
    await eventually(lambda: len(exchange.messages) > 5)
    exchange.reading.clear()
    await asyncio.sleep(0.01)
    pages = store.pages
    await asyncio.sleep(0.05)
    assert store.pages == pages <= len(exchange.messages) + 1
    exchange.gone.set()
    exchange.reading.set()
    async with asyncio.timeout(20):
        await call
    assert store.pages <= pages + 1
    assert not exchange.is_whole


async def test_failures_cut_streams_off(tmp_path: Path) -> None:
    """A store that fails after the beginning ends the connection, and the last line never comes."""
    body = json.dumps({"tenant": "acme", "ids": [record(number).id for number in range(40)], "payload": True})
    for method, path in (("GET", _PATH), ("GET", "/v1/entries?tenant=acme"), ("POST", "/v1/lookups")):
        sent = body.encode() if method == "POST" else b""
        cut = await Inside(tmp_path, Endless(fails_at=2)).call(method, path, sent)
        assert (cut.status, cut.aborted, cut.is_whole) == (200, True, False)
        assert b'"end"' not in cut.body
        refused = await Inside(tmp_path, Endless(fails_at=1)).call(method, path, sent)
        assert (refused.status, refused.aborted) == (503, False)
        assert json.loads(refused.body)["code"] == "store_unavailable"


async def test_heads_of_streams(tmp_path: Path) -> None:
    """A question for the head alone looks no further than the first page."""
    store = Endless()
    answer = await Inside(tmp_path, store).call("HEAD", _PATH)
    assert (answer.status, answer.body, answer.is_whole, store.pages) == (200, b"", True, 1)
