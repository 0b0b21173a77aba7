"""``POST /api/consciousness/sigils/verify`` without a task, for whoever asks in the usual way."""

from __future__ import annotations

from typing import Final

from app.api.audit_members import VerifiedLines
from app.api.batch_verification import accept
from app.api.schemas import verdict_parts
from app.authentication.access import Access
from app.authentication.roles import VERIFY_ROLE
from app.http.context import Context
from app.http.prompt import PromptAnswer
from app.http.replies import lines_of, stale_header
from core.audit.interface import Audit
from core.engine import Engine
from core.time_slices import PromptSlices
from sigil_native import VerifyRequests

_OK: Final = 200
_CONTENT_TYPE: Final = b"content-type: application/json\r\n"
#: What single items come to.
_VALID_ONE: Final = {"valid": 1}
_INVALID_ONE: Final = {"invalid": 1}


class PromptVerification:
    """A PromptHandler: does what ``SigilRoutes.verify`` does, for callers that are known."""

    def __init__(self, engine: Engine, access: Access, audit: Audit) -> None:
        self._engine = engine
        self._access = access
        self._audit = audit

    def takes(self, context: Context) -> bool:
        """See PromptHandler.takes."""
        return context.head.is_plain and self._access.knows(context, VERIFY_ROLE)

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler.answer."""
        self._access.count(context, VERIFY_ROLE)
        requests = self._request(body)
        self._audit.check()
        verdicts = await self._engine.verify_requests(context.caller.tenant, requests, PromptSlices())
        noted = self._audit.write_soon("sigil.verified", VerifiedLines(context, verdicts))
        if noted is not None:
            await noted
        (place,) = verdicts.chosen
        verdict = verdicts.kinds[place]
        if verdict.reason is None:
            context.outcomes = _VALID_ONE
        else:
            context.outcomes, context.reasons = _INVALID_ONE, {verdict.reason: 1}
        line = requests.answers([verdict_parts(verdict)], [0], 0, 1)
        headers = _CONTENT_TYPE + lines_of(stale_header(True)) if verdict.stale else _CONTENT_TYPE
        return PromptAnswer(_OK, headers, line[:-1])

    def _request(self, body: bytes) -> VerifyRequests:
        requests = VerifyRequests(body, most=2)
        if len(requests) == 1 and not requests.read(0, 1):
            return requests
        # It is not plain; or it has several lines, which are one text here.
        requests = VerifyRequests(b"{}", most=1)
        accept(self._engine, requests, 0, body)
        return requests
