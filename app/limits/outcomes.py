"""What is told of requests that limits have decided on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from app.http.context import Context
from core.audit.interface import Audit
from core.errors import LimiterUnavailableError
from core.limits.observation import LimitObserver, Outcome

_log = structlog.get_logger("app.limits")
_REPORT_SECONDS: Final = 10.0


class Outcomes:
    """Has each outcome counted, and notes refusals.

    The audit log limits their lines by itself; the operator is told once in ten seconds.
    """

    def __init__(
        self, audit: Audit, observer: LimitObserver, table_full: Callable[[], int], *, shadow: bool
    ) -> None:
        """Tell these.

        Args:
            audit: where refusals are noted.
            observer: is told of every decision.
            table_full: how often a new key has found no room in a table so far.
            shadow: refusals are none, because the limits only count.
        """
        self._audit = audit
        self._refused: Outcome = "shadow_refused" if shadow else "refused"
        self.decided: Final = observer.decided
        self._shadow = shadow
        self._counts: Counter[str] = Counter()
        self._report_again_at = 0.0
        self._observer = observer
        self._table_full = table_full
        self._table_full_before = 0
        self._complain_again_at = 0.0

    def refused(self, context: Context, limit: str, **who: str) -> None:
        """Tell of a refusal: by which kind of limit, and whose it is."""
        self.decided(limit, self._refused)
        self._audit.note(
            "rate.refused",
            request_id=context.request_id.decode(),
            peer=context.peer,
            reason=limit,
            shadow=self._shadow or None,
            **who,
        )
        # Whoever finds no room is refused, so here is the time to look.
        table_full = self._table_full()
        if table_full > self._table_full_before:
            self._observer.table_was_full(table_full - self._table_full_before)
            self._table_full_before = table_full
            self._counts["table full"] = table_full
        self._counts[limit] += 1
        now = time.monotonic()
        if now >= self._report_again_at:
            self._report_again_at = now + _REPORT_SECONDS
            event = "rate limits would refuse" if self._shadow else "rate limits refuse"
            _log.warning(event, so_far=dict(self._counts))

    def unavailable(self, limit: str, error: LimiterUnavailableError) -> None:
        """Tell that nobody can count a request."""
        self.decided(limit, "unavailable")
        now = time.monotonic()
        if now >= self._complain_again_at:
            self._complain_again_at = now + _REPORT_SECONDS
            cause = None if error.__cause__ is None else str(error.__cause__)
            _log.error("rate limits not checked", reason=error.reason, cause=cause)
