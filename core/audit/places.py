"""Places in the audit queue for the lines of batches: taken before their work begins, by turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from core.errors import AuditUnavailableError


class _Turn(NamedTuple):
    """Somebody who waits for so many places; the future is done when they have them, or wait no longer."""

    lines: int
    future: asyncio.Future[None]


class BatchPlaces:
    """The part of an audit queue that batches share.

    The queue has one bound for all tenants. Where it is reached, everybody is refused until most of it is
    written. A single call brings one line, and no more of them are there than requests in progress; a batch
    brings a thousand, so a few dozen of them would do it. Therefore a batch takes a place for each of its
    lines before anything is done for it, and keeps them until the lines are in the file: however many batches
    come, their lines leave the rest of the queue to single calls, which have nothing to do with this; and
    what was sealed for a batch has room for its lines.

    Who finds too few places waits for them, for a while. All are served in the order in which they came:
    small batches do not pass a large one by for ever, and those of one tenant delay another's before they
    can refuse it. A piece of a batch that is streamed is served like a batch of its own, so that who sends a
    stream is slowed down.

    Places come back before their lines are written where nobody waits for these any more. When the log fails,
    nothing new is begun until its queue is all but empty. When the time of verifications is over, the lines
    that they leave are no more than there are places; with half of the queue for batches there is room for
    as many others.

    Where nobody waits until lines are written, batches give their places back when these are queued. What is
    in the queue counts beside them then, and whoever writes it calls ``serve``.

    It belongs to one event loop.
    """

    def __init__(self, most: int, patience: float, queued: Callable[[], int] = lambda: 0) -> None:
        """Share so many places; nobody waits for some longer than so many seconds.

        Args:
            most: places.
            patience: seconds.
            queued: lines that take places without having been given them.
        """
        self._free = most
        self._patience: Final = patience
        self._queued: Final = queued
        self._turns: deque[_Turn] = deque()

    def has(self, lines: int) -> bool:
        """Whether so many places can be had without waiting."""
        return lines <= self._free - self._queued() and not self._turns

    @property
    def are_wanted(self) -> bool:
        """Whether somebody waits for some. For any thread: who begins to wait later looks again."""
        return bool(self._turns)

    async def take(self, lines: int) -> None:
        """Take places, no more than there are in all; whoever comes back with them must ``give_back``.

        Raises:
            AuditUnavailableError: there were none for as long as anybody waits.
        """
        if self.has(lines):
            self._free -= lines
            return
        loop = asyncio.get_running_loop()
        turn = _Turn(lines, loop.create_future())
        self._turns.append(turn)
        self.serve()
        clock = loop.call_later(self._patience, self._refuse, turn)
        try:
            await turn.future
        except asyncio.CancelledError:
            if turn.future.cancelled():
                self.serve()
            elif turn.future.exception() is None:  # cancelled when it had just been served
                self.give_back(lines)
            raise
        finally:
            clock.cancel()

    def take_in_any_case(self, lines: int) -> None:
        """Take places whether or not there are any: others wait until there are again."""
        self._free -= lines

    def give_back(self, lines: int) -> None:
        """Give places back."""
        self._free += lines
        self.serve()

    def _refuse(self, turn: _Turn) -> None:
        if not turn.future.done():
            turn.future.set_exception(AuditUnavailableError("overloaded", retry_after=1))
            self.serve()

    def serve(self) -> None:
        """Give those who wait what is free, the first first; forget who waits no longer."""
        turns = self._turns
        while turns:
            lines, future = turns[0]
            if not future.done():
                if lines > self._free - self._queued():
                    return
                self._free -= lines
                future.set_result(None)
            turns.popleft()
