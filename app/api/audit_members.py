"""What the audit log has of what callers did, besides who they are."""

from __future__ import annotations

from core.audit.interface import Member
from core.records import Record
from core.verdict import Verdict


def encoded(record: Record, *, replayed: bool = False) -> dict[str, Member]:
    """Of ``sigil.encoded``."""
    return {
        "sigil_id": record.id,
        "sealing_key": f"{record.key_id:08x}",
        "replayed": replayed or None,
    }


def verified(verdict: Verdict) -> dict[str, Member]:
    """Of ``sigil.verified``."""
    claimed = verdict.sigil
    return {
        "valid": verdict.valid,
        "reason": verdict.reason,
        # Where the signature does not hold these are what was claimed.
        "sigil_id": None if claimed is None else claimed.id,
        "sealing_key": None if claimed is None else f"{claimed.key_id:08x}",
    }
