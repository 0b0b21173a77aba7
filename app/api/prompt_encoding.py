"""``POST /api/consciousness/sigils`` without a task, for whoever asks in the usual way."""

from __future__ import annotations

from typing import Final

import msgspec

from app.api.audit_members import EncodedLines
from app.api.paths import BASE
from app.api.requests import payload_of, read_request
from app.api.schemas import EncodeRequest, record_parts
from app.authentication.access import Access
from app.authentication.roles import ENCODE_ROLE
from app.http.context import Context
from app.http.prompt import PromptAnswer
from core.audit.interface import Audit
from core.engine import Engine, now_ms
from sigil_native import SealRequests

_CREATED: Final = 201
#: What single items come to.
_SEALED_ONE: Final = {"sealed": 1}
_LINES: Final = f"location: {BASE}/%b\r\ncontent-type: application/json\r\n".encode()

_encode_request = msgspec.json.Decoder(EncodeRequest)


class PromptEncoding:
    """A PromptHandler: does what ``SigilRoutes.encode`` does, for callers that are known."""

    def __init__(self, engine: Engine, access: Access, audit: Audit) -> None:
        self._engine = engine
        self._access = access
        self._audit = audit

    def takes(self, context: Context) -> bool:
        """See PromptHandler.takes."""
        return context.head.is_plain and self._access.knows(context, ENCODE_ROLE)

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler.answer."""
        self._access.count(context, ENCODE_ROLE)
        requests = seal_request(body)
        self._audit.check()
        caller = context.caller
        records = self._engine.seal_few(caller.tenant, caller.subject, requests)
        sequel = self._audit.sequel("sigil.encoded", EncodedLines(context, records))
        kept = self._engine.keep_soon(records, sequel)
        if kept is not None:
            await kept
        context.outcomes = _SEALED_ONE
        parts = record_parts(records.created_at_ms, caller.subject)
        text = requests.answers(parts, 0, 1, now_ms=now_ms())
        return PromptAnswer(_CREATED, _LINES % records.ids[0].encode(), text)


def seal_request(body: bytes) -> SealRequests:
    """What a body asks for, read.

    Raises:
        CanonicalizationError, ProblemError: see ``read_request``.
    """
    requests = SealRequests(body, most=2)
    if len(requests) == 1 and not requests.read(0, 1):
        return requests
    # It is not plain; or it has several lines, which are one text here.
    request = read_request(body, _encode_request)
    requests = SealRequests(b"{}", most=1)
    requests.accept(0, payload_of(request.data), request.expires_in)
    return requests
