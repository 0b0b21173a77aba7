"""How much somebody may ask for."""

from __future__ import annotations

import msgspec


class Quota(msgspec.Struct, frozen=True):
    """A token bucket's measure: so many requests a window in the long run, and ``burst`` of them at once.

    Attributes:
        limit: requests a window.
        window: seconds.
        burst: requests that a full bucket holds.
    """

    limit: int
    window: int
    burst: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.limit / self.window
