"""Verdicts for the lines of a batch."""

from __future__ import annotations

from functools import partial

import msgspec

from app.api.audit_members import VerifiedLines
from app.api.batch_lines import Payment, read_all
from app.api.prompt_batches import PromptBatch
from app.api.requests import payload_of, read_request
from app.api.schemas import VerifyRequest, verdict_parts
from app.authentication.roles import VERIFY_ROLE
from app.http.context import Context
from app.http.problems import Headers
from app.http.replies import lines_of, stale_header
from core.audit.interface import Audit
from core.engine import Engine
from core.errors import StoreUnavailableError
from core.sealed_records import pieces_of
from core.time_slices import PromptSlices, TimeSlices
from core.verdicts import Verdicts
from sigil_native import VerifyRequests

_verify_request = msgspec.json.Decoder(VerifyRequest)


class BatchVerification:
    """The verification of one request's lines."""

    def __init__(self, engine: Engine, audit: Audit, payment: Payment) -> None:
        self._engine = engine
        self._audit = audit
        self._payment = payment
        self._is_stale = False

    def headers(self) -> Headers:
        """What the answer tells of all verdicts."""
        return stale_header(self._is_stale)

    async def answers(self, context: Context, requests: VerifyRequests, answered: int) -> bytes:
        """Judge lines behind those that were answered: the lines of the answer."""
        await self._payment.pay(context, len(requests), answered)
        refused = await read_all(requests, partial(accept, self._engine), TimeSlices())
        await self._audit.set_aside(len(requests))
        try:
            verdicts = await self._engine.verify_requests(context.caller.tenant, requests)
            self._tell_staleness(verdicts, answered)
            await self._audit.write_all("sigil.verified", VerifiedLines(context, verdicts))
        finally:
            self._audit.give_back(len(requests))
        _count(context, verdicts, refused)
        return await _answers(verdicts, TimeSlices())

    def _tell_staleness(self, verdicts: Verdicts, answered: int) -> None:
        """Note that verdicts are stale; once the answer has begun it is too late for its header.

        Raises:
            StoreUnavailableError: it is.
        """
        if is_stale(verdicts) and not self._is_stale:
            if answered:
                raise StoreUnavailableError("away")
            self._is_stale = True


class PromptBatchVerification(PromptBatch[VerifyRequests]):
    """Does the same for callers that are known, with a batch that came whole."""

    role = VERIFY_ROLE
    kind = VerifyRequests

    def _accept(self, requests: VerifyRequests, place: int) -> None:
        accept(self._engine, requests, place)

    async def _carried_out(
        self, context: Context, requests: VerifyRequests, refused: int
    ) -> tuple[bytes, bytes]:
        slices = PromptSlices()
        verdicts = await self._engine.verify_requests(context.caller.tenant, requests, slices)
        noted = self._audit.write_soon("sigil.verified", VerifiedLines(context, verdicts))
        if noted is not None:
            await noted
        _count(context, verdicts, refused)
        return lines_of(stale_header(is_stale(verdicts))), await _answers(verdicts, slices)


def accept(engine: Engine, requests: VerifyRequests, place: int, text: bytes | None = None) -> None:
    """Accept a line that is not plain.

    Raises:
        CanonicalizationError, PayloadMissingError, ProblemError: it asks for no verdict.
    """
    request = read_request(requests.text(place) if text is None else text, _verify_request)
    payload = engine.payload_in(request.sigil) if request.data is msgspec.UNSET else payload_of(request.data)
    requests.accept(place, request.sigil, payload)


def is_stale(verdicts: Verdicts) -> bool:
    """Whether some may be overtaken."""
    return any(verdict.stale for verdict in verdicts.kinds)


def _count(context: Context, verdicts: Verdicts, refused: int) -> None:
    """Note what the lines came to."""
    valid, reasons = 0, dict[str, int]()
    for verdict, count in verdicts.counts.items():
        if verdict.reason is None:
            valid += count
        else:
            reasons[verdict.reason] = reasons.get(verdict.reason, 0) + count
    invalid = sum(reasons.values())
    context.add_outcomes({"valid": valid, "invalid": invalid, "refused": refused}, reasons)


async def _answers(verdicts: Verdicts, slices: TimeSlices) -> bytes:
    """The lines of the answer."""
    requests, chosen = verdicts.requests, verdicts.chosen
    kinds = [verdict_parts(verdict) for verdict in verdicts.kinds]
    answers = []
    for first, last in pieces_of(requests):
        answers.append(requests.answers(kinds, chosen[first:last], first, last))
        await slices.pause()
    return b"".join(answers)
