"""Checking all that a store has of a tenant: seals, histories, and that the two fit together.

The entries come first, then the records. An entry is kept with its record or after it, so what an entry
claims must be there when the records are looked at, however many arrive meanwhile. Only a purge can come in
between, and entries of what is new: where something looks wrong that these may explain, the entries are read
again.

Memory does not grow with the number of records, nor of doubts: both are sorted outside of it.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, Literal
from uuid import UUID

import msgspec

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.history.chains import (
    CLAIM_SIZE,
    REVOKED,
    SEALED,
    Chains,
    Claim,
    packed_claim,
    read_claim,
    sorting_key,
)
from core.history.doubts import Unlinked, UnlinkedDoubts
from core.history.findings import Finding, Findings, Kind
from core.history.reading import entry_pieces, read_ahead, record_pieces
from core.history.sorting import Sorter
from core.history.statements import digest, is_authentic, link_to, revocation_of, sealing_of
from core.records import Damage, Entry, Record, Step
from core.seals import Seals
from core.store.interface import Store

Progress = Callable[[Literal["entries", "records"], int], None]
#: What is younger than this when the check begins may get its entry while it runs. Clocks differ.
_FRESH_MS: Final = 600_000


class Checked(msgspec.Struct, kw_only=True):
    """What was looked at.

    Attributes:
        before_history: records without an entry, sealed before the tenant's first entry was.
        purged: records that entries are about, and that were purged, as the history says.
        boundary: the id below which they were; empty: none were.
    """

    records: int = 0
    entries: int = 0
    chains: int = 0
    before_history: int = 0
    purged: int = 0
    boundary: str = ""


class TenantCheck:
    """The check of one tenant. Use it once."""

    def __init__(
        self,
        store: Store,
        seals: Seals,
        tenant: str,
        findings: Findings,
        progress: Progress,
        *,
        settling: float = 1.0,
    ) -> None:
        """Prepare; ``settling`` is how many seconds what has just happened is given to get its entry."""
        self._store = store
        self._seals = seals
        self._tenant = tenant
        self._findings = findings
        self._progress = progress
        self._settling = settling
        self._started_ms = time.time_ns() // 1_000_000
        #: What is not there although it should be, and what is there without an entry.
        self._missing = Sorter(CLAIM_SIZE)
        self._missing_count = 0
        self._unlinked = UnlinkedDoubts()
        self.checked = Checked()

    async def run(self) -> Checked:
        """Check everything.

        Raises:
            StoreUnavailableError: the store cannot answer.
            OSError: there is no room for what must be sorted.
        """
        with ExitStack() as sorters:
            claims = sorters.enter_context(Sorter(CLAIM_SIZE))
            sorters.enter_context(self._missing)
            sorters.enter_context(self._unlinked)
            chains = Chains(self._tenant, self._seals, self._findings, claims)
            async for entries in read_ahead(entry_pieces(self._store, self._tenant)):
                chains.look(entries)
                self._progress("entries", len(entries))
            chains.finish()
            self._chains = chains
            await self._look_at_records(_by_record(claims.descending()))
            if self._unlinked.count:
                await asyncio.sleep(self._settling)
            if self._missing_count or self._unlinked.count or chains.origins:
                await self._look_again()
        self.checked.entries = chains.entries
        self.checked.chains = len(chains.names)
        self.checked.boundary = chains.boundary
        return self.checked

    async def _look_at_records(self, claims: Iterator[tuple[bytes, Sequence[Claim]]]) -> None:
        """Go over the records, and beside them over what entries claim, from the newest to the oldest."""
        record, of_record = next(claims, _NO_CLAIMS)
        async for piece in read_ahead(record_pieces(self._store, self._tenant)):
            for one in piece:
                key = _key(one)
                while of_record and key is not None and record > key:
                    self._without_record(record, of_record)
                    record, of_record = next(claims, _NO_CLAIMS)
                mine: Sequence[Claim] = ()
                if of_record and record == key:
                    mine = of_record
                    record, of_record = next(claims, _NO_CLAIMS)
                self._look(one, mine)
            self.checked.records += len(piece)
            self._progress("records", len(piece))
        while of_record:
            self._without_record(record, of_record)
            record, of_record = next(claims, _NO_CLAIMS)

    def _look(self, record: Record | Damage, claims: Sequence[Claim]) -> None:
        """A record, and what entries claim of it."""
        if not isinstance(record, Record):
            self._find(_kind(record), record.record_id, record.cause)
            return
        intact = True
        if record.tenant != self._tenant:
            self._find("record_corrupt", record.id, "tenant")
            return
        try:
            self._seals.check(record)
        except (RecordCorruptError, RecordUnverifiableError) as error:
            self._find(_kind(error), record.id, error.cause)
            intact = False
        sealed = [claim for claim in claims if claim.step == SEALED]
        revoked = [claim for claim in claims if claim.step == REVOKED]
        if intact and sealed:
            self._compare(record, sealed, digest(sealing_of(record)), "record_altered", _ALTERED)
        if revoked and record.revoked_at_ms is None:
            place = self._chains.place(revoked[0])
            self._find("revocation_missing", record.id, "it was revoked, and is not any more", place)
        elif revoked:
            self._compare(record, revoked, digest(revocation_of(record)), "revocation_altered", _ALTERED)
        if intact and not sealed:
            self._without_entry(record, "sealed", record.created_at_ms)
        if intact and record.revoked_at_ms is not None and not revoked:
            self._without_entry(record, "revoked", record.revoked_at_ms)

    def _compare(self, record: Record, claims: Sequence[Claim], about: str, kind: Kind, detail: str) -> None:
        expected = base64.urlsafe_b64decode(about + "=")
        for claim in claims:
            if claim.about != expected:
                self._find(kind, record.id, detail, self._chains.place(claim))

    def _without_record(self, record: bytes, claims: Sequence[Claim]) -> None:
        """Entries about a record that is not there."""
        record_id = str(UUID(bytes=record))
        if record_id < self._chains.boundary:
            self.checked.purged += 1
            return
        self._missing.add(packed_claim(claims[0]))
        self._missing_count += 1

    def _without_entry(self, record: Record, step: Step, at_ms: int) -> None:
        """A record that no entry says was sealed, or revoked."""
        first = self._chains.first_at_ms
        if first is None or at_ms < first:
            self.checked.before_history += step == "sealed"
            return
        unlinked = Unlinked(sorting_key(record.id), _STEPS[step], record.revoked_by or "")
        if at_ms < self._started_ms - _FRESH_MS:
            self._find_unlinked(unlinked)
        else:
            self._unlinked.add(unlinked)

    def _find_unlinked(self, unlinked: Unlinked) -> None:
        record_id = str(UUID(bytes=unlinked.record))
        if unlinked.step == SEALED:
            self._find("unlinked", record_id, "no entry says that it was sealed")
        else:
            by = unlinked.by or "somebody"
            self._find("revocation_unlinked", record_id, f"no entry says that {by} revoked it")

    async def _look_again(self) -> None:
        """Read the entries again for what explains a doubt; what is left is found."""
        chains, codec = self._chains, self._seals.keys.codec
        async for piece in read_ahead(entry_pieces(self._store, self._tenant)):
            for entry in piece:
                if isinstance(entry, Entry):
                    if chains.origins:
                        chains.origins.pop(link_to(entry.seal), None)
                    # What explains a doubt came with it, or after it.
                    may_explain = self._unlinked.count and entry.at_ms >= self._started_ms - 2 * _FRESH_MS
                    if (entry.step == "purged" or may_explain) and is_authentic(codec, entry):
                        chains.see_boundary(entry)
                        if entry.step != "purged":
                            self._unlinked.explain(entry)
        for place in chains.origins.values():
            detail = "the entry that this chain follows is not there"
            self._findings.add(Finding("origin_missing", self._tenant, detail, place=place))
        for claim in map(read_claim, self._missing.descending()):
            record_id = str(UUID(bytes=claim.record))
            if record_id < chains.boundary:
                self.checked.purged += 1
            else:
                self._find(
                    "record_missing", record_id, "it was sealed, and is not there", chains.place(claim)
                )
        for unlinked in self._unlinked.left():
            self._find_unlinked(unlinked)

    def _find(self, kind: Kind, record_id: str, detail: str, place: str | None = None) -> None:
        self._findings.add(Finding(kind, self._tenant, detail, record_id, place))


_ALTERED: Final = "it is not what it was when the entry was sealed"
_STEPS: Final = {"sealed": SEALED, "revoked": REVOKED}
_NO_CLAIMS: Final[tuple[bytes, Sequence[Claim]]] = (b"", ())


def _by_record(packed: Iterator[bytes]) -> Iterator[tuple[bytes, Sequence[Claim]]]:
    """Claims of one record together."""
    group: list[Claim] = []
    for claim in map(read_claim, packed):
        if group and group[0].record != claim.record:
            yield group[0].record, group
            group = []
        group.append(claim)
    if group:
        yield group[0].record, group


def _key(record: Record | Damage) -> bytes | None:
    """What records are sorted by; None where even the id is damaged."""
    record_id = record.id if isinstance(record, Record) else record.record_id
    try:
        return sorting_key(record_id)
    except ValueError:
        return None


def _kind(error: Damage) -> Kind:
    return "record_corrupt" if isinstance(error, RecordCorruptError) else "record_unverifiable"
