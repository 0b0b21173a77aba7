"""What is noted of requests that were too many."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import structlog

from app.http.context import Context
from core.audit.interface import Audit

_log = structlog.get_logger("app.limits")
_REPORT_SECONDS: Final = 10.0


class Refusals:
    """Notes refusals in the audit log, which limits their lines, and tells the operator every ten seconds."""

    def __init__(self, audit: Audit, *, shadow: bool) -> None:
        """Note refusals; ``shadow``: that were none, because the limits only count."""
        self._audit = audit
        self._shadow = shadow
        self._counts: Counter[str] = Counter()
        self._report_again_at = 0.0

    def note(self, context: Context, limit: str, **who: str) -> None:
        """Note one: the kind of limit, and whose it is."""
        self._audit.note(
            "rate.refused",
            request_id=context.request_id.decode(),
            peer=context.peer,
            reason=limit,
            shadow=self._shadow or None,
            **who,
        )
        self._counts[limit] += 1
        now = time.monotonic()
        if now >= self._report_again_at:
            self._report_again_at = now + _REPORT_SECONDS
            event = "rate limits would refuse" if self._shadow else "rate limits refuse"
            _log.warning(event, so_far=dict(self._counts))
