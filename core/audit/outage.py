"""Times in which the audit log cannot be written: one line in the log when they begin, one when they end."""

from __future__ import annotations

import threading
import time

import structlog

_log = structlog.get_logger("core.audit.interface")


class Outage:
    """Whether the audit log works, as both the event loop and the writer's thread see it.

    Attributes:
        reason: why it does not, as AuditUnavailableError has it; None while it works.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._since = 0.0
        self._lock = threading.Lock()

    def begin(self, reason: str, cause: str | None = None) -> None:
        """It does not work; ``cause`` is for the operator. Does nothing where that is known."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            self._since = time.monotonic()
        _log.error("audit log failing", reason=reason, cause=cause)

    def end(self, lost: int = 0) -> None:
        """It works; so many lines found no room meanwhile."""
        with self._lock:
            reason, self.reason = self.reason, None
        if reason is not None:
            seconds = round(time.monotonic() - self._since, 3)
            _log.warning("audit log works again", reason=reason, seconds=seconds, lost=lost)
