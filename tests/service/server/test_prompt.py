"""Requests that are answered without a task, and what they wait with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.http.context import Context
from app.http.guard import Guard, RequestLimits
from app.http.problems import ProblemError
from app.http.prompt import PromptAnswer
from app.server.known_heads import KnownHead
from core.later import Later

ROUTE = ("POST", "/x")


class Handler:
    """Answers when it is told to."""

    def __init__(self, wait: Callable[[], Later | None]) -> None:
        self.wait = wait
        self.ended = 0
        self.takes_all = True

    def takes(self, context: Context) -> bool:
        """See PromptHandler."""
        return self.takes_all

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler."""
        later = self.wait()
        if later is not None:
            await later
        self.ended += 1
        return PromptAnswer(200, b"x-own: 1\r\n", body)


class Whole:
    """A request that came whole; keeps what is written."""

    def __init__(self) -> None:
        scope = {"type": "http", "method": ROUTE[0], "path": ROUTE[1], "headers": []}
        self.head = KnownHead(scope, 0)
        self.scope: Any = {**scope, "extensions": {}}
        self.whole_body = b"{}"
        self.written: list[tuple[int, bytes, bytes]] = []

    def write_answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Keep it."""
        self.written.append((status, lines, body))

    async def receive(self) -> Any:
        """Nothing is asked for here."""
        raise AssertionError


async def nothing(*_: object) -> None:
    """An application that is not asked."""
    raise AssertionError


def guarded(handler: Handler, *, seconds: float = 60, at_once: int = 8) -> tuple[Guard, list[int]]:
    """A guard with a handler, and the statuses of what has ended."""
    ended: list[int] = []
    limits = RequestLimits(seconds, at_once)
    guard = Guard(
        nothing,
        max_body_bytes=100,
        limits=limits,
        on_done=lambda context, _: ended.append(context.status),
        prompt_handlers={ROUTE: handler},
    )
    return guard, ended


async def test_answer_at_once() -> None:
    """Where nothing is waited for, the answer is written when the call returns."""
    guard, ended = guarded(Handler(lambda: None))
    whole = Whole()
    assert guard.prompt(whole)
    ((status, lines, body),) = whole.written
    assert (status, body, ended, guard.in_progress) == (200, b"{}", [200], 0)
    assert lines.endswith(b"x-own: 1\r\ncontent-length: 2\r\n")
    assert b"x-content-type-options: nosniff\r\n" in lines
    assert "sigil" not in whole.scope


async def test_answer_after_waits() -> None:
    """What is waited for wakes the handler; an error of it is the request's problem."""
    loop = asyncio.get_running_loop()
    for error, status in ((None, 200), (ProblemError("not_found", "no"), 404), (OSError("a defect"), 500)):
        later = Later(loop)
        guard, ended = guarded(Handler(lambda later=later: later))  # type: ignore[misc]
        whole = Whole()
        assert guard.prompt(whole)
        assert (whole.written, guard.in_progress) == ([], 1)
        if error is None:
            later.set_result(None)
        else:
            later.set_exception(error)
        assert [written[0] for written in whole.written] == ended == [status]
        assert guard.in_progress == 0
        await guard.finish()


async def test_time_that_is_over() -> None:
    """What takes too long is answered for, once; what it has begun goes on, and a stop waits for it."""
    later = Later(asyncio.get_running_loop())
    handler = Handler(lambda: later)
    guard, ended = guarded(handler, seconds=0.01)
    whole = Whole()
    assert guard.prompt(whole)
    async with asyncio.timeout(20):
        while not whole.written:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        assert (whole.written[0][0], ended, guard.in_progress, handler.ended) == (503, [503], 0, 0)
        stop = asyncio.create_task(guard.finish())
        await asyncio.sleep(0.01)
        assert not stop.done()
        later.set_result(None)
        await stop
    assert (len(whole.written), ended, handler.ended) == (1, [503], 1)


async def test_what_is_left_to_others() -> None:
    """Nothing happens to what has no handler, is not taken, finds no room, or announces too much."""
    later = Later(asyncio.get_running_loop())
    handler = Handler(lambda: later)
    guard, ended = guarded(handler, at_once=1)
    other, large = Whole(), Whole()
    other.head.route = ("GET", "/x")
    large.head.facts.content_length = 101
    assert not guard.prompt(other)
    assert not guard.prompt(large)
    handler.takes_all = False
    assert not guard.prompt(Whole())
    handler.takes_all = True
    assert guard.prompt(Whole())
    full = Whole()
    assert not guard.prompt(full)
    assert (full.written, ended, "sigil" in full.scope) == ([], [], False)
    later.set_result(None)


@pytest.mark.parametrize("is_done_before", [True, False])
async def test_later(*, is_done_before: bool) -> None:
    """Whoever awaits it gets its result, or its error, whether that is there before or comes."""

    async def outcome(later: Later) -> object:
        try:
            return await later
        except ValueError as error:
            return error

    error = ValueError("x")
    settings: list[tuple[Callable[[Later], None], object]] = [
        (lambda later: later.set_result(7), 7),
        (lambda later: later.set_exception(error), error),
    ]
    for setting, expected in settings:
        later = Later(asyncio.get_running_loop())
        told: list[Later] = []
        work = outcome(later)
        if is_done_before:
            setting(later)
        else:
            later.add_done_callback(told.append)
            assert work.send(None) is later
            setting(later)
            assert told == [later]
        with pytest.raises(StopIteration) as end:
            work.send(None)
        assert end.value.value is expected
        assert later.done()
