"""What the audit log has of what callers did, besides who they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

from core.audit.interface import Member
from core.records import Record
from core.sealed_records import SealedRecords
from core.verdict import Verdict
from core.verdicts import Verdicts


def encoded(record: Record, *, replayed: bool = False) -> dict[str, Member]:
    """Of ``sigil.encoded``."""
    return {
        "sigil_id": record.id,
        "sealing_key": f"{record.key_id:08x}",
        "replayed": replayed or None,
    }


class _MadeWhenNeeded(Sequence[Mapping[str, Member]]):
    """The members of several lines, made when somebody looks at one: an audit log that is off never does."""

    @abstractmethod
    def _made(self) -> Sequence[Mapping[str, Member]]:
        """All of them."""

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
        return self._made()


class EncodedLines(_MadeWhenNeeded):
    """Of ``sigil.encoded``, for each of some records, with who asked for them."""

    def __init__(self, records: SealedRecords, who: Mapping[str, Member]) -> None:
        self._records = records
        self._who = who

    def __len__(self) -> int:
        return len(self._records)

    def _made(self) -> Sequence[Mapping[str, Member]]:
        names = {key_id: f"{key_id:08x}" for key_id in {seal[2] for seal in self._records.seals}}
        return [
            {**self._who, "sigil_id": record_id, "sealing_key": names[seal[2]]}
            for record_id, seal in zip(self._records.ids, self._records.seals, strict=True)
        ]


def verified(verdict: Verdict) -> dict[str, Member]:
    """Of ``sigil.verified``."""
    sigil = verdict.sigil
    claim = None if sigil is None else (sigil.id, sigil.key_id)
    return {"valid": verdict.valid, "reason": verdict.reason, **_claimed(claim)}


class VerifiedLines(_MadeWhenNeeded):
    """Of ``sigil.verified``, for each line that was judged, with who asked."""

    def __init__(self, verdicts: Verdicts, who: Mapping[str, Member]) -> None:
        self._verdicts = verdicts
        self._who = who

    def __len__(self) -> int:
        return sum(self._verdicts.counts.values())

    def _made(self) -> Sequence[Mapping[str, Member]]:
        verdicts = self._verdicts
        kinds = [
            {**self._who, "valid": verdict.valid, "reason": verdict.reason} for verdict in verdicts.kinds
        ]
        claims = verdicts.requests.claims(0, len(verdicts.requests))
        return [
            kinds[place] | _claimed(claim)
            for place, claim in zip(verdicts.chosen, claims, strict=True)
            if place >= 0
        ]


def _claimed(claim: tuple[str, int] | None) -> dict[str, Member]:
    """What a sigil says of itself, whether or not that is proven."""
    if claim is None:
        return {"sigil_id": None, "sealing_key": None}
    sigil_id, key_id = claim
    return {"sigil_id": sigil_id, "sealing_key": f"{key_id:08x}"}
