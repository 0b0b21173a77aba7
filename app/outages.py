"""The beginning and the end of a store's outages, in the audit log."""

from __future__ import annotations

from collections.abc import Callable

from core.audit.interface import Audit, NoAudit
from core.breaker import State
from core.store.observation import Forwarded, StoreObserver


class Outages:
    """A ``StoreObserver`` in front of another, which notes outages.

    With a spool an outage ends when everything is forwarded; without one, when the DNAStore answers again.
    """

    def __init__(self, observer: StoreObserver, *, spool: bool) -> None:
        self._observer = observer
        self._spool = spool
        self._away = False
        #: Where outages are noted. The stores are open before there is a log.
        self.audit: Audit = NoAudit()
        #: Called when the DNAStore answers again.
        self.on_back: Callable[[], object] = lambda: None

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """See StoreObserver."""
        self._observer.requested(method, status, seconds)

    def circuit_is(self, state: State) -> None:
        """See StoreObserver."""
        self._observer.circuit_is(state)
        if state == "closed":
            self.on_back()
        if not self._spool and state != "half_open":
            self._note("circuit_open" if state == "open" else None)

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """See StoreObserver."""
        self._observer.spool_is(writes, size, oldest_seconds)

    def forwarded(self, outcome: Forwarded) -> None:
        """See StoreObserver."""
        self._observer.forwarded(outcome)

    def spooling(self, reason: str | None) -> None:
        """Writes go to the spool, for a reason; or, without one, everything is forwarded."""
        self._note(reason)

    def _note(self, reason: str | None) -> None:
        away = reason is not None
        if away == self._away:
            return
        self._away = away
        if away:
            self.audit.note("store.degraded", reason=reason)
        else:
            self.audit.note("store.recovered")
