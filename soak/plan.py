"""What a process of load is told to do: the file that it is started with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

#: What callers do, and how many of them do it. Each is a class of callers in ``soak/scenarios.py``.
SCENARIOS: Final[Mapping[str, float]] = {
    "encode": 0.2,
    "verify": 0.25,
    "mixed": 0.25,
    "batch": 0.1,
    "errors": 0.1,
    "greedy": 0.1,
}
ISSUER: Final = "https://soak.example"
AUDIENCE: Final = "sigil"
#: Bytes that the service takes at once.
LARGEST_BODY: Final = 100_000


class LoadPlan(msgspec.Struct, kw_only=True):
    """What one process of load shall do.

    Attributes:
        results: the results folder.
        url: of the service.
        signing_key: a file with the private key that signs tokens.
        outages: a file that says which faults are on, rewritten when that changes.
        begin: when the first call is due, in seconds since the epoch.
        pace: seconds between two calls of one caller.
        callers: how many there are in each scenario.
        batch: lines of a batch.
        token_seconds: how long a token is good.
        first_serial: the number of the first payload; those from there on were never used.
        process: which of the processes of load this is, from 0 on, of ``processes``.
    """

    results: str
    url: str
    signing_key: str
    outages: str
    begin: float
    seconds: float
    pace: float
    callers: dict[str, int]
    batch: int
    token_seconds: float
    first_serial: int = 0
    process: int = 0
    processes: int = 1

    @property
    def ledger(self) -> Path:
        """Where this process keeps what was acknowledged."""
        return Path(self.results) / f"ledger-{self.process}.sqlite"


def shared_out(users: int, shares: Mapping[str, float]) -> dict[str, int]:
    """So many users by their shares (largest remainders), at least one for each if there are enough."""
    total = sum(shares.values())
    wanted = {name: users * share / total for name, share in shares.items()}
    counts = {name: math.floor(one) for name, one in wanted.items()}
    by_remainder = sorted(wanted, key=lambda name: counts[name] - wanted[name])
    for name in by_remainder[: users - sum(counts.values())]:
        counts[name] += 1
    for name in [name for name, count in counts.items() if count == 0]:
        most = max(counts, key=lambda one: counts[one])
        if counts[most] > 1:
            counts[most] -= 1
            counts[name] += 1
    return {name: count for name, count in counts.items() if count}
