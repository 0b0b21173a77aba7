"""Encode and verify, many in a request: a line of the body for each, and a line of the answer."""

from __future__ import annotations

from starlette.routing import Route

from app.api.batch_encoding import BatchEncoding
from app.api.batch_lines import Payment
from app.api.batch_streams import answers_to, wants_stream
from app.api.batch_verification import BatchVerification
from app.api.paths import BASE
from app.api.resource import Secured
from app.authentication.access import Access
from app.authentication.roles import ENCODE_ROLE, VERIFY_ROLE
from app.http.bodies import LINES, BodyLimits, BodyReader
from app.http.context import Context
from app.http.lines import requests_of
from app.http.problems import ProblemError
from app.http.replies import Reply
from app.http.resource import Resource
from app.http.streams import Stream
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine
from sigil_native import SealRequests, VerifyRequests


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
        verify = Secured(VERIFY_ROLE, self.verify, self._access)
        return [
            Route(BASE + "/batch", Resource(addresses, post=encode)),
            Route(BASE + "/verify/batch", Resource(addresses, post=verify)),
        ]

    async def encode(self, context: Context) -> Reply | Stream:
        """Seal payloads and keep their records."""
        if context.head.idempotency_keys:
            raise ProblemError("idempotency_key_refused", "a batch takes no Idempotency-Key")
        if wants_stream(context):
            body = self._bodies.stream(context, LINES)
            answers = answers_to(context, body, SealRequests, self._encoding.answers)
            return Stream(answers, reads_body=True)
        requests = requests_of(await self._bodies.text(context, LINES), SealRequests)
        return Reply(200, await self._encoding.answers(context, requests, 0), media_type=LINES.name)

    async def verify(self, context: Context) -> Reply | Stream:
        """Judge sigils and payloads."""
        verification = BatchVerification(self._engine, self._audit, self._payment)
        if wants_stream(context):
            body = self._bodies.stream(context, LINES)
            answers = answers_to(context, body, VerifyRequests, verification.answers)
            return Stream(answers, reads_body=True, headers=verification.headers)
        requests = requests_of(await self._bodies.text(context, LINES), VerifyRequests)
        answer = await verification.answers(context, requests, 0)
        return Reply(200, answer, verification.headers(), LINES.name)

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._encoding.close()
