"""What the judge of an audit log remembers of the lines that it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigil_native._audit_records import AuditLine

# Sequence numbers whose tags are kept, tags kept for one of them, and gaps: an attacker
# who adds any number of lines makes the judge forget, but not grow.
_MOST_NUMBERS = 256
_MOST_TAGS = 4
_MOST_GAPS = 1024


class Expectation:
    """A line that the log must reach, if one is named."""

    def __init__(self, last: tuple[int, bytes] | None) -> None:
        self._tag = b""
        #: Its number; 0: there is none, or it was seen.
        self.sequence = 0
        if last is not None:
            self.sequence, self._tag = last

    def see(self, sequence: int, tag: bytes | None) -> None:
        """The tag of a line of the log."""
        if sequence == self.sequence and tag == self._tag:
            self.sequence = 0

    def see_before(self, first: AuditLine) -> None:
        """The log's first line, which names the tag of the one before."""
        self.see(first.sequence - 1, first.previous)


class Sightings:
    """Tags by sequence number, of a few lines; which numbers were there, of all."""

    def __init__(self) -> None:
        self.first: int | None = None
        #: The highest number so far.
        self.top = 0
        self._tags: dict[int, list[bytes]] = {}
        self._gaps: list[tuple[int, int]] = []

    def keep(self, sequence: int, tag: bytes) -> None:
        """Keep the tag of a line that the chain may go on from."""
        tags = self._tags.setdefault(sequence, [])
        if tag not in tags and len(tags) < _MOST_TAGS:
            tags.append(tag)
        if len(self._tags) > _MOST_NUMBERS:
            del self._tags[next(iter(self._tags))]

    def tags(self, sequence: int) -> list[bytes]:
        """The tags that were kept for a number."""
        return self._tags.get(sequence, [])

    def reach(self, sequence: int) -> None:
        """All numbers up to this one are there, but for gaps."""
        if self.first is None:
            self.first = sequence
        self.top = max(self.top, sequence)

    def restart(self, sequence: int) -> None:
        """Another part of the log begins: whatever follows this number is new."""
        self.top = sequence
        self._gaps.clear()

    def leave_gap(self, first: int, last: int) -> None:
        """These numbers were not in their place."""
        if len(self._gaps) < _MOST_GAPS:
            self._gaps.append((first, last))

    def has(self, sequence: int) -> bool:
        """Whether a line of this number was in its place."""
        first = self.top + 1 if self.first is None else self.first
        return first <= sequence <= self.top and not any(a <= sequence <= b for a, b in self._gaps)
