"""What the audit log has of what callers did, besides who they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

from core.audit.interface import Member
from core.records import Record
from core.sealed_records import SealedRecords
from core.verdict import Verdict


def encoded(record: Record, *, replayed: bool = False) -> dict[str, Member]:
    """Of ``sigil.encoded``."""
    return {
        "sigil_id": record.id,
        "sealing_key": f"{record.key_id:08x}",
        "replayed": replayed or None,
    }


class EncodedLines(Sequence[Mapping[str, Member]]):
    """Of ``sigil.encoded``, for each of some records, with who asked for them. Made when needed."""

    def __init__(self, records: SealedRecords, who: Mapping[str, Member]) -> None:
        self._records = records
        self._who = who

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Mapping[str, Member]]:
        return iter(self._lines)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Member]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Member]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Member] | Sequence[Mapping[str, Member]]:
        return self._lines[index]

    @cached_property
    def _lines(self) -> Sequence[Mapping[str, Member]]:
        names = {key_id: f"{key_id:08x}" for key_id in {seal[2] for seal in self._records.seals}}
        return [
            {**self._who, "sigil_id": record_id, "sealing_key": names[seal[2]]}
            for record_id, seal in zip(self._records.ids, self._records.seals, strict=True)
        ]


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
