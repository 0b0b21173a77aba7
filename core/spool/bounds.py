"""What a spool takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # settings have bounds, and no use for what watches a disk
    from core.spool.room import Room


class Bounds(NamedTuple):
    """What a spool takes.

    Attributes:
        size: bytes, about.
        age_ms: of the oldest write that waits, in milliseconds; while it is older nothing new is taken.
        room: that is kept on its disk; None: whatever there is.
    """

    size: int
    age_ms: int
    room: Room | None = None
