"""What an entry of a history states, and its seal.

An entry's *statement* is a JSON object of its own members and ``about``, the SHA-256 of what it is about. That is
an object too, made of the record, and not kept with the entry: whoever has the record makes it again. The seal
is ``SIGIL.ABOUT``: a sigil over the statement, and ``about`` itself, so that an entry can be checked when its record
is purged.

The sigil is bound to a tenant that nobody can have, made of the real one's name: no sigil that the service gives
out passes for one of an entry.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Final

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.records import Entry, Place, Record, Step
from core.seals import checked_seal
from sigil_native import SigilCodec, canonicalize

#: Begins with what no tenant's name may contain; see ``core.tenants``.
_DOMAIN: Final = "\0history "
#: SHA-256 in base64url without padding.
_DIGEST_LENGTH: Final = 43
NOTHING: Final[dict[str, object]] = {}


def sealing_of(record: Record) -> dict[str, object]:
    """What the entry of a record's sealing is about."""
    return {
        "canonical_sha256": record.canonical_sha256.hex(),
        "created_at_ms": record.created_at_ms,
        "created_by": record.created_by,
        "expires_at_ms": record.expires_at_ms,
        "sigil": record.sigil,
    }


def revocation_of(record: Record) -> dict[str, object]:
    """What the entry of a record's revocation is about."""
    return {
        "revoked_at_ms": record.revoked_at_ms,
        "revoked_by": record.revoked_by,
        "revoked_reason": record.revoked_reason,
    }


def digest(about: dict[str, object]) -> str:
    """The SHA-256 of the canonical JSON of what an entry is about, in base64url without padding.

    Raises:
        CanonicalizationError: it has none.
    """
    hashed = hashlib.sha256(canonicalize(about, integers="exact")).digest()
    return base64.urlsafe_b64encode(hashed)[:_DIGEST_LENGTH].decode()


def about_of(entry: Entry) -> str:
    """The digest that an entry's seal holds; a claim, until the seal is checked."""
    return entry.seal.partition(".")[2]


def seal_entry(
    codec: SigilCodec,
    place: Place,
    previous: str,
    *,
    tenant: str,
    step: Step,
    record_id: str,
    about: dict[str, object],
    at_ms: int,
) -> Entry:
    """Make the entry of a place, behind the entry with the seal ``previous``.

    Raises:
        SigilError: no key may sign now, or something has no canonical JSON.
    """
    hashed = digest(about)
    statement = _statement(tenant, place, step, record_id, at_ms, previous, hashed)
    sigil = codec.encode(statement, tenant=_sealing_tenant(tenant))
    return Entry(tenant, place.chain, place.number, step, record_id, at_ms, previous, f"{sigil}.{hashed}")


def check_entry(codec: SigilCodec, entry: Entry) -> None:
    """Check an entry's seal.

    Raises:
        RecordCorruptError: it is not what was sealed.
        RecordUnverifiableError: the key ring cannot tell.
    """
    sigil, _, about = entry.seal.partition(".")
    place = Place(entry.chain, entry.number)
    statement = _statement(
        entry.tenant, place, entry.step, entry.record_id, entry.at_ms, entry.previous, about
    )
    name = f"{entry.chain}:{entry.number}"
    if len(about) != _DIGEST_LENGTH:
        raise RecordCorruptError(name, "seal")
    canonical = canonicalize(statement, integers="exact")
    checked_seal(codec, sigil, canonical, tenant=_sealing_tenant(entry.tenant), at_ms=entry.at_ms, name=name)


def is_authentic(codec: SigilCodec, entry: Entry) -> bool:
    """Whether an entry's seal holds, as far as the key ring can tell."""
    try:
        check_entry(codec, entry)
    except (RecordCorruptError, RecordUnverifiableError):
        return False
    return True


def _statement(
    tenant: str, place: Place, step: Step, record_id: str, at_ms: int, previous: str, about: str
) -> dict[str, object]:
    return {
        "about": about,
        "at_ms": at_ms,
        "chain": place.chain,
        "number": place.number,
        "previous": previous,
        "record_id": record_id,
        "step": step,
        "tenant": tenant,
    }


@lru_cache(maxsize=1024)
def _sealing_tenant(tenant: str) -> str:
    return _DOMAIN + hashlib.sha256(tenant.encode()).hexdigest()
