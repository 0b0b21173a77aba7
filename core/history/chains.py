"""The chains of a tenant's history: every entry's seal, and that none is missing between two."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.history.findings import Finding, Findings, Kind, place_of
from core.history.sorting import Sorter
from core.history.statements import about_of, check_entry, link_to
from core.records import Damage, Entry
from core.seals import Seals

# What sorts claims by record: its id, then what is claimed of it, and where.
_CLAIM: Final = struct.Struct(">16ss32sIQ")
CLAIM_SIZE: Final = _CLAIM.size
SEALED: Final = b"s"
REVOKED: Final = b"r"


def sorting_key(record_id: str) -> bytes:
    """An id's 16 bytes.

    Raises:
        ValueError: it is none.
    """
    key = bytes.fromhex(record_id.replace("-", ""))  # a tenth of what uuid.UUID takes
    if len(key) != 16:
        raise ValueError("not the id of a record")
    return key


class Claim(NamedTuple):
    """What an entry says of a record; ``about`` is the digest of what it is about, and ``chain`` an index."""

    record: bytes
    step: bytes
    about: bytes
    chain: int
    number: int


def packed_claim(claim: Claim) -> bytes:
    """The claim for a sorter."""
    return _CLAIM.pack(*claim)


def read_claim(packed: bytes) -> Claim:
    """The claim that was added to the sorter."""
    return Claim._make(_CLAIM.unpack(packed))


class Chains:
    """Looks at a tenant's entries, by chain and number, and sorts what they claim of records.

    Attributes:
        names: of the chains.
        entries: how many there are.
        boundary: records with ids below it were purged, as an authentic entry says; empty: none were.
        first_at_ms: when the first record was sealed that has an entry, None without one.
        origins: links to entries that chains follow and that were not found, with the place that says so.
    """

    def __init__(self, tenant: str, seals: Seals, findings: Findings, claims: Sorter) -> None:
        self._tenant = tenant
        self._seals = seals
        self._findings = findings
        self._claims = claims
        self._last: Entry | None = None
        self._ends: set[str] = set()
        self.names: list[str] = []
        self.entries = 0
        self.boundary = ""
        self.first_at_ms: int | None = None
        self.origins: dict[str, str] = {}

    def look(self, piece: Iterable[Entry | Damage]) -> None:
        """Go over the next entries."""
        codec = self._seals.keys.codec
        for entry in piece:
            if not isinstance(entry, Entry):
                self._find("entry_corrupt", str(entry))
                continue
            self.entries += 1
            if entry.tenant != self._tenant:
                self._find("entry_corrupt", "it is another tenant's", entry)
                continue
            self._follow(entry)
            try:
                check_entry(codec, entry)
            except RecordCorruptError as error:
                self._find("entry_corrupt", f"its seal does not hold: {error.cause}", entry)
            except RecordUnverifiableError as error:
                self._find("entry_unverifiable", f"its seal cannot be checked: {error.cause}", entry)
                self._claim(entry)
            else:
                self._take(entry)

    def finish(self) -> None:
        """There are no more: keep of the origins those that are no chain's end."""
        if self._last is not None:
            self._ends.add(link_to(self._last.seal))
        for link in self._ends & self.origins.keys():
            del self.origins[link]
        self._ends.clear()

    def place(self, claim: Claim) -> str:
        """The place of a claim's entry."""
        return f"{self.names[claim.chain]}:{claim.number}"

    def see_boundary(self, entry: Entry) -> None:
        """Learn of an authentic entry what was purged."""
        if entry.step == "purged":
            self.boundary = max(self.boundary, entry.record_id)

    def _follow(self, entry: Entry) -> None:
        last, self._last = self._last, entry
        expected = 1
        if last is not None and last.chain == entry.chain:
            expected = last.number + 1
        else:
            self.names.append(entry.chain)
            if last is not None:
                self._ends.add(link_to(last.seal))
        if entry.number != expected:
            missing = str(expected) if entry.number == expected + 1 else f"{expected} to {entry.number - 1}"
            self._find("entries_missing", f"number {missing} of the chain is not there", entry, about=False)
        elif last is not None and expected > 1:
            if entry.previous != link_to(last.seal):
                self._find("link_broken", "it does not follow the entry before it", entry)
        elif entry.previous:
            self.origins[entry.previous] = place_of(entry)

    def _take(self, entry: Entry) -> None:
        self.see_boundary(entry)
        if entry.step == "sealed" and (self.first_at_ms is None or entry.at_ms < self.first_at_ms):
            self.first_at_ms = entry.at_ms
        self._claim(entry)

    def _claim(self, entry: Entry) -> None:
        if entry.step == "purged":
            return
        step = SEALED if entry.step == "sealed" else REVOKED
        try:
            record = sorting_key(entry.record_id)
            about = base64.urlsafe_b64decode(about_of(entry) + "=")
            self._claims.add(_CLAIM.pack(record, step, about, len(self.names) - 1, entry.number))
        except (ValueError, binascii.Error, struct.error):
            return  # Nothing that the service writes; it has been reported as what cannot be checked.

    def _find(self, kind: Kind, detail: str, entry: Entry | None = None, *, about: bool = True) -> None:
        record_id = entry.record_id if entry is not None and about else None
        place = None if entry is None else place_of(entry)
        self._findings.add(Finding(kind, self._tenant, detail, record_id, place))
