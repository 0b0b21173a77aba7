"""The resource ``/api/consciousness/sigils``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec
import structlog
from starlette.routing import Route

from app.api.audit_members import encoded, verified
from app.api.paths import BASE
from app.api.requests import payload_of, read_request
from app.api.resource import Secured
from app.api.schemas import (
    EncodeRequest,
    RevokeRequest,
    SigilPage,
    VerifyRequest,
    record_answer,
    record_with_data,
    verify_answer,
)
from app.authentication.access import Access
from app.authentication.roles import ENCODE_ROLE, READ_ROLE, REVOKE_ROLE, VERIFY_ROLE
from app.http.bodies import JSON, BodyLimits, BodyReader
from app.http.completion import Completion
from app.http.context import Context
from app.http.idempotency import idempotency_key
from app.http.queries import number_in, query_of, record_id_of, status_in
from app.http.replies import Reply, json_reply, stale_header
from app.http.resource import Handler, Resource
from app.limits.limits import RateLimits
from core.audit.interface import Audit, AuditEvent, Member
from core.engine import Engine, now_ms
from core.errors import RecordCorruptError, RecordNotFoundError, RecordUnverifiableError
from core.idempotency import Claimant
from core.records import CanonicalJson, Damage, Record

_T = TypeVar("_T")

_DEFAULT_LIMIT: Final = 50
_HIGHEST_LIMIT: Final = 200
#: What single items come to.
_SEALED_ONE: Final = {"sealed": 1}
_REPLAYED_ONE: Final = {"replayed": 1}
_VALID_ONE: Final = {"valid": 1}
_INVALID_ONE: Final = {"invalid": 1}
_REPLAYED: Final = (b"idempotency-replayed", b"true")

_log = structlog.get_logger("app.api")

_encode_request = msgspec.json.Decoder(EncodeRequest)
_verify_request = msgspec.json.Decoder(VerifyRequest)
_revoke_request = msgspec.json.Decoder(RevokeRequest)


class SigilRoutes:
    """The verbs over HTTP."""

    def __init__(
        self, engine: Engine, access: Access, limits: RateLimits, audit: Audit, body_limits: BodyLimits
    ) -> None:
        self._engine = engine
        self._access = access
        self._addresses = limits.addresses
        self._audit = audit
        self._bodies = BodyReader(body_limits)
        #: What changes the store is audited, whether or not its caller still waits.
        self._completion = Completion()

    def routes(self) -> list[Route]:
        """Where each verb lives."""
        limits = self._addresses
        collection = Resource(
            limits, get=self._for(READ_ROLE, self.list), post=self._for(ENCODE_ROLE, self.encode)
        )
        return [
            Route(BASE, collection),
            Route(BASE + "/verify", Resource(limits, post=self._for(VERIFY_ROLE, self.verify))),
            Route(BASE + "/{id}", Resource(limits, get=self._for(READ_ROLE, self.get))),
            Route(BASE + "/{id}/revoke", Resource(limits, post=self._for(REVOKE_ROLE, self.revoke))),
        ]

    def _for(self, role: str, handler: Handler) -> Secured:
        return Secured(role, handler, self._access)

    async def encode(self, context: Context) -> Reply:
        """Seal a payload and keep its record."""
        key = idempotency_key(context)
        request = await self._body(context, _encode_request)
        payload = payload_of(request.data)
        self._audit.check()
        record, replayed = await self._completion.of(self._encode(context, payload, request.expires_in, key))
        context.outcomes = _REPLAYED_ONE if replayed else _SEALED_ONE
        location = (b"location", f"{BASE}/{record.id}".encode())
        headers = (location, _REPLAYED) if replayed else (location,)
        return json_reply(201, record_answer(record, now_ms()), (*headers, *stale_header(record.stale)))

    async def _encode(
        self, context: Context, payload: CanonicalJson, expires_in: float | None, key: str | None
    ) -> tuple[Record, bool]:
        caller = context.caller
        replayed = False
        if key is None:
            record = await self._engine.encode(caller.tenant, caller.subject, payload, expires_in=expires_in)
        else:
            claimant = Claimant(caller.issuer, caller.subject)
            with self._noting(context, None):
                record, replayed = await self._engine.encode_once(
                    caller.tenant, claimant, payload, expires_in=expires_in, key=key
                )
        await self._audited(context, "sigil.encoded", **encoded(record, replayed=replayed))
        return record, replayed

    async def verify(self, context: Context) -> Reply:
        """Judge a sigil and a payload."""
        caller = context.caller
        request = await self._body(context, _verify_request)
        payload = None if request.data is msgspec.UNSET else payload_of(request.data)
        self._audit.check()
        verdict = await self._engine.verify(caller.tenant, request.sigil, payload)
        await self._audited(context, "sigil.verified", **verified(verdict))
        if verdict.reason is None:
            context.outcomes = _VALID_ONE
        else:
            context.outcomes, context.reasons = _INVALID_ONE, {verdict.reason: 1}
        return json_reply(200, verify_answer(verdict), stale_header(verdict.stale))

    async def list(self, context: Context) -> Reply:
        """The tenant's records, newest first."""
        caller = context.caller
        query = query_of(context, {"limit", "cursor", "status"})
        page = await self._engine.list(
            caller.tenant, limit=_limit(query), cursor=query.get("cursor"), status=status_in(query)
        )
        for damage in page.damages:
            _log.error("record withheld", tenant=caller.tenant, id=damage.record_id, cause=str(damage))
            self._note_withheld(context, damage)
        now = now_ms()
        shown = [record_answer(record, now) for record in page.records]
        answer = SigilPage(shown, page.next_cursor, page.stale, list(page.withheld))
        return json_reply(200, answer, stale_header(page.stale))

    async def get(self, context: Context) -> Reply:
        """One record with its payload."""
        caller = context.caller
        query_of(context, set())
        with self._noting(context, record_id := record_id_of(context)):
            record, sigil = await self._engine.get(caller.tenant, record_id)
        return json_reply(200, record_with_data(record, sigil, now_ms()), stale_header(record.stale))

    async def revoke(self, context: Context) -> Reply:
        """Revoke a record; the first time counts."""
        request = await self._body(context, _revoke_request)
        self._audit.check()
        record = await self._completion.of(self._revoke(context, request.reason))
        return json_reply(200, record_answer(record, now_ms()), stale_header(record.stale))

    async def _revoke(self, context: Context, reason: str) -> Record:
        caller = context.caller
        with self._noting(context, record_id := record_id_of(context)):
            record = await self._engine.revoke(caller.tenant, caller.subject, record_id, reason=reason)
        shown = record_answer(record, now_ms())
        await self._audited(
            context,
            "sigil.revoked",
            sigil_id=record.id,
            # The first time's, as the record has them: a second revocation changes nothing.
            revoked_at=shown.revoked_at,
            revoked_by=shown.revoked_by,
        )
        return record

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._completion.close()

    async def _audited(self, context: Context, event: AuditEvent, **members: Member) -> None:
        """Audit what the caller did; an answer that the log does not know of must not be given."""
        request_id = context.request_id.decode()
        await self._audit.write(event, request_id=request_id, **context.caller.named(), **members)

    @contextlib.contextmanager
    def _noting(self, context: Context, asked_for: str | None) -> Iterator[None]:
        """Audit that the caller's tenant has no such record, or that one is not what was sealed."""
        who = {**context.caller.named(), "peer": context.peer}
        request_id = context.request_id.decode()
        try:
            yield
        except RecordNotFoundError:
            self._audit.note("sigil.not_found", request_id=request_id, sigil_id=asked_for, **who)
            raise
        except (RecordCorruptError, RecordUnverifiableError) as error:
            self._note_withheld(context, error)
            raise

    def _note_withheld(self, context: Context, damage: Damage) -> None:
        """Audit that a record is there and is not shown."""
        self._audit.note(
            "sigil.withheld",
            request_id=context.request_id.decode(),
            sigil_id=damage.record_id,
            reason=damage.cause.partition(":")[0],  # more is for the operator's log
            **context.caller.named(),
            peer=context.peer,
        )

    async def _body(self, context: Context, decoder: msgspec.json.Decoder[_T]) -> _T:
        return read_request(await self._bodies.text(context, JSON), decoder)


def _limit(query: Mapping[str, str]) -> int:
    return number_in(query, "limit", 1, _HIGHEST_LIMIT) or _DEFAULT_LIMIT
