"""What a check of a store finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from core.records import Entry

Kind = Literal[
    # Of all that a tenant has.
    "tenant_unreadable",
    # Of records.
    "record_corrupt",
    "record_unverifiable",
    "record_missing",
    "record_altered",
    "revocation_missing",
    "revocation_altered",
    # Of entries.
    "entry_corrupt",
    "entry_unverifiable",
    "entries_missing",
    "link_broken",
    "origin_missing",
    # Of what the audit log says was acknowledged.
    "audit_fault",
    "acknowledged_missing",
    "acknowledged_altered",
    "acknowledged_not_revoked",
    # Notices: a crash leaves these, too, or a history that has just been switched on, or a rotation.
    "unlinked",
    "revocation_unlinked",
    "no_history",
    "audit_earlier_missing",
]

#: What proves nothing against the store.
NOTICES: Final[frozenset[Kind]] = frozenset(
    {"unlinked", "revocation_unlinked", "no_history", "audit_earlier_missing"}
)
#: Of each kind, so many are told one by one; all are counted.
_MOST_TOLD: Final = 1000


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is not as it should be.

    Attributes:
        tenant: whose; empty where it is about the audit log itself.
        detail: for people.
        place: ``chain:number`` of the entry that it is about.
    """

    kind: Kind
    tenant: str
    detail: str
    record_id: str | None = None
    place: str | None = None


class Findings:
    """Counts what is found, and tells of the first of each kind as they are found."""

    def __init__(self, tell: Callable[[Finding], None], *, most_told: int = _MOST_TOLD) -> None:
        self._tell = tell
        self._most_told = most_told
        self._counts: Counter[Kind] = Counter()

    @property
    def counts(self) -> Mapping[Kind, int]:
        """How many of each kind."""
        return self._counts

    @property
    def faults(self) -> int:
        """How many there are without the notices."""
        return sum(count for kind, count in self._counts.items() if kind not in NOTICES)

    def add(self, finding: Finding) -> None:
        """One more."""
        self._counts[finding.kind] += 1
        if self._counts[finding.kind] <= self._most_told:
            self._tell(finding)


def place_of(entry: Entry) -> str:
    """An entry's place as findings name it."""
    return f"{entry.chain}:{entry.number}"
