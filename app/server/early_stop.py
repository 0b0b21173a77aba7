"""A stop that is asked for before a server serves."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Final

from app.server.serving import STOPPING

#: Seconds that a stop waits for what is being opened: more than a local disk takes, or SQLite's lock.
_PATIENCE: Final = 5.0


class EarlyStop:
    """Ends the process at a signal: there is nothing to finish yet. What is open is closed on the way out.

    An exception that comes out of nowhere leaves half open what is being opened then, and libraries take it
    for a failure of their own. So a stop waits for that, unless it takes long.
    """

    def __init__(self) -> None:
        """Listen for the signals."""
        self._is_asked = False
        self._is_held = False
        # SIGHUP's default would be the end; that of the others would not be, for the first process of a
        # container.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, self._end)
        for number in STOPPING:
            signal.signal(number, self._stop)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a stop wait for what is opened meanwhile, and end the process then, whatever came of it."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.check()

    @staticmethod
    def ignore_signals() -> None:
        """Heed no more signals: the process is ending, which they must not disturb, nor cut short."""
        # So it stays to the end: Python puts handlers of its own back before that, but leaves this.
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """End the process now, if a stop waits, or its exception got lost: a finalizer swallows it."""
        if self._is_asked:
            sys.exit(0)

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_asked = True
        self.ignore_signals()
        if self._is_held:
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        else:
            sys.exit(0)

    @staticmethod
    def _end(_number: int, _frame: object) -> None:
        sys.exit(0)
