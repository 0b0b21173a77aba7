"""A store whose calls are spans of a trace."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import StatusCode, Tracer

from core.errors import DomainError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Damage, Entry, Listing, Record, Status
from core.store.interface import Store
from core.store.passing import PassingStore

_T = TypeVar("_T")


class TracedStore(PassingStore):
    """The Store protocol over another store: calls within a trace have a span each."""

    def __init__(self, store: Store, tracer: Tracer) -> None:
        super().__init__(store)
        self._tracer = tracer

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await self._traced("put", self._store.put(records, entries))

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return await self._traced("put_once", self._store.put_once(record, claim))

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        return await self._traced("get", self._store.get(tenant, record_id, with_payload=with_payload))

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | Damage]:
        """See Store.get_many."""
        call = self._store.get_many(tenant, record_ids, with_payload=with_payload)
        return await self._traced("get_many", call)

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """See Store.list."""
        call = self._store.list(
            tenant, limit=limit, before=before, status=status, now_ms=now_ms, with_payload=with_payload
        )
        return await self._traced("list", call)

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        call = self._store.revoke(tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms)
        return await self._traced("revoke", call)

    async def _traced(self, operation: str, call: Awaitable[_T]) -> _T:
        if not trace.get_current_span().get_span_context().is_valid:
            return await call
        # Nobody's texts: messages of errors may name records.
        span = self._tracer.start_span(f"store.{operation}", record_exception=False)
        token = context.attach(trace.set_span_in_context(span))
        try:
            return await call
        except BaseException as error:
            span.set_attribute("error.type", _kind(error))
            if not isinstance(error, DomainError) or isinstance(error, StoreUnavailableError):
                span.set_status(StatusCode.ERROR)
            raise
        finally:
            context.detach(token)
            span.end()


def _kind(error: BaseException) -> str:
    return error.reason if isinstance(error, StoreUnavailableError) else type(error).__name__
