"""Records in a DNAStore, which is reached by HTTPS with mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from core.deadlines import Deadlines
from core.dnastore import answers
from core.dnastore.bulkhead import Bulkhead
from core.dnastore.failures import FORBIDDEN, invalid_answer
from core.dnastore.read_queue import ReadQueue, RecordSizes
from core.dnastore.transport import PROBE, Call, Transport
from core.dnastore.wire import (
    MOST_LISTED,
    MOST_LOOKED_UP,
    Lookup,
    Purge,
    Purged,
    Put,
    PutOnce,
    Revoke,
    WireRecord,
    Write,
    WriteResult,
)
from core.dnastore.write_queue import WriteQueue
from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    InvalidRecordError,
    RecordCorruptError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.records import Damage, Entry, Listing, Place, Record, Status, id_of
from core.store.observation import NoStoreObserver, StoreObserver

_T = TypeVar("_T")

#: For each connection that writes: those that ask for single records, and those for all else.
_GETS_A_CONNECTION: Final = 2
_READS_A_CONNECTION: Final = 4
#: Bytes of writes that may wait.
_MOST_BYTES: Final = 64 << 20
#: Bytes of a record without its payload.
_RECORD_BYTES: Final = 64 << 10
#: Bytes of a record with its payload, unless more are asked for.
_LARGEST_RECORD: Final = 16 << 20
#: Bytes of a stream.
_LARGEST_ANSWER: Final = 256 << 20
#: Records with payloads that are asked for at once.
_LISTED_WITH_PAYLOAD: Final = 100

_encode: Final = msgspec.json.Encoder().encode
_decode_record: Final = msgspec.json.Decoder(WireRecord).decode
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


_decode_purged: Final = msgspec.json.Decoder(Purged).decode


class DnaStoreClient:
    """The Store protocol over a DNAStore.

    Every call ends within the timeout, with StoreUnavailableError if it has to. What may help is sent again
    within that time: every write is idempotent. When several attempts in a row have failed, calls fail at
    once until the DNAStore answers again, which is tried in the background.

    Writes share requests, and so do reads of single records. Of all only so many may wait. Whatever the
    DNAStore answers is checked: nobody gets another tenant's record, or another one than was asked for. Seals
    are checked by others.

    For one event loop.
    """

    def __init__(
        self,
        url: str,
        tls: Callable[[], ssl.SSLContext],
        *,
        timeout: float = 5.0,
        connections: int = 4,
        max_waiting: int = 10_000,
        breaker_failures: int = 5,
        breaker_pause: float = 1.0,
        largest_record: int = _LARGEST_RECORD,
        observer: StoreObserver | None = None,
    ) -> None:
        """Know the DNAStore; nothing is sent yet.

        Args:
            url: https, of the DNAStore, with a path in front of ``/v1`` if it has one.
            tls: gives what connections are made with from now on; asked for each request.
            timeout: seconds that a call may take, with all attempts.
            connections: requests with writes at once. Twice as many ask for single records, and four times
                as many for all else.
            max_waiting: writes that may wait for a request, and likewise reads.
            breaker_failures: failed attempts in a row after which the DNAStore is left alone.
            breaker_pause: seconds for which it is.
            largest_record: bytes of a record with its payload, as it is sent, that are taken.
            observer: is told of requests, and of the breaker's state.
        """
        self._deadlines = Deadlines(timeout)
        self._timeout = timeout
        self._largest_record = largest_record
        self._transport = Transport(
            url,
            tls,
            timeout=timeout,
            failures=breaker_failures,
            pause=breaker_pause,
            observer=observer or NoStoreObserver(),
        )
        self._writes = WriteQueue(
            self._transport, slots=connections, most=max_waiting, most_bytes=_MOST_BYTES
        )
        self._gets = ReadQueue(
            self._transport,
            slots=connections * _GETS_A_CONNECTION,
            most=max_waiting,
            sizes=RecordSizes(_RECORD_BYTES, largest_record),
        )
        self._reads = Bulkhead(connections * _READS_A_CONNECTION, max_waiting)
        self._closed = False

    def __repr__(self) -> str:
        return f"DnaStoreClient({self._transport.breaker.state})"

    @property
    def waiting_writes(self) -> int:
        """Writes that wait for a request."""
        return self._writes.waiting

    @property
    def waiting_reads(self) -> int:
        """Questions for single records that wait for a request."""
        return self._gets.waiting

    def start(self) -> None:
        """See Store.start."""
        self._transport.start()

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        if records or entries:
            write = Put([WireRecord.of(record) for record in records], list(entries))
            await self._write(write, len(records) + len(entries), _kept)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""

        def kept(result: WriteResult) -> Record:
            _kept(result)
            if result.record is None:
                raise StoreUnavailableError("invalid_answer")
            earlier = answers.record_from(result.record, record.tenant, with_payload=False)
            if earlier.id == record.id and earlier.revoked_at_ms is None:
                return record
            return earlier

        return await self._write(PutOnce(WireRecord.of(record), claim), 1, kept)

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""

        def revoked(result: WriteResult) -> Record | None:
            if result.outcome == "not_found":
                return None
            _kept(result)
            if result.record is None or result.record.revoked_at_ms is None:
                raise StoreUnavailableError("invalid_answer")
            return answers.record_from(result.record, tenant, with_payload=False, record_id=record_id)

        return await self._write(Revoke(tenant, record_id, reason, revoked_by, now_ms), 1, revoked)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""

        async def submitted(moment: float) -> Record | None:
            return await self._gets.submit(tenant, record_id, with_payload=with_payload, moment=moment)

        return await self._within_time(submitted)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError]:
        """See Store.get_many."""
        found: dict[str, Record | RecordCorruptError] = {}
        wanted = list(dict.fromkeys(record_ids))
        most = _LISTED_WITH_PAYLOAD if with_payload else MOST_LOOKED_UP

        async def look_up(moment: float) -> None:
            for first in range(0, len(wanted), most):
                lookup = Lookup(tenant, wanted[first : first + most], with_payload)
                found.update(await self._look_up(lookup, moment))

        await self._within_time(look_up)
        return found

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
        """See Store.list."""
        records: list[Record | Damage] = []
        most = _LISTED_WITH_PAYLOAD if with_payload else MOST_LISTED
        wanted = answers.Wanted(tenant, most, before, status, now_ms, with_payload)

        async def walk(moment: float) -> None:
            page = wanted
            while (missing := limit - len(records)) > 0:
                behind = id_of(records[-1]) if records else before
                page = page._replace(limit=min(most, missing), before=behind)
                found = await self._list(page, moment)
                records.extend(found)
                if len(found) < page.limit:
                    return

        await self._within_time(walk)
        return Listing(records)

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        found: list[Entry] = []

        async def walk(moment: float) -> None:
            last = after
            while (missing := limit - len(found)) > 0:
                page = min(MOST_LISTED, missing)
                some = await self._entries(tenant, last, page, moment)
                found.extend(some)
                if len(some) < page:
                    return
                last = Place(some[-1].chain, some[-1].number)

        await self._within_time(walk)
        return found

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""

        async def read(response: aiohttp.ClientResponse) -> Mapping[str, int]:
            return await answers.decoded_body(response, _decode_counts, _LARGEST_ANSWER)

        return await self._within_time(lambda moment: self._read(Call("GET", "/counts"), read, moment))

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        call = Call("POST", "/purges", _encode(Purge(tenant, before, limit)))

        async def read(response: aiohttp.ClientResponse) -> int:
            answer = await answers.decoded_body(response, _decode_purged, _RECORD_BYTES)
            if not 0 <= answer.purged <= limit:
                raise invalid_answer("more records purged than were to be")
            return answer.purged

        return await self._within_time(lambda moment: self._read(call, read, moment))

    async def probe(self) -> None:
        """See Store.probe. The DNAStore writes something, so that the whole way is tried."""
        await self._within_time(lambda moment: self._transport.call(PROBE, answers.probed, moment))

    async def close(self) -> None:
        """See Store.close. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._transport.loop is not asyncio.get_running_loop():
            return  # never used, or its loop has ended, and all connections with it
        with suppress(TimeoutError):  # by then nobody waits any more
            async with asyncio.timeout(self._timeout):
                await self._writes.close()
                await self._gets.close()
                await self._reads.drain()
        self._deadlines.close()
        await self._transport.close()

    async def _write(self, write: Write, records: int, concluded: Callable[[WriteResult], _T]) -> _T:
        try:
            encoded = _encode(write)
        except (ValueError, OverflowError, msgspec.MsgspecError):
            raise InvalidRecordError("the record cannot be sent") from None

        async def submitted(moment: float) -> Any:
            return await self._writes.submit(encoded, records, concluded, moment)

        result: _T = await self._within_time(submitted)
        return result

    async def _read(
        self, call: Call, read: Callable[[aiohttp.ClientResponse], Awaitable[_T]], moment: float
    ) -> _T:
        async with self._reads:
            return await self._transport.call(call, read, moment)

    async def _within_time(self, work: Callable[[float], Awaitable[_T]]) -> _T:
        if self._closed:
            raise StoreUnavailableError("closed")
        try:
            with self._deadlines.begin() as deadline:
                return await work(deadline.moment)
        except TimeoutError:
            raise StoreUnavailableError("timeout") from None

    async def _look_up(self, lookup: Lookup, moment: float) -> Mapping[str, Record | RecordCorruptError]:
        longest = self._largest_record if lookup.payload else _RECORD_BYTES

        async def read(response: aiohttp.ClientResponse) -> Mapping[str, Record | RecordCorruptError]:
            lines = answers.lines_of(response, longest=longest, largest=_LARGEST_ANSWER)
            return await answers.looked_up(lines, lookup)

        return await self._read(Call("POST", "/lookups", _encode(lookup)), read, moment)

    async def _entries(self, tenant: str, after: Place | None, limit: int, moment: float) -> Sequence[Entry]:
        query = {"tenant": tenant, "limit": str(limit)}
        if after is not None:
            query |= {"chain": after.chain, "number": str(after.number)}

        async def read(response: aiohttp.ClientResponse) -> Sequence[Entry]:
            lines = answers.lines_of(response, longest=_RECORD_BYTES, largest=_LARGEST_ANSWER)
            return await answers.entries_from(lines, tenant, after=after, limit=limit)

        return await self._read(Call("GET", f"/entries?{urlencode(query)}"), read, moment)

    async def _list(self, wanted: answers.Wanted, moment: float) -> Sequence[Record | Damage]:
        longest = self._largest_record if wanted.with_payload else _RECORD_BYTES

        async def read(response: aiohttp.ClientResponse) -> Sequence[Record | Damage]:
            lines = answers.lines_of(response, longest=longest, largest=_LARGEST_ANSWER)
            return await answers.listed(lines, wanted)

        return await self._read(Call("GET", f"/records?{urlencode(wanted.query())}"), read, moment)


def _kept(result: WriteResult) -> None:
    """Go on if a write is done.

    Raises:
        DomainError: it is not, as the outcome says.
    """
    if result.outcome != "done":
        _raise(result)


def _raise(result: WriteResult) -> NoReturn:
    match result.outcome:
        case "duplicate":
            raise DuplicateRecordError("another record has this id, or another entry this place")
        case "invalid":
            raise InvalidRecordError("the DNAStore cannot hold this record")
        case "key_reused":
            raise IdempotencyKeyReusedError("the key was used for another request")
        case "damaged":
            raise RecordCorruptError(result.damaged or "of a write", "stored")
        case "forbidden":
            raise StoreUnavailableError(FORBIDDEN.reason)
        case "overloaded":
            raise StoreOverloadedError
        case "unavailable":
            raise StoreUnavailableError("refused")
        case _:
            raise StoreUnavailableError("invalid_answer")
