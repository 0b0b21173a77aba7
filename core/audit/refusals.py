"""Refusals are cheap to cause, so not each of them gets a line of its own in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from core.audit.interface import AuditEvent

#: Lines that one kind of refusal may have at once, and in a second, on the average.
BURST: Final = 100
LINES_PER_SECOND: Final = 5
#: Seconds that one count covers.
COUNT_SECONDS: Final = 10
#: Reasons come from the code and are few; if ever they did not, the rest shares one count.
_MOST_COUNTS: Final = 64

LIMITED: Final[frozenset[AuditEvent]] = frozenset(
    {"authentication.refused", "authorization.refused", "rate.refused", "sigil.not_found"}
)


class Count(NamedTuple):
    """Refusals that got no line of their own."""

    event: str
    reason: str
    number: int


class RefusalLimit:
    """Decides which refusals are written one by one, and counts the others.

    Each kind has its own share, so that a flood of bad tokens hides no missing role. Times are seconds
    of one steady clock.
    """

    _LINE_SECONDS: Final = 1 / LINES_PER_SECOND

    def __init__(self) -> None:
        #: When the lines of an event that were admitted are paid off (GCRA).
        self._paid_at: dict[str, float] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._count_ends_at = 0.0

    def admits(self, event: AuditEvent, reason: str, now: float) -> bool:
        """Whether this one gets a line; otherwise it is counted."""
        paid_at = max(self._paid_at.get(event, now), now) + self._LINE_SECONDS
        # Half a line more: rounding must not decide.
        if paid_at - now < (BURST + 0.5) * self._LINE_SECONDS:
            self._paid_at[event] = paid_at
            return True
        if not self._counts:
            self._count_ends_at = now + COUNT_SECONDS
        key = (event, reason)
        if key not in self._counts and len(self._counts) >= _MOST_COUNTS:
            key = (event, "other")
        self._counts[key] = self._counts.get(key, 0) + 1
        return False

    @property
    def due_at(self) -> float | None:
        """When the counts are to be taken; None while there are none."""
        return self._count_ends_at if self._counts else None

    def take(self) -> Sequence[Count]:
        """The counts, which begin anew."""
        taken = [Count(event, reason, number) for (event, reason), number in self._counts.items()]
        self._counts.clear()
        return taken
