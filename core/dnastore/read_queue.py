"""Questions for single records, which share requests when there are many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from core.dnastore import answers
from core.dnastore.failures import AnswerTooLargeError, AttemptFailedError, RequestRefusedError
from core.dnastore.slots import Slots
from core.dnastore.transport import Call, Transport
from core.dnastore.wire import Lookup, WireRecord
from core.errors import (
    RecordCorruptError,
    RecordNotFoundError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.records import Record

#: Records of a request.
_MOST: Final = 500
_MOST_WITH_PAYLOAD: Final = 32
#: Bytes of an answer with several records.
_LARGEST_ANSWER: Final = 64 << 20

_encode: Final = msgspec.json.Encoder().encode
_decode_record: Final = msgspec.json.Decoder(WireRecord).decode

_Found = Record | RecordCorruptError | None


class RecordSizes(NamedTuple):
    """Bytes of a record, as it is sent, that are taken."""

    bare: int
    with_payload: int


class _Group(NamedTuple):
    """Those who can share a request: they ask for one tenant's records alike."""

    tenant: str
    with_payload: bool


class _Waiting(NamedTuple):
    record_id: str
    moment: float
    future: asyncio.Future[Record | None]

    def conclude(self, found: _Found) -> None:
        """Tell the caller, if there still is one."""
        if self.future.done():
            return
        if isinstance(found, RecordCorruptError):
            self.future.set_exception(RecordCorruptError(found.record_id, found.cause))
        else:
            self.future.set_result(found)

    def fail(self, error: StoreUnavailableError) -> None:
        """Tell the caller, if there still is one. Each has an error of its own."""
        if not self.future.done():
            self.future.set_exception(error.again())


class ReadQueue:
    """Asks for single records: one in a request while few are wanted, and otherwise whatever waits.

    Only questions of one tenant share a request. Those that wait are bounded; those that nobody waits for
    any more are not asked.

    For one event loop.
    """

    def __init__(self, transport: Transport, *, slots: int, most: int, sizes: RecordSizes) -> None:
        """Begin without questions.

        Args:
            transport: sends requests.
            slots: requests that are under way at once.
            most: questions that may wait.
            sizes: of what is taken for a record.
        """
        self._transport = transport
        self._slots = Slots(slots, self._work)
        self._most = most
        self._sizes = sizes
        #: In the order in which they are asked for; none is empty.
        self._groups: dict[_Group, deque[_Waiting]] = {}
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Questions that wait for a request."""
        return self._waiting

    def submit(
        self, tenant: str, record_id: str, *, with_payload: bool, moment: float
    ) -> asyncio.Future[Record | None]:
        """Queue a question of the running loop, which nobody waits for after a moment of it.

        Raises:
            StoreOverloadedError: too many wait already.
        """
        if self._waiting >= self._most:
            raise StoreOverloadedError
        future: asyncio.Future[Record | None] = asyncio.get_running_loop().create_future()
        group = self._groups.setdefault(_Group(tenant, with_payload), deque())
        group.append(_Waiting(record_id, moment, future))
        self._waiting += 1
        self._slots.call()
        return future

    async def close(self) -> None:
        """Wait until all is answered, as long as somebody waits for it."""
        await self._slots.close()

    async def _work(self) -> bool:
        while self._groups:
            group, batch = self._take()
            if batch:
                if self._groups:
                    self._slots.call()
                await self._ask(group, batch)
                return True
        return False

    def _take(self) -> tuple[_Group, list[_Waiting]]:
        """What fits into a request of those who are first."""
        group, waiting = next(iter(self._groups.items()))
        most = _MOST_WITH_PAYLOAD if group.with_payload else _MOST
        some = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self._waiting -= len(some)
        # What is left of them comes behind the others.
        del self._groups[group]
        if waiting:
            self._groups[group] = waiting
        return group, [one for one in some if not one.future.done()]

    async def _ask(self, group: _Group, batch: Sequence[_Waiting]) -> None:
        """Ask, and tell those who wait what came of it, whatever that is."""
        last = max(waiting.moment for waiting in batch)
        ids = list(dict.fromkeys(waiting.record_id for waiting in batch))
        failure: StoreUnavailableError
        try:
            async with asyncio.timeout_at(last):
                found = (
                    await self._several(group, ids, last)
                    if len(ids) > 1
                    else {ids[0]: await self._one(group, ids[0], last)}
                )
        except (RequestRefusedError, AnswerTooLargeError) as error:
            if len(ids) > 1:
                # One of them is at fault, or they are too large together.
                half = len(batch) // 2
                await self._ask(group, batch[:half])
                await self._ask(group, batch[half:])
                return
            failure = error
        except StoreUnavailableError as error:
            failure = error
        except TimeoutError:
            failure = StoreUnavailableError("timeout")
        except BaseException:
            for waiting in batch:
                waiting.fail(StoreUnavailableError("closed"))
            raise
        else:
            for waiting in batch:
                waiting.conclude(found.get(waiting.record_id))
            return
        for waiting in batch:
            waiting.fail(failure)

    async def _several(self, group: _Group, ids: list[str], moment: float) -> Mapping[str, _Found]:
        lookup = Lookup(group.tenant, ids, group.with_payload)
        longest = self._longest(group)
        largest = min(len(ids) * longest, _LARGEST_ANSWER)

        async def read(response: aiohttp.ClientResponse) -> Mapping[str, _Found]:
            return await answers.looked_up(
                answers.lines_of(response, longest=longest, largest=largest), lookup
            )

        return await self._transport.call(Call("POST", "/lookups", _encode(lookup)), read, moment)

    async def _one(self, group: _Group, record_id: str, moment: float) -> _Found:
        query = {"tenant": group.tenant}
        if group.with_payload:
            query["payload"] = "true"
        call = Call("GET", f"/records/{quote(record_id, safe='')}?{urlencode(query)}")

        async def read(response: aiohttp.ClientResponse) -> _Found:
            try:
                sent = await answers.decoded_body(response, _decode_record, self._longest(group))
            except AttemptFailedError as error:
                if (response.status, error.problem) == (404, RecordNotFoundError.code):
                    return None
                if (response.status, error.problem) == (500, RecordCorruptError.code):
                    return RecordCorruptError(record_id, "stored")
                raise
            return answers.record_from(
                sent, group.tenant, with_payload=group.with_payload, record_id=record_id
            )

        found = await self._transport.call(call, read, moment)
        if found is None:
            # Anybody may say that there is no such page.
            await self._transport.prove(moment)
        return found

    def _longest(self, group: _Group) -> int:
        return self._sizes.with_payload if group.with_payload else self._sizes.bare
