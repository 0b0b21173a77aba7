"""What the server tells whoever counts."""

from __future__ import annotations

from typing import Protocol

from core.dnastore.wire import Outcome
from core.errors import StoreUnavailableError


class ServerObserver(Protocol):
    """Is told what happens. Never waits and never raises."""

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has ended; ``status`` is 0 where there was no answer."""

    def wrote(self, outcome: Outcome, records: int) -> None:
        """A write has this outcome, and brought so many records."""

    def store_failed(self, error: StoreUnavailableError) -> None:
        """The store could not do something."""

    def store_works(self) -> None:
        """The store has written something durably."""


class NoServerObserver:
    """Nobody counts."""

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Do nothing."""

    def wrote(self, outcome: Outcome, records: int) -> None:
        """Do nothing."""

    def store_failed(self, error: StoreUnavailableError) -> None:
        """Do nothing."""

    def store_works(self) -> None:
        """Do nothing."""
