"""One request that is answered without a task; see ``app.http.prompt``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from app.http.admission import Admission
from app.http.context import Context
from app.http.deadlines import DeadlinePassedError, Deadlines
from app.http.problems import ProblemError
from app.http.prompt import PromptAnswer, Whole
from app.http.replies import problem_reply, wire_lines
from core.later import Later


class Host(Protocol):
    """Who has requests answered."""

    admission: Admission
    deadlines: Deadlines
    on_done: Callable[[Context, float], None] | None
    #: Headers that all answers have, as they stand on the wire.
    common_lines: bytes

    def problem(self, error: Exception, context: Context) -> ProblemError:
        """The problem that an error is."""


class Running:
    """The runs that are not at their end, so that a stop can wait for them."""

    def __init__(self) -> None:
        self._runs: set[Prompted] = set()
        self.add = self._runs.add
        self._emptied: asyncio.Event | None = None

    def discard(self, run: Prompted) -> None:
        """A run is at its end."""
        self._runs.discard(run)
        if not self._runs and self._emptied is not None:
            self._emptied.set()

    async def finish(self) -> None:
        """Wait for what still runs."""
        if self._runs:
            self._emptied = asyncio.Event()
            await self._emptied.wait()


class Prompted:
    """A handler's run. What it waits for wakes it; when its time is over it is answered for, and goes on."""

    __slots__ = ("_begun", "_context", "_host", "_is_over", "_running", "_whole", "_work")

    def __init__(
        self,
        host: Host,
        running: Running,
        whole: Whole,
        context: Context,
        work: Coroutine[Any, Any, PromptAnswer],
        begun: float,
    ) -> None:
        self._host = host
        self._running = running
        self._whole = whole
        self._context = context
        self._work = work
        self._begun = begun
        self._is_over = False

    def start(self) -> None:
        """Go as far as it can without waiting."""
        self._host.admission.enter()
        try:
            waited: Later = self._work.send(None)
        except StopIteration as end:
            self._answer(end.value)
        except Exception as error:
            self._fail(error)
        else:
            self._host.deadlines.watch_over(self)
            self._running.add(self)
            waited.add_done_callback(self._go_on)

    def expire(self) -> None:
        """See Expiring."""
        self._fail(DeadlinePassedError())

    def _go_on(self, _: Later) -> None:
        try:
            waited: Later = self._work.send(None)
        except StopIteration as end:
            self._finish()
            if not self._is_over:
                self._answer(end.value)
        except Exception as error:
            self._finish()
            if not self._is_over:
                self._fail(error)
        else:
            waited.add_done_callback(self._go_on)

    def _finish(self) -> None:
        self._host.deadlines.forget(self)
        self._running.discard(self)

    def _answer(self, answer: PromptAnswer) -> None:
        status, own_lines, body = answer
        context = self._context
        context.answer_with(status)
        lines = (
            *(b"x-request-id: ", context.request_id, b"\r\n", self._host.common_lines),
            *(context.rate_lines, own_lines, b"content-length: %d\r\n" % len(body)),
        )
        self._end(status, b"".join(lines), body)

    def _fail(self, error: Exception) -> None:
        context = self._context
        problem = self._host.problem(error, context)
        context.problem = problem.code
        reply = problem_reply(context, problem)
        context.answer_with(reply.status)
        self._end(reply.status, context.rate_lines + wire_lines(context, reply), reply.body)

    def _end(self, status: int, lines: bytes, body: bytes) -> None:
        self._is_over = True
        host, context = self._host, self._context
        host.admission.leave()
        try:
            self._whole.write_answer(status, lines, body)
        finally:
            if host.on_done is not None:
                host.on_done(context, time.perf_counter() - self._begun)
