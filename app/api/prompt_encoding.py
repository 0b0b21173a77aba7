"""``POST /api/consciousness/sigils`` without a task, for whoever asks in the usual way."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from app.api.audit_members import encoded
from app.api.requests import payload_of, read_request
from app.api.schemas import EncodeRequest
from app.authentication.access import Access
from app.http.context import Context
from app.http.prompt import NO_HANDLERS, PromptAnswer, PromptHandlers
from core.audit.interface import Audit
from core.engine import Engine, now_ms
from core.records import Record
from core.timestamps import timestamp

_BASE: Final = "/api/consciousness/sigils"
_ROLE: Final = "sigil:encode"
_CREATED: Final = 201
#: What single items come to.
_SEALED_ONE: Final = {"sealed": 1}
_LINES: Final = f"location: {_BASE}/%b\r\ncontent-type: application/json\r\n".encode()

_encode_request = msgspec.json.Decoder(EncodeRequest)


class PromptEncoding:
    """A PromptHandler: does what ``SigilRoutes.encode`` does, for callers that are known."""

    def __init__(self, engine: Engine, access: Access, audit: Audit) -> None:
        self._engine = engine
        self._access = access
        self._audit = audit

    def takes(self, context: Context) -> bool:
        """See PromptHandler.takes."""
        if not context.head.is_plain:
            return False
        caller = self._access.known(context, _ROLE)
        if caller is None:
            return False
        context.caller = caller
        return True

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler.answer."""
        self._access.count(context, _ROLE)
        request = read_request(body, _encode_request)
        payload = payload_of(request.data)
        self._audit.check()
        caller = context.caller
        record, kept = self._engine.encode_soon(
            caller.tenant, caller.subject, payload, expires_in=request.expires_in
        )
        if kept is not None:
            await kept
        members = {"request_id": context.request_id.decode(), **caller.named(), **encoded(record)}
        noted = self._audit.write_soon("sigil.encoded", members)
        if noted is not None:
            await noted
        context.outcomes = _SEALED_ONE
        return PromptAnswer(_CREATED, _LINES % record.id.encode(), new_record_json(record, now_ms()))


def prompt_handlers(engine: Engine, access: Access, audit: Audit) -> PromptHandlers:
    """What is answered without a task; nothing, where somebody else must be asked in between."""
    if not (engine.is_prompt and access.is_prompt):
        return NO_HANDLERS
    return {("POST", _BASE): PromptEncoding(engine, access, audit)}


def new_record_json(record: Record, now: int) -> bytes:
    """A record that was just made, as ``record_answer`` shows it, in JSON."""
    issued_at = timestamp(record.issued_at_ms)
    created_at = issued_at if record.created_at_ms == record.issued_at_ms else timestamp(record.created_at_ms)
    expires_at = f'"{timestamp(record.expires_at_ms)}"' if record.expires_at_ms else "null"
    # Nothing in these texts needs to be escaped but the subject.
    return (
        f'{{"id":"{record.id}","sigil":"{record.sigil}","key_id":"{record.key_id:08x}",'
        f'"issued_at":"{issued_at}","expires_at":{expires_at},"status":"{record.status(now)}",'
        f'"canonical_sha256":"{record.canonical_sha256.hex()}","created_at":"{created_at}",'
        f'"created_by":{_in_json(record.created_by)},'
        '"revoked_at":null,"revoked_by":null,"revoked_reason":null}'
    ).encode()


@lru_cache(maxsize=4096)
def _in_json(text: str) -> str:
    return msgspec.json.encode(text).decode()
