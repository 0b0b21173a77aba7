"""What is told about the lines of an audit log, and what is asked of its keys."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class AuditLine(NamedTuple):
    """What stands at the two ends of a line. Nothing is verified: these are claims.

    ``key_id`` and ``previous`` are those of a begin line, None in others.
    """

    sequence: int
    tag: bytes
    key_id: int | None
    previous: bytes | None


class AuditFault(NamedTuple):
    """Something wrong with an audit log.

    Attributes:
        kind: what; the list is in the documentation of the format.
        line: which line of its file, counted from 1; 0 if the file has no lines.
        sequence: the sequence number that the fault is about, if it has one.
        offset: where the line begins in its file, in bytes.
        message: the same for people.
    """

    kind: str
    line: int
    sequence: int | None
    offset: int
    message: str


class Faults:
    """Faults as they are found. All are counted; where there is a limit, those beyond it are not kept."""

    def __init__(self, most: int | None) -> None:
        self.count = 0
        self._most = most
        self._kept: list[AuditFault] = []

    def add(self, fault: AuditFault) -> None:
        """One more."""
        self.count += 1
        if self._most is None or self.count <= self._most:
            self._kept.append(fault)

    def take(self) -> list[AuditFault]:
        """Those kept since the last call."""
        taken, self._kept = self._kept, []
        return taken


class Key(Protocol):
    """A key of a chain, of either backend: see ``AuditKey`` in ``_pure/audit.py``."""

    @property
    def key_id(self) -> int:
        """Its id."""

    def tag(self, previous: bytes, message: bytes) -> bytes:
        """The tag of a line after another."""

    def matches(self, previous: bytes, message: bytes, tag: bytes) -> bool:
        """Whether a line's tag is right."""

    def clean_run(
        self, data: bytes | bytearray, start: int, end: int, sequence: int, tag: bytes, stop: int
    ) -> tuple[int, int, bytes]:
        """Go over lines as long as each is the right one."""
