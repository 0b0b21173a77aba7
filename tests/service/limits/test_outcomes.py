"""What is told to whoever watches the limits."""

from __future__ import annotations

from collections import Counter

from app.http.context import Context
from app.http.problems import ProblemError
from app.limits.addresses import CountedAddresses
from app.limits.outcomes import Outcomes
from core.audit.interface import NoAudit
from core.limits.observation import NoObserver, Outcome
from core.limits.quota import Quota
from sigil_native import TokenBucket
from sigil_native.asgi import ClientAddress


class Watcher(NoObserver):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.full = 0
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()

    def decided(self, limit: str, outcome: Outcome) -> None:
        """Count it."""
        self.outcomes[limit, outcome] += 1

    def table_was_full(self, times: int) -> None:
        """Add it."""
        self.full += times


async def _receive() -> dict[str, object]:
    return {"type": "http.disconnect"}


def test_full_tables_are_told_of() -> None:
    """Who finds no room in a table is refused, and counted as that too, each once."""
    buckets = TokenBucket(1, 1, capacity=1, clock=lambda: 0)
    watcher = Watcher()
    outcomes = Outcomes(NoAudit(), watcher, lambda: buckets.full, shadow=False)
    addresses = CountedAddresses(buckets, Quota(1, 1, 1), ClientAddress(), outcomes, shadow=False)
    refused = 0
    for number in range(300):
        scope = {"type": "http", "headers": [], "client": (f"192.0.2.{number}" if number < 256 else "::1", 1)}
        try:
            addresses.admit(Context(scope, _receive))
        except ProblemError:
            refused += 1
    assert refused > 100
    assert watcher.outcomes == {("address", "allowed"): 300 - refused, ("address", "refused"): refused}
    # The last 43 of them are one address, which is refused either way.
    assert watcher.full == buckets.full
    assert refused - 44 <= watcher.full <= refused
