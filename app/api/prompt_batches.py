"""Batches that came whole, without a task, for callers that are known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Generic, TypeVar

from app.api.batch_lines import Payment, read_all
from app.authentication.access import Access
from app.http.bodies import LINES
from app.http.context import Context
from app.http.lines import MOST_LINES, requests_of
from app.http.problems import ProblemError
from app.http.prompt import PromptAnswer
from app.http.replies import lines_of
from core.audit.interface import Audit
from core.engine import Engine
from core.errors import AuditUnavailableError
from core.time_slices import PromptSlices
from sigil_native import SealRequests, VerifyRequests

_OK: Final = 200
_CONTENT_TYPE: Final = b"content-type: %b\r\n" % LINES.name

_Requests = TypeVar("_Requests", SealRequests, VerifyRequests)


class PromptBatch(ABC, Generic[_Requests]):
    """A PromptHandler for lines that ask for one verb.

    Such a batch has the size of a piece of a stream, so that it is worked on in one go.
    """

    #: What its callers need.
    role: ClassVar[str]
    #: What the lines are.
    kind: type[_Requests]

    def __init__(self, engine: Engine, access: Access, audit: Audit, payment: Payment) -> None:
        self._engine = engine
        self._access = access
        self._audit = audit
        self._payment = payment

    def takes(self, context: Context) -> bool:
        """See PromptHandler.takes."""
        head = context.head
        if head.content_type != LINES.name or head.content_encoding or head.idempotency_keys:
            return False
        if context.query_string:
            return False  # it may be about a stream
        # Who must wait for room in the audit log needs a task for it.
        return self._audit.has_places(MOST_LINES) and self._access.knows(context, self.role)

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler.answer."""
        requests = self._paid_at_once(context, body)
        if requests is None:
            requests = await self._paid(context, body)
        # At once: nobody else had a turn since there was room. But where nobody waits until lines are
        # written, the store's thread may have queued others.
        await self._audit.set_aside(len(requests))
        try:
            refused = await read_all(requests, self._accept, PromptSlices())
            headers, lines = await self._carried_out(context, requests, refused)
        finally:
            self._audit.give_back(len(requests))
        return PromptAnswer(_OK, _CONTENT_TYPE + headers, lines)

    @abstractmethod
    def _accept(self, requests: _Requests, place: int) -> None:
        """Accept a line that is not plain; its error is the line's."""

    @abstractmethod
    async def _carried_out(self, context: Context, requests: _Requests, refused: int) -> tuple[bytes, bytes]:
        """Do what the lines ask for, and note what they came to: the answer's own headers, and its lines."""

    def _paid_at_once(self, context: Context, body: bytes) -> _Requests | None:
        """The lines, paid for in one go; None, and nothing is done: something is in the way."""
        try:
            requests = requests_of(body, self.kind)
            self._audit.check()
        except (ProblemError, AuditUnavailableError):
            return None
        if not self._access.counts_all(context, self.role, len(requests)):
            return None
        context.items = len(requests)
        return requests

    async def _paid(self, context: Context, body: bytes) -> _Requests:
        """The lines, paid for step by step, which tells what is in the way."""
        self._access.count(context, self.role)
        requests = requests_of(body, self.kind)
        try:
            await self._payment.pay(context, len(requests), 0)
        finally:
            _tell_rates(context)
        return requests


def _tell_rates(context: Context) -> None:
    """What was said when the request was let in is overtaken by what its lines came to, if that was told."""
    if context.rate_headers:
        context.rate_lines, context.rate_headers = lines_of(context.rate_headers), ()
