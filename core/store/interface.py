"""What the engine asks of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.idempotency import Claim
from core.later import Later, Sequel
from core.records import Entry, Listing, Place, Record, Status


@runtime_checkable
class PromptStore(Protocol):
    """A store that also keeps and finds records for those who have no task to wait in."""

    def put_soon(self, records: Sequence[Record], sequel: Sequel | None = None) -> Later | None:
        """Begin to put; what is to be awaited then, if anything is. It raises as ``Store.put``.

        Where nothing is, all is kept, and a sequel is left to the caller. Otherwise it is begun when the
        records are durable, and what is to be awaited is the sequel's.
        """

    def find_soon(self, tenant: str, record_ids: Sequence[str]) -> Later:
        """Begin to do as ``Store.get_many`` does without payloads; what is to be awaited then."""


class Store(Protocol):
    """Keeps records, for each tenant apart: no call sees another tenant's records.

    Durability: a call that returns is durable: what it wrote survives the loss of the process and of power. A
    call that raises has acknowledged nothing. A call that is cancelled, or fails because the store is
    unavailable, may or may not have taken effect, wholly in either case.

    Order: whoever begins a call after another has returned sees what that has done. Calls at the same time
    have some order.

    Idempotency: every write may be made again, after an error or not. What has been done already is not done
    twice, and the answer is what it would have been.

    ``tests/service/store/contract.py`` holds every implementation to this. Every method that is
    awaited may raise StoreUnavailableError.
    """

    def start(self) -> None:
        """Begin what runs in the background, if anything does; in the event loop that all calls come from."""

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """Keep records, and entries of histories, all or none.

        A record that is there already, with the same seal and all else that it was made with, is kept as it
        is, with what has happened to it since. Likewise an entry.

        Raises:
            DuplicateRecordError: one of the ids, or places in a history, is taken by another.
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
            DuplicateRecordError: the record's id is taken by another.
            InvalidRecordError: the store cannot hold it.
        """

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """The tenant's record, or None.

        Raises:
            RecordCorruptError: it is there, and is no record; or not what was sealed, where that is checked.
            RecordUnverifiableError: the store checks seals, and the key ring cannot tell.
        """

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError | RecordUnverifiableError]:
        """Those of the tenant's records with these ids that there are, by id.

        A damaged one stops no other: it has its error in its place.
        """

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
        """At most ``limit`` records with ids below ``before``, newest first.

        A damaged one stops no other: it has its error in its place, and counts as they do. So whoever goes on
        behind the last of them, by ``id_of``, comes to the end. What has no id that could be told has no
        place: it is left out, and the log says so.
        """

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """Mark a record revoked and return it without its payload; None if there is none.

        A record that is revoked already stays as it is, with its first reason.
        """

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """At most ``limit`` entries of a tenant's history behind a place, by chain and number."""

    async def count(self) -> Mapping[str, int]:
        """How many records each tenant has. May take seconds.

        Tenants without records are there if they have entries.
        """

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """Delete at most ``limit`` of a tenant's oldest records with ids below ``before``; how many it were.

        Entries stay, and so do records that are not older.
        """

    async def probe(self) -> None:
        """Write something durably; raises if the store cannot."""

    async def close(self) -> None:
        """Finish what was accepted, then refuse everything."""
