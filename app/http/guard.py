"""The outermost layer: what a request may take of the service, and errors as problems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.admission import Admission
from app.http.bodies import body_too_large
from app.http.context import HEAD, ClientGoneError, Context
from app.http.deadlines import DeadlinePassedError, Deadlines
from app.http.problems import Headers, ProblemError, problem_from
from app.http.prompt import NO_HANDLERS, PromptContext, PromptHandlers, Whole
from app.http.prompted import Prompted, Running
from app.http.replies import SAFETY, lines_of, send_problem

_log = structlog.get_logger("app")
#: Errors that the operator must hear of although the caller gets an ordinary answer.
_LOGGED: Final = 500
#: Of these admission and limits tell themselves, once for many.
_UNLOGGED: Final = frozenset({"overloaded", "limiter_unavailable"})
#: Let in however many requests there are: a service that is busy is not dead.
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_RETRY_SOON: Final = ((b"retry-after", b"1"),)
_CUT_OFF: Final = "the service is stopping, and waits for this request no longer"


class RequestLimits(msgspec.Struct, frozen=True):
    """What requests may take: seconds each, and how many there may be at once."""

    seconds: float = 60
    at_once: int = 512


DEFAULT_LIMITS: Final = RequestLimits()


class Guard:
    """The outermost layer. Whatever happens inside, the client gets one well-formed answer.

    In this order, and before anything else is looked at: there must be room for one more request; a
    body whose announced length is beyond the limit is refused (handlers count what arrives
    unannounced); and the rest must be done in time.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        limits: RequestLimits = DEFAULT_LIMITS,
        more_headers: Headers = (),
        on_done: Callable[[Context, float], None] | None = None,
        prompt_handlers: PromptHandlers = NO_HANDLERS,
    ) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            max_body_bytes: that a body may announce.
            limits: what requests may take.
            more_headers: go with every answer.
            on_done: is told of each request that has ended, and how many seconds it took, without those
                in which its body came.
            prompt_handlers: answer what they can without a task, by method and path.
        """
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._limits = limits
        self._common_headers = (*SAFETY, *more_headers)
        self.common_lines = lines_of(self._common_headers)
        self.admission = Admission(limits.at_once)
        self.deadlines = Deadlines(limits.seconds)
        self.on_done = on_done
        self._prompt_handlers = prompt_handlers
        self._running = Running()

    @property
    def in_progress(self) -> int:
        """Requests that are inside now; probes are none."""
        return self.admission.inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes go through as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = Context(scope, receive, self._common_headers, scope.get(HEAD))
        begun = time.perf_counter()
        try:
            if scope["path"] in _PROBES:
                await self._serve(context, send)
            else:
                with self.admission:
                    await self._serve(context, send)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            # Nobody but a server that ends cancels a request. It tells of all together.
            await self._fail(context, send, ProblemError("timeout", _CUT_OFF, headers=_RETRY_SOON))
        except Exception as error:
            # The last line of defence: a defect of ours must not become a broken connection.
            await self._fail(context, send, self.problem(error, context))
        finally:
            if self.on_done is not None:
                # What the caller took is not ours.
                self.on_done(context, time.perf_counter() - begun - context.body_seconds)
            context.release()

    def prompt(self, whole: Whole) -> bool:
        """Answer a request that came whole without a task; False, if that is no way for it."""
        head = whole.head
        handler = self._prompt_handlers.get(head.route)
        if handler is None or self.admission.is_full or head.facts.content_length > self._max_body_bytes:
            return False
        begun = time.perf_counter()
        context = PromptContext(whole, self._common_headers)
        if not handler.takes(context):
            return False
        work = handler.answer(context, whole.whole_body)
        Prompted(self, self._running, whole, context, work, begun).start()
        return True

    async def finish(self) -> None:
        """Wait for what runs without a task."""
        await self._running.finish()

    async def _serve(self, context: Context, send: Send) -> None:
        if context.head.content_length > self._max_body_bytes:
            raise body_too_large(self._max_body_bytes)
        with self.deadlines.watch() as deadline:
            context.renew_deadline = deadline.renew
            await self._app(context.scope, context.receive, send)

    @staticmethod
    async def _fail(context: Context, send: Send, problem: ProblemError) -> None:
        """Answer with a problem, if it is not too late for that."""
        context.problem = problem.code
        if context.answering:
            await context.abort()
        else:
            await send_problem(send, context, problem)

    def problem(self, error: Exception, context: Context) -> ProblemError:
        """The problem that an error is; the operator is told of what is none of the caller's."""
        request_id = context.request_id.decode()
        if isinstance(error, DeadlinePassedError):
            detail = f"the request was not done within {self._limits.seconds:g} seconds"
            error = ProblemError("timeout", detail, headers=_RETRY_SOON)
        problem = problem_from(error)
        if problem is None:
            _log.exception("request failed", request_id=request_id, path=context.path)
            return ProblemError("internal", "an unexpected error; it has been logged")
        if problem.status >= _LOGGED and problem.code not in _UNLOGGED:
            cause = str(error.__cause__ or error)
            _log.error("request failed", request_id=request_id, code=problem.code, cause=cause)
        return problem
