"""The record of a sigil, as the store keeps it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, NewType

import msgspec

from core.errors import RecordCorruptError, RecordUnverifiableError

#: JSON text in its RFC 8785 form. Only a canonicaliser's output may be called that.
CanonicalJson = NewType("CanonicalJson", bytes)

Status = Literal["active", "expired", "revoked"]

#: Why a record that is there cannot be shown.
Damage = RecordCorruptError | RecordUnverifiableError

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Record(msgspec.Struct, frozen=True):
    """One sealed payload of one tenant. Times are milliseconds since the Unix epoch.

    Attributes:
        id: the sigil's id, a UUIDv7 in its text form.
        expires_at_ms: 0 means never.
        payload: the canonical bytes that were sealed; ``None`` in listings, which leave them out.
        canonical_sha256: of the payload, 32 bytes.
        created_by: the subject whose token asked for it.
        revoked_at_ms: ``None`` while it is not revoked.
        stale: whether it comes from what this host knows while the store is away, so that somebody else
            may have revoked it. Never stored or sent.
    """

    tenant: str
    id: str
    sigil: str
    key_id: int
    issued_at_ms: int
    expires_at_ms: int
    payload: CanonicalJson | None
    canonical_sha256: bytes
    created_at_ms: int
    created_by: str
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None
    stale: bool = False

    def status(self, now_ms: int) -> Status:
        """Where the record stands; a revoked one stays revoked after its expiry."""
        if self.revoked_at_ms is not None:
            return "revoked"
        if self.expires_at_ms and now_ms >= self.expires_at_ms:
            return "expired"
        return "active"


class Listing(NamedTuple):
    """A piece of a listing.

    Attributes:
        records: newest first. One that cannot be shown has its error in its place, with its id.
        stale: whether more may be there, which cannot be seen while the store is away.
    """

    records: Sequence[Record | Damage]
    stale: bool = False


def is_id(text: str) -> bool:
    """Whether a text is a UUID of any version in its one spelling: what a listing can go on behind."""
    return _ID.fullmatch(text) is not None


def id_of(listed: Record | Damage) -> str:
    """The id of what stands in a listing, whether it can be shown or not."""
    return listed.id if isinstance(listed, Record) else listed.record_id


#: What happened: a record was sealed or revoked, or all records older than one were purged.
Step = Literal["sealed", "revoked", "purged"]


class Place(NamedTuple):
    """An entry's place in its tenant's history."""

    chain: str
    number: int


class Entry(msgspec.Struct, frozen=True):
    """One step of a tenant's history, chained to the one before it. Each writing process has its own chains.

    Attributes:
        chain: names the chain, 32 hexadecimal digits.
        number: counts from 1 within tenant and chain.
        record_id: of the record; of a purge, the id below which records were purged.
        at_ms: when, in milliseconds since the Unix epoch.
        previous: the SHA-256 of the seal before it, in base64url without padding. The first entry of a chain
            has that of the last one of the chain that it takes the place of, or nothing.
        seal: over all of the above and what it is about; see ``core.history.statements``.
    """

    tenant: str
    chain: str
    number: int
    step: Step
    record_id: str
    at_ms: int
    previous: str
    seal: str
