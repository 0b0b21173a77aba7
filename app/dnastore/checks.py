"""What a store would be asked to keep, and must not."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from app.http.queries import is_record_id
from core.dnastore.wire import Put, PutOnce, Revoke, WireRecord, Write
from core.records import Entry
from core.tenants import is_tenant
from sigil_native import CanonicalizationError, canonicalize_json

_CHAIN: Final = re.compile(r"[0-9a-f]{32}")
_DIGEST_BYTES: Final = 32
_LARGEST: Final = (1 << 63) - 1
_LARGEST_KEY_ID: Final = (1 << 32) - 1


def is_canonical(payload: bytes) -> bool:
    """Whether bytes are JSON in its RFC 8785 form, and so can stand in an answer as they are."""
    try:
        # As the service canonicalises again what is canonical: 1e17 came to it as 1e17.
        return canonicalize_json(payload, integers="exact") == payload
    except CanonicalizationError:
        return False


def is_sound(write: Write) -> bool:
    """Whether every part of a write is what it must be; a store may still refuse it."""
    if isinstance(write, Put):
        return all(map(_is_record, write.records)) and all(map(_is_entry, write.entries))
    if isinstance(write, PutOnce):
        digests = (write.claim.key_digest, write.claim.request_digest)
        return _is_record(write.record) and all(len(digest) == _DIGEST_BYTES for digest in digests)
    return is_tenant(write.tenant) and is_record_id(write.id) and _fits(write.now_ms)


def tenants_of(write: Write) -> set[str]:
    """Whom a write is about."""
    if isinstance(write, Put):
        return {record.tenant for record in write.records} | {entry.tenant for entry in write.entries}
    return {write.tenant if isinstance(write, Revoke) else write.record.tenant}


def _is_record(record: WireRecord) -> bool:
    times = (record.issued_at_ms, record.expires_at_ms, record.created_at_ms, record.revoked_at_ms or 0)
    return (
        is_tenant(record.tenant)
        and is_record_id(record.id)
        and 0 <= record.key_id <= _LARGEST_KEY_ID
        and all(map(_fits, times))
        and len(record.canonical_sha256) == _DIGEST_BYTES
        and record.payload is not msgspec.UNSET
        and is_canonical(bytes(record.payload))
    )


def _is_entry(entry: Entry) -> bool:
    return (
        is_tenant(entry.tenant)
        and _CHAIN.fullmatch(entry.chain) is not None
        and 1 <= entry.number <= _LARGEST
        and is_record_id(entry.record_id)
        and _fits(entry.at_ms)
    )


def _fits(number: int) -> bool:
    """Whether a store's 64 bits hold it."""
    return -_LARGEST - 1 <= number <= _LARGEST
