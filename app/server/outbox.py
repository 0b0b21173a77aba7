"""Answers that leave together.

Whoever reads an answer must be woken, and the system takes as long for that as a small request takes. Answers
that are ready within one turn of the event loop wait until its end, and are written one behind the other:
their readers are woken once, where they share a process or a processor, and the code that writes stays in the
processor's caches. Measured with 32 connections of one client: half of the time of a request.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

#: That the first may wait for others which take so long to make.
_PATIENCE: Final = 0.001


class Sender(Protocol):
    """What has something to write."""

    def write_out(self) -> None:
        """Write what waits, if anything does."""


class Outbox:
    """Those of one event loop who have answers that wait to be written."""

    def __init__(self) -> None:
        self._senders: list[Sender] = []
        #: When the first came, by the steady clock.
        self._since = 0.0

    def put(self, sender: Sender, loop: asyncio.AbstractEventLoop) -> None:
        """Have somebody called before the loop does anything that is asked of it from now on."""
        now = time.monotonic()
        if not self._senders:
            loop.call_soon(self._flush)
            self._since = now
        self._senders.append(sender)
        if now - self._since >= _PATIENCE:
            self._flush()

    def _flush(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.write_out()
