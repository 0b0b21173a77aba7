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

    @staticmethod
    def ignore_signals() -> None:
        """Heed no more signals: the process is ending, which they must not disturb, nor cut short."""
        # So it stays to the end: Python puts handlers of its own back before that, but leaves this.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """End the process now, if the exception that was to end it got lost: a finalizer swallows it."""
        if self._is_asked:
            sys.exit(0)

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_asked = True
        self.ignore_signals()
        sys.exit(0)
