"""Encode and verify, many in a request: a line of the body for each, and a line of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
from starlette.routing import Route

from app.api.audit_members import verified
from app.api.batch_encoding import ENCODE_ROLE, BatchEncoding
from app.api.batch_lines import Payment, failed
from app.api.batch_streams import answers_to, wants_stream
from app.api.requests import payload_of, read_request
from app.api.resource import Secured
from app.api.schemas import FailedLine, VerifyRequest, verify_answer
from app.authentication.access import Access
from app.http.bodies import LINES, BodyLimits, BodyReader
from app.http.context import Context
from app.http.lines import Line, lines_in, requests_of
from app.http.problems import Headers, ProblemError
from app.http.replies import Reply, stale_header
from app.http.resource import Resource
from app.http.streams import Stream
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine, Presented
from core.errors import StoreUnavailableError
from core.time_slices import TimeSlices
from core.verdict import Verdict
from sigil_native import SealRequests
from sigil_native.errors import CanonicalizationError

_BASE: Final = "/api/consciousness/sigils"
_T = TypeVar("_T")

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
        self._addresses = limits.addresses
        self._audit = audit
        self._bodies = BodyReader(body_limits)
        self._payment = Payment(limits, audit)
        self._encoding = BatchEncoding(engine, audit, self._payment)

    def routes(self) -> list[Route]:
        """Where each verb lives."""
        addresses = self._addresses
        encode = Secured(ENCODE_ROLE, self.encode, self._access)
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
            return Stream(answers_to(context, body, self._encoding.answers), reads_body=True)
        requests = requests_of(await self._bodies.text(context, LINES))
        return Reply(200, await self._encoding.answers(context, requests, 0), media_type=LINES.name)

    async def verify(self, context: Context) -> Reply | Stream:
        """Judge sigils and payloads."""
        verification = _Verification(self._engine, self._audit, self._payment)
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
        await self._encoding.close()


class _Verification:
    """The verification of one request's lines."""

    def __init__(self, engine: Engine, audit: Audit, payment: Payment) -> None:
        self._engine = engine
        self._audit = audit
        self._payment = payment
        self._is_stale = False

    def headers(self) -> Headers:
        """What the answer tells of all verdicts."""
        return stale_header(self._is_stale)

    async def judged(self, context: Context, requests: SealRequests, answered: int) -> bytes:
        """Judge lines and answer them."""
        lines = lines_in(requests)
        await self._payment.pay(context, len(lines), answered)
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
                results.append(failed(line.number, result) if isinstance(result, Exception) else result)
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
            items.append(failed(line.number, error))
        await slices.pause()
    return items
