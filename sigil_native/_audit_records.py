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
