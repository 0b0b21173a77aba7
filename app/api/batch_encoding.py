"""Seals for the lines of a batch, with a task or without."""

from __future__ import annotations

import msgspec

from app.api.audit_members import EncodedLines
from app.api.batch_lines import Payment, read_all
from app.api.prompt_batches import PromptBatch
from app.api.requests import payload_of, read_request
from app.api.schemas import EncodeRequest, record_parts
from app.authentication.roles import ENCODE_ROLE
from app.http.completion import Completion
from app.http.context import Context
from core.audit.interface import Audit
from core.engine import Engine, now_ms
from core.sealed_records import SealedRecords, pieces_of
from core.time_slices import PromptSlices, TimeSlices
from sigil_native import SealRequests

_encode_request = msgspec.json.Decoder(EncodeRequest)


class BatchEncoding:
    """Seals lines, all or none, and answers them, for whoever has a task."""

    def __init__(self, engine: Engine, audit: Audit, payment: Payment) -> None:
        self._engine = engine
        self._audit = audit
        self._payment = payment
        #: What changes the store is audited, whether or not its caller still waits.
        self._completion = Completion()

    async def answers(self, context: Context, requests: SealRequests, answered: int) -> bytes:
        """Seal lines behind those that were answered: the lines of the answer."""
        await self._payment.pay(context, len(requests), answered)
        refused = await read_all(requests, _accept, TimeSlices())
        await self._audit.set_aside(len(requests))
        at_once = self._engine.is_prompt
        records = await self._completion.of(self._keep(context, requests), at_once=at_once)
        context.add_outcomes(_outcomes(requests, refused))
        return await _answers(requests, records, TimeSlices())

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._completion.close()

    async def _keep(self, context: Context, requests: SealRequests) -> SealedRecords:
        """Keep lines for which there is room in the audit log."""
        caller = context.caller
        try:
            records = await self._engine.encode_requests(caller.tenant, caller.subject, requests)
            await self._audit.write_all("sigil.encoded", EncodedLines(context, records))
        finally:
            self._audit.give_back(len(requests))
        return records


class PromptBatchEncoding(PromptBatch[SealRequests]):
    """Does the same for callers that are known, with a batch that came whole."""

    role = ENCODE_ROLE
    kind = SealRequests

    def _accept(self, requests: SealRequests, place: int) -> None:
        _accept(requests, place)

    async def _carried_out(
        self, context: Context, requests: SealRequests, refused: int
    ) -> tuple[bytes, bytes]:
        caller = context.caller
        records = self._engine.seal_few(caller.tenant, caller.subject, requests)
        sequel = self._audit.sequel("sigil.encoded", EncodedLines(context, records))
        kept = self._engine.keep_soon(records, sequel)
        if kept is not None:
            await kept
        context.outcomes = _outcomes(requests, refused)
        return b"", await _answers(requests, records, PromptSlices())


def _outcomes(requests: SealRequests, refused: int) -> dict[str, int]:
    return {"sealed": len(requests) - refused, "refused": refused}


def _accept(requests: SealRequests, place: int) -> None:
    request = read_request(requests.text(place), _encode_request)
    requests.accept(place, payload_of(request.data), request.expires_in)


async def _answers(requests: SealRequests, records: SealedRecords, slices: TimeSlices) -> bytes:
    """The lines of the answer."""
    parts = (*record_parts(records.created_at_ms, records.created_by), b"\n")
    answers = []
    now = now_ms()
    for first, last in pieces_of(requests):
        answers.append(requests.answers(parts, first, last, now_ms=now))
        await slices.pause()
    return b"".join(answers)
