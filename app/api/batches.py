"""Encode and verify, many in a request: a line of the body for each, and a line of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec
from starlette.routing import Route

from app.api.audit_members import EncodedLines, verified
from app.api.batch_streams import answers_to, wants_stream
from app.api.requests import payload_of, read_request
from app.api.resource import Secured
from app.api.schemas import (
    EncodeRequest,
    FailedLine,
    VerifyRequest,
    failed_line,
    record_parts,
    verify_answer,
)
from app.authentication.access import Access
from app.http.bodies import LINES, BodyLimits, BodyReader
from app.http.completion import Completion
from app.http.context import Context
from app.http.lines import Line, lines_in, requests_of
from app.http.problems import Headers, ProblemError, problem_from
from app.http.replies import Reply, stale_header
from app.http.resource import Resource
from app.http.streams import Stream
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine, Presented, now_ms
from core.errors import StoreUnavailableError
from core.sealed_records import SealedRecords, pieces_of
from core.time_slices import TimeSlices
from core.verdict import Verdict
from sigil_native import SealRequests
from sigil_native.errors import CanonicalizationError

_BASE: Final = "/api/consciousness/sigils"
_T = TypeVar("_T")

_encode_request = msgspec.json.Decoder(EncodeRequest)
_verify_request = msgspec.json.Decoder(VerifyRequest)
_encode_lines = msgspec.json.Encoder().encode_lines


class BatchRoutes:
    """The verbs for many at once.

    A line that is wrong gets a line that says why, and stops no other. Everything else is for all lines
    together: they are paid for before the first of them is looked at, and what cannot be kept or noted
    fails the request. Of a batch that is streamed this holds for each of its pieces.
    """

    def __init__(
        self, engine: Engine, access: Access, limits: RateLimits, audit: Audit, body_limits: BodyLimits
    ) -> None:
        self._engine = engine
        self._access = access
        self._limits = limits
        self._audit = audit
        self._bodies = BodyReader(body_limits)
        #: What changes the store is audited, whether or not its caller still waits.
        self._completion = Completion()

    def routes(self) -> list[Route]:
        """Where each verb lives."""
        addresses = self._limits.addresses
        encode = Secured("sigil:encode", self.encode, self._access)
        verify = Secured("sigil:verify", self.verify, self._access)
        return [
            Route(_BASE + "/batch", Resource(addresses, post=encode)),
            Route(_BASE + "/verify/batch", Resource(addresses, post=verify)),
        ]

    async def encode(self, context: Context) -> Reply | Stream:
        """Seal payloads and keep their records."""
        if context.head.idempotency_keys:
            raise ProblemError("idempotency_key_refused", "a batch takes no Idempotency-Key")
        if wants_stream(context):
            body = self._bodies.stream(context, LINES)
            return Stream(answers_to(context, body, self._sealed), reads_body=True)
        requests = requests_of(await self._bodies.text(context, LINES))
        return Reply(200, await self._sealed(context, requests, 0), media_type=LINES.name)

    async def _sealed(self, context: Context, requests: SealRequests, answered: int) -> bytes:
        """Seal lines, all or none, and answer them."""
        await self._pay(context, len(requests), answered)
        refused = await _read_requests(requests)
        at_once = self._engine.is_prompt
        records = await self._completion.of(self._encode(context, requests), at_once=at_once)
        context.add_outcomes({"sealed": len(requests) - refused, "refused": refused})
        return await _answers(requests, records)

    async def _encode(self, context: Context, requests: SealRequests) -> SealedRecords:
        caller = context.caller
        records = await self._engine.encode_requests(caller.tenant, caller.subject, requests)
        who = {"request_id": context.request_id.decode(), **caller.named()}
        await self._audit.write_all("sigil.encoded", EncodedLines(records, who))
        return records

    async def verify(self, context: Context) -> Reply | Stream:
        """Judge sigils and payloads."""
        verification = _Verification(self._engine, self._audit, self._pay)
        if wants_stream(context):
            body = self._bodies.stream(context, LINES)
            return Stream(
                answers_to(context, body, verification.judged), reads_body=True, headers=verification.headers
            )
        requests = requests_of(await self._bodies.text(context, LINES))
        answers = await verification.judged(context, requests, 0)
        return Reply(200, answers, verification.headers(), LINES.name)

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._completion.close()

    async def _pay(self, context: Context, lines: int, answered: int) -> None:
        """Have the caller's limits allow some lines, all or none, behind those that were answered."""
        context.items = answered + lines
        self._audit.check()
        # The first one was paid for when the request was let in.
        await self._limits.callers.charge(context, lines if answered else lines - 1)


class _Verification:
    """The verification of one request's lines."""

    def __init__(
        self, engine: Engine, audit: Audit, pay: Callable[[Context, int, int], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._pay = pay
        self._is_stale = False

    def headers(self) -> Headers:
        """What the answer tells of all verdicts."""
        return stale_header(self._is_stale)

    async def judged(self, context: Context, requests: SealRequests, answered: int) -> bytes:
        """Judge lines and answer them."""
        lines = lines_in(requests)
        await self._pay(context, len(lines), answered)
        items = await _read_all(lines, _presented)
        presented = [item for item in items if isinstance(item, Presented)]
        verdicts = iter(await self._engine.verify_many(context.caller.tenant, presented))
        slices = TimeSlices()
        results: list[object] = []
        judged: list[Verdict] = []
        for line, item in zip(lines, items, strict=True):
            result = item if isinstance(item, FailedLine) else next(verdicts)
            if isinstance(result, Verdict):
                judged.append(result)
                results.append(verify_answer(result))
            else:
                results.append(_failed(line.number, result) if isinstance(result, Exception) else result)
            await slices.pause()
        self._tell_staleness(judged, answered)
        who = {"request_id": context.request_id.decode(), **context.caller.named()}
        await self._audit.write_all("sigil.verified", [{**who, **verified(verdict)} for verdict in judged])
        reasons = Counter([verdict.reason for verdict in judged if verdict.reason is not None])
        invalid = sum(reasons.values())
        context.add_outcomes(
            {"valid": len(judged) - invalid, "invalid": invalid, "refused": len(lines) - len(judged)}, reasons
        )
        return _encode_lines(results)

    def _tell_staleness(self, verdicts: Sequence[Verdict], answered: int) -> None:
        """Note that verdicts are stale; once the answer has begun it is too late for its header.

        Raises:
            StoreUnavailableError: it is.
        """
        if any(verdict.stale for verdict in verdicts) and not self._is_stale:
            if answered:
                raise StoreUnavailableError("away")
            self._is_stale = True


async def _read_requests(requests: SealRequests) -> int:
    """Read all lines, or refuse them; how many were refused."""
    slices = TimeSlices()
    refused = 0
    for first, last in pieces_of(requests):
        for place in requests.read(first, last):
            try:
                request = read_request(requests.text(place), _encode_request)
                requests.accept(place, payload_of(request.data), request.expires_in)
            except (CanonicalizationError, ProblemError) as error:
                failed = _failed(requests.number(place), error)
                requests.refuse(place, _encode_lines([failed]))
                refused += 1
            await slices.pause()
        await slices.pause()
    return refused


async def _answers(requests: SealRequests, records: SealedRecords) -> bytes:
    """The lines of the answer."""
    parts = record_parts(records.created_at_ms, records.created_by)
    slices = TimeSlices()
    answers = []
    now = now_ms()
    for first, last in pieces_of(requests):
        answers.append(requests.answers(parts, first, last, now_ms=now))
        await slices.pause()
    return b"".join(answers)


def _presented(text: bytes) -> Presented:
    request = read_request(text, _verify_request)
    return Presented(request.sigil, None if request.data is msgspec.UNSET else payload_of(request.data))


async def _read_all(lines: Sequence[Line], read: Callable[[bytes], _T]) -> list[_T | FailedLine]:
    """What each line asks for, or what is wrong with it."""
    slices = TimeSlices()
    items: list[_T | FailedLine] = []
    for line in lines:
        try:
            items.append(read(line.text))
        except (CanonicalizationError, ProblemError) as error:
            items.append(_failed(line.number, error))
        await slices.pause()
    return items


def _failed(number: int, error: Exception) -> FailedLine:
    problem = problem_from(error)
    if problem is None:
        raise error
    return failed_line(number, problem)
