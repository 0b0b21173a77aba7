"""A stop that is asked for before a server serves."""

from __future__ import annotations

import signal
import sys

from app.server.serving import STOPPING


class EarlyStop:
    """Ends the process at a signal: there is nothing to finish yet. What is open is closed on the way out."""

    def __init__(self) -> None:
        """Listen for the signals."""
        self._is_asked = False
        # SIGHUP's default would be the end; that of the others would not be, for the first process of a
        # container.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in STOPPING:
            signal.signal(number, self._stop)

    def check(self) -> None:
        """End the process now, if the exception that was to end it got lost: a finalizer swallows it."""
        if self._is_asked:
            sys.exit(0)

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_asked = True
        sys.exit(0)
