"""Records for tests of stores."""

from __future__ import annotations

from uuid import UUID

from core.records import CanonicalJson, Entry, Listing, Record


def record(number: int, *, tenant: str = "acme", payload: bytes = b"{}", expires_at_ms: int = 0) -> Record:
    """A record whose id and times ascend with its number."""
    return Record(
        tenant=tenant,
        id=record_id(number),
        sigil=f"sigil {number}",
        key_id=0xFFFFFFFF,
        issued_at_ms=number,
        expires_at_ms=expires_at_ms,
        payload=CanonicalJson(payload),
        canonical_sha256=bytes(32),
        created_at_ms=number,
        created_by="tester",
    )


def record_id(number: int) -> str:
    """An id that ascends with its number."""
    return str(UUID(int=(number << 80) | (7 << 76) | (2 << 62)))


def records_of(listing: Listing) -> list[Record]:
    """The records of a listing, of which none may be damaged."""
    records = [one for one in listing.records if isinstance(one, Record)]
    assert len(records) == len(listing.records), listing
    return records


def entry(number: int, *, tenant: str = "acme", chain: str = "a") -> Entry:
    """An entry of a chain, which is named by the beginning of its name."""
    return Entry(
        tenant=tenant,
        chain=chain.ljust(32, "0"),
        number=number,
        step="sealed",
        record_id=record_id(number),
        at_ms=number,
        previous=f"seal {number - 1}",
        seal=f"seal {number}",
    )
