"""What whoever keeps count tells whoever watches, so that the domain knows no metrics library."""

from __future__ import annotations

from typing import Literal, Protocol

#: What became of a request: within its limit, over it, over a limit that only counts, or not counted because
#: nobody could tell.
Outcome = Literal["allowed", "refused", "shadow_refused", "unavailable"]
#: How a place where counts are kept is doing: as it should, with another in its place, or not at all.
BackendState = Literal["ok", "degraded", "down"]


class LimitObserver(Protocol):
    """Is told what happens to rate limits. Never waits and never raises; may be called from any thread."""

    def decided(self, limit: str, outcome: Outcome) -> None:
        """A request was decided on.

        Args:
            limit: the name of the limit that decided: ``user``, ``tenant``, ``address``. One of a few.
            outcome: what became of it.
        """

    def backend_is(self, backend: str, state: BackendState) -> None:
        """A place where counts are kept is in this state from now on, as this process sees it."""

    def table_was_full(self, times: int) -> None:
        """So many new keys have found no room in a table since this was last said, by any process."""


class NoObserver:
    """Nobody watches."""

    def decided(self, limit: str, outcome: Outcome) -> None:
        """Do nothing."""

    def backend_is(self, backend: str, state: BackendState) -> None:
        """Do nothing."""

    def table_was_full(self, times: int) -> None:
        """Do nothing."""
