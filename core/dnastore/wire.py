"""What is sent between a DNAStore and its clients: JSON over HTTPS with mutual TLS.

Every write may be sent again: what has been done already is not done twice, and its outcome is the same.
Payloads stand in the JSON as they are, byte for byte, because they are canonical JSON themselves.

| call | what |
|---|---|
| ``POST /v1/writes`` | ``WriteRequest`` → ``WriteReply``, an outcome for each write, in order |
| ``GET /v1/records/{id}?tenant=`` ``&payload=true`` | ``WireRecord``, or 404 with code ``not_found`` |
| ``POST /v1/lookups`` | ``Lookup`` → lines, one for each record that there is |
| ``GET /v1/records?tenant=`` ``&limit=&before=&status=&now_ms=&payload=true`` | lines, newest first |
| ``GET /v1/entries?tenant=`` ``&chain=&number=&limit=`` | lines: the history behind this place |
| ``GET /v1/counts`` | ``{tenant: records}`` of the tenants that the caller may see |
| ``POST /v1/purges`` | ``Purge`` → ``{"purged": n}`` |
| ``POST /v1/probe`` | 204 when something has been written durably |

A failing write fails alone. Without ``limit`` all is listed. Lines are ``application/x-ndjson``, each a
``Line``; the last one says ``end``, so that an answer that was cut off is not taken for whole. Errors are RFC
9457 problems with the service's codes, among them ``store_unavailable`` (503, with ``Retry-After``),
``store_overloaded`` (503), ``client_forbidden`` and ``tenant_forbidden`` (403).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from core.idempotency import Claim
from core.records import CanonicalJson, Entry, Record

PREFIX: Final = "/v1"
#: Bounds of one request; a client sends less, a server refuses more. Listings may be of any length.
MOST_WRITES: Final = 1000
MOST_RECORDS: Final = 2000
MOST_LOOKED_UP: Final = 1000
MOST_LISTED: Final = 1000

#: What became of a write. ``done`` is durable. Of ``unavailable`` and ``overloaded`` nobody knows more than
#: that they may be sent again; the others will be the same next time. ``damaged``: the record that it is
#: about is in the store, and cannot be read.
Outcome = Literal[
    "done",
    "duplicate",
    "invalid",
    "key_reused",
    "not_found",
    "damaged",
    "forbidden",
    "unavailable",
    "overloaded",
]


class WireRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ``Record`` as it is sent. Bytes other than the payload are base64."""

    tenant: str
    id: str
    sigil: str
    key_id: int
    issued_at_ms: int
    expires_at_ms: int
    canonical_sha256: bytes
    created_at_ms: int
    created_by: str
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, record: Record) -> WireRecord:
        """The record, with its payload if it has one."""
        return cls(
            tenant=record.tenant,
            id=record.id,
            sigil=record.sigil,
            key_id=record.key_id,
            issued_at_ms=record.issued_at_ms,
            expires_at_ms=record.expires_at_ms,
            canonical_sha256=record.canonical_sha256,
            created_at_ms=record.created_at_ms,
            created_by=record.created_by,
            revoked_at_ms=record.revoked_at_ms,
            revoked_by=record.revoked_by,
            revoked_reason=record.revoked_reason,
            payload=msgspec.UNSET if record.payload is None else msgspec.Raw(record.payload),
        )

    def record(self) -> Record:
        """The record that was sent."""
        payload = None if self.payload is msgspec.UNSET else CanonicalJson(bytes(self.payload))
        return Record(
            tenant=self.tenant,
            id=self.id,
            sigil=self.sigil,
            key_id=self.key_id,
            issued_at_ms=self.issued_at_ms,
            expires_at_ms=self.expires_at_ms,
            payload=payload,
            canonical_sha256=self.canonical_sha256,
            created_at_ms=self.created_at_ms,
            created_by=self.created_by,
            revoked_at_ms=self.revoked_at_ms,
            revoked_by=self.revoked_by,
            revoked_reason=self.revoked_reason,
        )


class Put(msgspec.Struct, frozen=True, tag="put", tag_field="kind"):
    """See ``Store.put``: all or none of these."""

    records: list[WireRecord]
    entries: list[Entry] = []


class PutOnce(msgspec.Struct, frozen=True, tag="put_once", tag_field="kind"):
    """See ``Store.put_once``. The outcome has the record that is kept, without its payload."""

    record: WireRecord
    claim: Claim


class Revoke(msgspec.Struct, frozen=True, tag="revoke", tag_field="kind"):
    """See ``Store.revoke``. The outcome has the record without its payload."""

    tenant: str
    id: str
    reason: str
    revoked_by: str
    now_ms: int


Write = Put | PutOnce | Revoke


class WriteRequest(msgspec.Struct, frozen=True):
    """Writes of any tenants; each is all or none, and fails alone."""

    writes: list[Write]


class WriteResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one write."""

    outcome: Outcome
    record: WireRecord | None = None
    damaged: str | None = None


class WriteReply(msgspec.Struct, frozen=True):
    """The outcomes, in the writes' order."""

    results: list[WriteResult]


class Lookup(msgspec.Struct, frozen=True):
    """Ids to look up, see ``Store.get_many``."""

    tenant: str
    ids: list[str]
    payload: bool = False


class Purge(msgspec.Struct, frozen=True):
    """See ``Store.purge``."""

    tenant: str
    before: str
    limit: int


class Purged(msgspec.Struct, frozen=True):
    """How many records were deleted."""

    purged: int


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a stream: one of these.

    Attributes:
        damaged: the id of a record that is in the store and cannot be read.
        end: whether this is the last line, and the stream whole.
    """

    record: WireRecord | None = None
    entry: Entry | None = None
    damaged: str | None = None
    end: bool = False
