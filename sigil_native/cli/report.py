"""A sigil's fields, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sigil_native._constants import MAX_EXPIRY_MS

if TYPE_CHECKING:
    from sigil_native import Sigil
    from sigil_native.errors import SigilError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_text(milliseconds: int) -> str:
    """RFC 3339 in UTC; the bare number where no calendar reaches."""
    if milliseconds > MAX_EXPIRY_MS:
        return f"{milliseconds} ms after 1970"
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fields_for_people(sigil: Sigil) -> dict[str, object]:
    """Rows of a table."""
    expiry = moment_text(sigil.expires_at_ms) if sigil.expires_at_ms else "never"
    return {
        "id": sigil.id,
        "key id": f"{sigil.key_id:08x}",
        "issued at": moment_text(sigil.issued_at_ms),
        "expires at": expiry,
    }


def fields_for_programs(sigil: Sigil) -> dict[str, object]:
    """Members of a JSON object, named as in ``verify_ndjson``; expiry 0 is never."""
    return {
        "id": sigil.id,
        "key_id": f"{sigil.key_id:08x}",
        "issued_at_ms": sigil.issued_at_ms,
        "expires_at_ms": sigil.expires_at_ms,
    }


def refusal_fields(error: SigilError) -> dict[str, object]:
    """A seal that does not hold, as ``verify_ndjson`` words it."""
    return {"valid": False, "error": error.code, "message": str(error)}
