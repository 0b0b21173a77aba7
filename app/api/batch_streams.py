"""Batches that are worked on while they come, and answered meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

import msgspec
import structlog

from app.api.schemas import StreamEnd, broken_off
from app.http.bodies import BodyStream
from app.http.context import Context
from app.http.lines import LINES_A_PIECE, MOST_STREAMED_LINES, empty_batch, too_many_lines, whole_lines
from app.http.problems import ProblemError, problem_from
from app.http.queries import query_of
from core.errors import DomainError
from sigil_native import SealRequests, SigilError, VerifyRequests

_Requests = TypeVar("_Requests", bound=SealRequests | VerifyRequests)
#: Carries lines out and answers them. It is told of those that were answered before: how many.
Work = Callable[[Context, _Requests, int], Awaitable[bytes]]

_encode_lines = msgspec.json.Encoder().encode_lines
_END: Final = _encode_lines([StreamEnd()])
_SERVER_ERROR: Final = 500

_log = structlog.get_logger("app")


def wants_stream(context: Context) -> bool:
    """Whether a batch shall be carried out piece by piece.

    Raises:
        ProblemError: the query is something else.
    """
    if not context.query_string:
        return False
    wish = query_of(context, {"stream"}).get("stream", "false")
    if wish not in {"true", "false"}:
        raise ProblemError("invalid_query", "stream is true or false")
    return wish == "true"


async def answers_to(
    context: Context, body: BodyStream, kind: type[_Requests], work: Work[_Requests]
) -> AsyncGenerator[bytes, None]:
    """The lines of the answer, those of a piece of the body at a time.

    The next piece is read when the answers to the last one are on their way: a client that does not read is
    not read from either, and no more of a batch is in memory than a piece and its answers.

    What goes wrong before the first answer is the request's problem. Later it is told in a last line, with
    the number of the first line that has no answer; the pieces before that are done, and stay so.
    """
    number, answered = 1, 0
    begun = False
    try:
        async for text in whole_lines(body):
            at = 0
            while at < len(text):
                requests = kind(text[at:], most=LINES_A_PIECE, number=number)
                if count := len(requests):
                    answers = await _carried_out(context, requests, answered, work)
                    answered += count
                    yield answers
                    begun = True
                number = requests.next_number
                at += requests.end
        if not begun:
            raise empty_batch()
    except (DomainError, SigilError, ProblemError) as error:
        problem = problem_from(error)
        if not begun or problem is None:
            raise
        _note(context, problem, error)
        headers = (*problem.headers, *context.rate_headers)
        yield _encode_lines([broken_off(number, problem, headers)])
        return
    yield _END


async def _carried_out(context: Context, requests: _Requests, answered: int, work: Work[_Requests]) -> bytes:
    count = len(requests)
    try:
        if answered + count > MOST_STREAMED_LINES:
            raise too_many_lines(MOST_STREAMED_LINES)
        return await work(context, requests, answered)
    except (DomainError, SigilError, ProblemError) as error:
        if answered:
            problem = problem_from(error)
            ours = problem is None or problem.status >= _SERVER_ERROR
            context.add_outcomes({"failed" if ours else "refused": count})
        raise


def _note(context: Context, problem: ProblemError, error: Exception) -> None:
    """Tell the operator, who sees no status of it."""
    context.problem = problem.code
    if problem.status >= _SERVER_ERROR:
        cause = str(error.__cause__ or error)
        request_id = context.request_id.decode()
        _log.error("request broken off", request_id=request_id, code=problem.code, cause=cause)
