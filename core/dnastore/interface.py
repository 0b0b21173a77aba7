"""What is known of whoever sends calls to a DNAStore."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Waiting(Protocol):
    """Calls wait here for their turn."""

    @property
    def waiting_writes(self) -> int:
        """Writes that wait for a request."""

    @property
    def waiting_reads(self) -> int:
        """Questions for single records that wait for a request."""
