"""Reading records and histories, and the calls that are about a store as a whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec

from app.dnastore.clients import require_tenant
from app.dnastore.lines import entries_of, listed, looked_up, shown
from app.dnastore.observation import ServerObserver
from app.dnastore.requests import read_request
from app.http.bodies import JSON, BodyReader
from app.http.completion import Completion
from app.http.context import Context
from app.http.problems import ProblemError
from app.http.queries import is_record_id, number_in, query_of, record_id_of, status_in
from app.http.replies import Reply, json_reply
from app.http.streams import Stream
from core.dnastore.allow_list import Grant
from core.dnastore.wire import MOST_LOOKED_UP, Lookup, Purge, Purged
from core.errors import RecordNotFoundError, StoreUnavailableError
from core.records import Place, is_id
from core.store.interface import Store
from core.tenants import is_tenant

_LARGEST: Final = (1 << 63) - 1
_CHAIN_DIGITS: Final = frozenset("0123456789abcdef")
_CHAIN_LENGTH: Final = 32

_lookup = msgspec.json.Decoder(Lookup)
_purge = msgspec.json.Decoder(Purge)


class RecordRoutes:
    """All calls but ``POST /v1/writes``."""

    def __init__(self, store: Store, bodies: BodyReader, observer: ServerObserver) -> None:
        self._store = store
        self._bodies = bodies
        self._observer = observer
        self._completion = Completion()

    async def get(self, context: Context, grant: Grant) -> Reply:
        """One record."""
        query = query_of(context, {"tenant", "payload"})
        tenant, with_payload = _tenant(query, grant), _payload(query)
        record = await self._store.get(tenant, record_id_of(context), with_payload=with_payload)
        if record is None:
            raise RecordNotFoundError("the tenant has no record with this id")
        return json_reply(200, shown(record))

    async def look_up(self, context: Context, grant: Grant) -> Stream:
        """Those of some records that there are."""
        query_of(context, set())
        wanted = read_request(await self._bodies.text(context, JSON), _lookup)
        _check_tenant(wanted.tenant, "/tenant")
        require_tenant(grant, wanted.tenant)
        if len(wanted.ids) > MOST_LOOKED_UP or not all(map(is_record_id, wanted.ids)):
            raise ProblemError(
                "invalid_request", f"at most {MOST_LOOKED_UP} ids, each a UUIDv7", pointer="/ids"
            )
        return Stream(looked_up(self._store, wanted.tenant, wanted.ids, with_payload=wanted.payload))

    async def list(self, context: Context, grant: Grant) -> Stream:
        """A tenant's records, newest first."""
        query = query_of(context, {"tenant", "limit", "before", "status", "now_ms", "payload"})
        tenant = _tenant(query, grant)
        before = query.get("before")
        # Of any version: it may be that of a damaged record, which the listing goes on behind.
        if before is not None and not is_id(before):
            raise ProblemError("invalid_query", "before is a record's id")
        now = number_in(query, "now_ms", 0, _LARGEST)
        return Stream(
            listed(
                self._store,
                tenant,
                limit=number_in(query, "limit", 1, _LARGEST),
                before=before,
                status=status_in(query),
                now_ms=int(time.time() * 1000) if now is None else now,
                with_payload=_payload(query),
            )
        )

    async def entries(self, context: Context, grant: Grant) -> Stream:
        """A tenant's history, behind a place."""
        query = query_of(context, {"tenant", "chain", "number", "limit"})
        tenant = _tenant(query, grant)
        limit = number_in(query, "limit", 1, _LARGEST)
        return Stream(entries_of(self._store, tenant, after=_place(query), limit=limit))

    async def counts(self, context: Context, grant: Grant) -> Reply:
        """How many records each tenant has that the caller may touch."""
        query_of(context, set())
        counts = await self._store.count()
        return json_reply(200, {tenant: records for tenant, records in counts.items() if tenant in grant})

    async def purge(self, context: Context, grant: Grant) -> Reply:
        """Delete a tenant's oldest records."""
        query_of(context, set())
        wanted = read_request(await self._bodies.text(context, JSON), _purge)
        _check_tenant(wanted.tenant, "/tenant")
        require_tenant(grant, wanted.tenant)
        if not is_record_id(wanted.before):
            raise ProblemError("invalid_request", "before is a record's id", pointer="/before")
        if not 1 <= wanted.limit <= _LARGEST:
            raise ProblemError("invalid_request", f"limit is a number from 1 to {_LARGEST}", pointer="/limit")
        work = self._store.purge(wanted.tenant, before=wanted.before, limit=wanted.limit)
        return json_reply(200, Purged(await self._completion.of(work)))

    async def probe(self, context: Context, _: Grant) -> Reply:
        """Write something durably."""
        query_of(context, set())
        await self.probe_store()
        return Reply(204, b"")

    async def probe_store(self) -> None:
        """See ``Store.probe``; whoever counts is told what comes of it."""
        try:
            await self._store.probe()
        except StoreUnavailableError as error:
            self._observer.store_failed(error)
            raise
        self._observer.store_works()

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._completion.close()


def _tenant(query: Mapping[str, str], grant: Grant) -> str:
    tenant = query.get("tenant")
    if tenant is None or not is_tenant(tenant):
        raise ProblemError("invalid_query", "tenant is required: 1 to 128 bytes of UTF-8, without NUL")
    require_tenant(grant, tenant)
    return tenant


def _check_tenant(tenant: str, pointer: str) -> None:
    if not is_tenant(tenant):
        detail = "a tenant has 1 to 128 bytes of UTF-8, without NUL"
        raise ProblemError("invalid_request", detail, pointer=pointer)


def _payload(query: Mapping[str, str]) -> bool:
    text = query.get("payload", "false")
    if text not in {"true", "false"}:
        raise ProblemError("invalid_query", "payload is true or false")
    return text == "true"


def _place(query: Mapping[str, str]) -> Place | None:
    chain, number = query.get("chain"), number_in(query, "number", 0, _LARGEST)
    if chain is None and number is None:
        return None
    if chain is None or number is None:
        raise ProblemError("invalid_query", "chain and number are a place together")
    if len(chain) != _CHAIN_LENGTH or not _CHAIN_DIGITS.issuperset(chain):
        raise ProblemError("invalid_query", f"chain has {_CHAIN_LENGTH} hexadecimal digits")
    return Place(chain, number)
