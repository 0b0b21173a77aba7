"""Writes that go to a DNAStore together: whatever waits when a request can be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from core.dnastore import answers
from core.dnastore.failures import AttemptFailedError, RequestRefusedError, Trouble, invalid_answer
from core.dnastore.slots import Slots
from core.dnastore.transport import Call, Transport
from core.dnastore.wire import MOST_RECORDS, MOST_WRITES, WriteReply, WriteResult
from core.errors import DomainError, InvalidRecordError, StoreOverloadedError, StoreUnavailableError

#: Bytes of one request, about; a single write may have more.
_REQUEST_BYTES: Final = 8 << 20
#: Bytes of a request's answer: for the request, and for each write of it, which may have a record in it.
_ANSWER_BYTES: Final = 64 << 10

_decode_reply: Final = msgspec.json.Decoder(WriteReply).decode
#: Outcomes that say that the store behind the DNAStore is away.
_AWAY: Final = frozenset({"unavailable", "overloaded"})


class Waiting:
    """A write that waits for its outcome.

    Attributes:
        encoded: as it is sent.
        records: how many it has, at least 1.
        concluded: makes the caller's result of the outcome, or raises.
        moment: of the event loop, after which nobody waits for it.
    """

    __slots__ = ("concluded", "encoded", "future", "moment", "records")

    def __init__(
        self,
        encoded: bytes,
        records: int,
        concluded: Callable[[WriteResult], object],
        moment: float,
        future: asyncio.Future[Any],
    ) -> None:
        self.encoded = encoded
        self.records = records
        self.concluded = concluded
        self.moment = moment
        self.future = future

    def fail(self, error: StoreUnavailableError) -> None:
        """Tell the caller, if there still is one. Each has an error of its own."""
        if not self.future.done():
            self.future.set_exception(error.again())

    def conclude(self, result: WriteResult) -> None:
        """Tell the caller what became of it."""
        if self.future.done():  # cancelled: that takes nothing back
            return
        try:
            self.future.set_result(self.concluded(result))
        except DomainError as error:
            self.future.set_exception(error)


class WriteQueue:
    """Sends writes in the order of their submission, as many in a request as are waiting.

    There are a few slots, each with one request under way. The more writes come, the more share a request.
    Those that wait are bounded, in number and bytes. A write fails alone, whatever it has shared a request
    with. Those that nobody waits for any more when their turn comes, because their time is over, are not
    sent.

    For one event loop.
    """

    def __init__(self, transport: Transport, *, slots: int, most: int, most_bytes: int) -> None:
        """Begin without writes.

        Args:
            transport: sends requests.
            slots: requests that are under way at once.
            most: writes that may wait.
            most_bytes: bytes that may wait.
        """
        self._transport = transport
        self._slots = Slots(slots, self._work)
        self._most = most
        self._most_bytes = most_bytes
        self._queue: deque[Waiting] = deque()
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Writes that wait for a request."""
        return len(self._queue)

    def submit(
        self, encoded: bytes, records: int, concluded: Callable[[WriteResult], object], moment: float
    ) -> asyncio.Future[Any]:
        """Queue a write of the running loop.

        Raises:
            StoreOverloadedError: too many writes, or bytes, wait already.
            InvalidRecordError: it has more records than a request may have.
        """
        if records > MOST_RECORDS:
            raise InvalidRecordError(f"more than {MOST_RECORDS} records in one write")
        if len(self._queue) >= self._most or self._bytes >= self._most_bytes:
            raise StoreOverloadedError
        future = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(encoded, records, concluded, moment, future))
        self._bytes += len(encoded)
        self._slots.call()
        return future

    async def close(self) -> None:
        """Wait until all is sent that waits, as long as somebody waits for it."""
        await self._slots.close()

    async def _work(self) -> bool:
        batch = self._take()
        if not batch:
            return False
        if self._queue:
            self._slots.call()
        await self._send(batch)
        return True

    def _take(self) -> list[Waiting]:
        """What fits into a request of what waits."""
        batch: list[Waiting] = []
        records = size = 0
        now = asyncio.get_running_loop().time()
        queue = self._queue
        while queue and len(batch) < MOST_WRITES:
            waiting = queue[0]
            if waiting.moment > now:
                records += waiting.records
                size += len(waiting.encoded)
                if batch and (records > MOST_RECORDS or size > _REQUEST_BYTES):
                    break
                batch.append(waiting)
            else:
                waiting.fail(StoreUnavailableError("timeout"))
            queue.popleft()
            self._bytes -= len(waiting.encoded)
        return batch

    async def _send(self, batch: Sequence[Waiting]) -> None:
        """Send writes, and tell those who wait what came of it, whatever that is."""
        last = batch[-1].moment
        body = b'{"writes":[%b]}' % b",".join([waiting.encoded for waiting in batch])

        async def read(response: aiohttp.ClientResponse) -> Sequence[WriteResult]:
            return await _results(response, batch)

        failure: StoreUnavailableError
        try:
            async with asyncio.timeout_at(last):
                results = await self._transport.call(Call("POST", "/writes", body), read, last)
        except RequestRefusedError:
            if len(batch) > 1:
                # One of them is at fault, or they are too large together.
                half = len(batch) // 2
                await self._send(batch[:half])
                await self._send(batch[half:])
            else:
                batch[0].conclude(WriteResult("invalid"))
            return
        except StoreUnavailableError as error:
            failure = error
        except TimeoutError:
            failure = StoreUnavailableError("timeout")
        except BaseException:
            for waiting in batch:
                waiting.fail(StoreUnavailableError("closed"))
            raise
        else:
            for waiting, result in zip(batch, results, strict=True):
                waiting.conclude(result)
            return
        for waiting in batch:
            waiting.fail(failure)


async def _results(response: aiohttp.ClientResponse, batch: Sequence[Waiting]) -> Sequence[WriteResult]:
    reply = await answers.decoded_body(response, _decode_reply, (len(batch) + 1) * _ANSWER_BYTES)
    results = reply.results
    if len(results) != len(batch):
        raise invalid_answer("outcomes of other writes")
    if all(result.outcome in _AWAY for result in results):
        # As good as a status 503.
        overloaded = all(result.outcome == "overloaded" for result in results)
        problem = StoreOverloadedError.code if overloaded else StoreUnavailableError.code
        trouble = Trouble("refused", "the DNAStore cannot write now")
        raise AttemptFailedError(trouble, repeatable=True, problem=problem)
    return results
