"""The way in and out: routing by method, request ids, and errors as problems."""

from __future__ import annotations

from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http import ClientGoneError, Context, Handler, body_too_large, send_problem, send_reply
from app.problems import ProblemError, problem_from

_log = structlog.get_logger("app")
#: Errors that the operator must hear of although the caller gets an ordinary answer.
_LOGGED: Final = 500


class Resource:
    """An ASGI endpoint: a handler for each method that a path allows."""

    def __init__(self, *, get: Handler | None = None, post: Handler | None = None) -> None:
        handlers = {"GET": get, "HEAD": get, "POST": post}
        self._handlers = {method: handler for method, handler in handlers.items() if handler is not None}
        self._allow = ", ".join(self._handlers).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise ProblemError for another method."""
        handler = self._handlers.get(scope["method"])
        if handler is None:
            detail = f"allowed: {self._allow.decode()}"
            raise ProblemError("method_not_allowed", detail, headers=((b"allow", self._allow),))
        await send_reply(send, Context.of(scope), await handler(scope, receive))


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
        context = Context(scope)
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
        _log.error("request failed", request_id=request_id, code=problem.code, cause=str(error))
    return problem


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The endpoint of paths that do not exist."""
    raise ProblemError("not_found", "no such path")
