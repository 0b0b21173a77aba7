"""The outermost layer: request ids, announced sizes, and errors as problems."""

from __future__ import annotations

from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.bodies import body_too_large
from app.http.context import ClientGoneError, Context
from app.http.problems import ProblemError, problem_from
from app.http.replies import send_problem

_log = structlog.get_logger("app")
#: Errors that the operator must hear of although the caller gets an ordinary answer.
_LOGGED: Final = 500


class Guard:
    """The outermost layer. Whatever happens inside, the client gets one well-formed answer.

    Bodies whose announced length is beyond the limit are refused before anything else is looked
    at; handlers count what arrives unannounced.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes go through as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = Context(scope, receive)
        try:
            if context.content_length > self._max_body_bytes:
                raise body_too_large(self._max_body_bytes)
            await self._app(scope, receive, send)
        except ClientGoneError:
            return
        except Exception as error:
            # The last line of defence: a defect of ours must not become a broken connection.
            await send_problem(send, context, _problem(error, context, scope))


def _problem(error: Exception, context: Context, scope: Scope) -> ProblemError:
    problem = problem_from(error)
    request_id = context.request_id.decode()
    if problem is None:
        _log.exception("request failed", request_id=request_id, path=scope["path"])
        return ProblemError("internal", "an unexpected error; it has been logged")
    if problem.status >= _LOGGED:
        cause = str(error.__cause__ or error)
        _log.error("request failed", request_id=request_id, code=problem.code, cause=cause)
    return problem


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The endpoint of paths that do not exist."""
    raise ProblemError("not_found", "no such path")
