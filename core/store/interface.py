"""What the engine asks of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.errors import RecordCorruptError
from core.idempotency import Claim
from core.records import Record, Status


class Store(Protocol):
    """Keeps records, for each tenant apart: no call sees another tenant's records.

    A call that returns is durable: what it wrote survives the loss of the process and of power. A
    call that raises has acknowledged nothing. A call that is cancelled may or may not have taken
    effect, wholly in either case.

    Every method may raise StoreUnavailableError.
    """

    async def put(self, records: Sequence[Record]) -> None:
        """Keep records, all or none.

        Raises:
            DuplicateRecordError: one of the ids is taken.
            InvalidRecordError: the store cannot hold one of them.
        """

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """Keep a record under an idempotency key, unless an earlier one is kept under it.

        Key and record are kept together or not at all: a call that fails leaves the key free. Of
        calls with one key, in however many processes, one keeps its record and the others get that.

        Returns:
            The record, or the earlier one as it stands now, without its payload.

        Raises:
            IdempotencyKeyReusedError: the earlier request asked for something else.
            DuplicateRecordError: the record's id is taken.
            InvalidRecordError: the store cannot hold it.
        """

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """The tenant's record, or None."""

    async def get_many(
        self, tenant: str, record_ids: Sequence[str]
    ) -> Mapping[str, Record | RecordCorruptError]:
        """Those of the tenant's records with these ids that there are, by id, without their payloads.

        A damaged one stops no other: it has its error in its place.
        """

    async def list(
        self, tenant: str, *, limit: int, before: str | None, status: Status | None, now_ms: int
    ) -> Sequence[Record]:
        """At most ``limit`` records with ids below ``before``, newest first, without their payloads."""

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """Mark a record revoked and return it without its payload; None if there is none.

        A record that is revoked already stays as it is, with its first reason.
        """

    async def probe(self) -> None:
        """Write something durably; raises if the store cannot."""

    async def close(self) -> None:
        """Finish what was accepted, then refuse everything."""
