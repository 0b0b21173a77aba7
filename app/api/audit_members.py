"""What the audit log has of what callers did, besides who they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, overload

from app.http.context import Context
from core.audit.interface import Member
from core.records import Record
from core.sealed_records import SealedRecords
from core.verdict import Verdict
from core.verdicts import Verdicts

#: Its place in a row of ``SealRequests.sealed``.
_KEY_ID: Final = 2


def encoded(record: Record, *, replayed: bool = False) -> dict[str, Member]:
    """Of ``sigil.encoded``."""
    return {
        "sigil_id": record.id,
        "sealing_key": f"{record.key_id:08x}",
        "replayed": replayed or None,
    }


class _MadeWhenNeeded(Sequence[Mapping[str, Member]]):
    """The members of a request's lines, made when somebody looks: an audit log that is off never does."""

    def __init__(self, context: Context) -> None:
        self._request_id = context.request_id
        self._caller = context.caller
        #: Not a "cached_property": its lock costs more than the members of a line.
        self._lines: Sequence[Mapping[str, Member]] | None = None

    def _who(self) -> dict[str, Member]:
        """Who asked."""
        return {"request_id": self._request_id.decode(), **self._caller.named()}

    @abstractmethod
    def _made(self) -> Sequence[Mapping[str, Member]]:
        """All of them."""

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Mapping[str, Member]]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Member]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Member]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Member] | Sequence[Mapping[str, Member]]:
        return self._all()[index]

    def _all(self) -> Sequence[Mapping[str, Member]]:
        if self._lines is None:
            self._lines = self._made()
        return self._lines


class EncodedLines(_MadeWhenNeeded):
    """Of ``sigil.encoded``, for each of the records that a request asked for."""

    def __init__(self, context: Context, records: SealedRecords) -> None:
        super().__init__(context)
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def _made(self) -> Sequence[Mapping[str, Member]]:
        who = self._who()
        records = self._records
        return [
            {**who, "sigil_id": record_id, "sealing_key": f"{seal[_KEY_ID]:08x}"}
            for record_id, seal in zip(records.ids, records.seals, strict=True)
        ]


def verified(verdict: Verdict) -> dict[str, Member]:
    """Of ``sigil.verified``."""
    sigil = verdict.sigil
    claim = None if sigil is None else (sigil.id, sigil.key_id)
    return {"valid": verdict.valid, "reason": verdict.reason, **_claimed(claim)}


class VerifiedLines(_MadeWhenNeeded):
    """Of ``sigil.verified``, for each line of a request that was judged."""

    def __init__(self, context: Context, verdicts: Verdicts) -> None:
        super().__init__(context)
        self._verdicts = verdicts

    def _made(self) -> Sequence[Mapping[str, Member]]:
        verdicts = self._verdicts
        who = self._who()
        kinds = [{**who, "valid": verdict.valid, "reason": verdict.reason} for verdict in verdicts.kinds]
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
