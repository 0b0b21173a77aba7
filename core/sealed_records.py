"""The records of seals that were made together, without an object for each unless somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple, overload
from uuid import UUID

from core.records import CanonicalJson, Record
from sigil_native import SealRequests, VerifyRequests

#: Bounds of what is worked on in one go: a millisecond or so.
_LINES_A_PIECE: Final = 128
_BYTES_A_PIECE: Final = 128 << 10


def pieces_of(requests: SealRequests | VerifyRequests) -> Sequence[tuple[int, int]]:
    """Ranges of the lines of a body; others get their turns between them."""
    lines = len(requests)
    if lines <= _LINES_A_PIECE and requests.end <= _BYTES_A_PIECE:
        return ((0, lines),)
    step = max(1, min(_LINES_A_PIECE, _BYTES_A_PIECE * lines // max(requests.end, 1)))
    return [(first, min(first + step, lines)) for first in range(0, lines, step)]


class Seal(NamedTuple):
    """What differs between the records; see ``SealRequests.sealed``."""

    id: bytes
    sigil: str
    key_id: int
    issued_at_ms: int
    expires_at_ms: int
    canonical_sha256: bytes
    payload: bytes


class SealedRecords(Sequence[Record]):
    """The records of the sealed lines of a body, in their order.

    Attributes:
        tenant: whose they all are.
        created_by: the subject whose token asked for them.
        created_at_ms: when they were made.
    """

    def __init__(self, requests: SealRequests, tenant: str, created_by: str, created_at_ms: int) -> None:
        """The records of requests of which all are sealed or refused."""
        self._requests = requests
        # Not a "cached_property": its lock costs more than a single record.
        self._ids: Sequence[str] | None = None
        self._seals: Sequence[tuple[bytes, str, int, int, int, bytes, bytes]] | None = None
        self.tenant = tenant
        self.created_by = created_by
        self.created_at_ms = created_at_ms

    @property
    def ids(self) -> Sequence[str]:
        """Their ids."""
        if self._ids is None:
            self._ids = self._requests.ids(0, len(self._requests))
        return self._ids

    @property
    def seals(self) -> Sequence[tuple[bytes, str, int, int, int, bytes, bytes]]:
        """What differs between them, each like a ``Seal``."""
        if self._seals is None:
            self._seals = self._requests.sealed(0, len(self._requests))
        return self._seals

    @property
    def payload_bytes(self) -> int:
        """What their payloads hold together."""
        return sum([len(seal[-1]) for seal in self.seals])

    def __len__(self) -> int:
        return len(self.ids if self._ids is None else self._ids)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    @cached_property
    def _records(self) -> Sequence[Record]:
        return [self._record(Seal(*seal)) for seal in self.seals]

    def _record(self, seal: Seal) -> Record:
        return Record(
            tenant=self.tenant,
            id=str(UUID(bytes=seal.id)),
            sigil=seal.sigil,
            key_id=seal.key_id,
            issued_at_ms=seal.issued_at_ms,
            expires_at_ms=seal.expires_at_ms,
            payload=CanonicalJson(seal.payload),
            canonical_sha256=seal.canonical_sha256,
            created_at_ms=self.created_at_ms,
            created_by=self.created_by,
        )
