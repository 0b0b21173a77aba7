"""What stores tell whoever watches, so that the domain knows no metrics library."""

from __future__ import annotations

from typing import Literal, Protocol

from core.breaker import State

#: What the forwarding of one spooled write came to: kept by the DNAStore, kept without its idempotency key
#: because an earlier record has that, or set aside because it never will be kept.
Forwarded = Literal["kept", "without_key", "rejected"]


class StoreObserver(Protocol):
    """Is told what happens to stores. Never waits and never raises; may be called from any thread."""

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """A request to the DNAStore has ended; ``status`` is None where there was no answer."""

    def circuit_is(self, state: State) -> None:
        """The breaker before the DNAStore is in this state from now on."""

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """So many writes wait in the spool, of so many bytes, the oldest for so long."""

    def forwarded(self, outcome: Forwarded) -> None:
        """A spooled write has been sent on."""


class StorageObserver(Protocol):
    """Is told of calls to the store of records, whichever it is. Never waits and never raises."""

    def read(self, operation: str, seconds: float) -> None:
        """A call that only reads has ended."""

    def wrote(self, operation: str, seconds: float) -> None:
        """A call that writes has ended."""

    def failed(self, reason: str) -> None:
        """A call could not be done, for a reason of StoreUnavailableError."""

    def works(self) -> None:
        """A call was done."""

    def committed(self, writes: int) -> None:
        """So many writes have become durable together. Is called from the writer's thread."""


class NoStoreObserver:
    """Nobody watches."""

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """Do nothing."""

    def circuit_is(self, state: State) -> None:
        """Do nothing."""

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """Do nothing."""

    def forwarded(self, outcome: Forwarded) -> None:
        """Do nothing."""
