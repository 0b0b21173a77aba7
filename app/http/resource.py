"""What answers at a path, by method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from app.http.context import Context
from app.http.problems import ProblemError
from app.http.replies import Reply, send_reply
from app.http.streams import Stream, send_stream

Handler = Callable[[Context], Awaitable[Reply]]


class Method(Protocol):
    """What answers for a method of a path; a ``Handler`` does, too."""

    async def __call__(self, context: Context, /) -> Reply | Stream:
        """Answer."""


class Gate(Protocol):
    """What every request has to pass that no handler looks at."""

    def admit(self, context: Context) -> object:
        """Let a request pass.

        Raises:
            ProblemError: it may not.
        """


class Resource:
    """An ASGI endpoint: for each method that a path allows, who may call it and what answers."""

    def __init__(self, gate: Gate, *, get: Method | None = None, post: Method | None = None) -> None:
        """Serve these methods; others are for the gate to judge, and then refused."""
        self._gate = gate
        methods = {"GET": get, "HEAD": get, "POST": post}
        self.methods = {name: method for name, method in methods.items() if method is not None}
        self._allow = ", ".join(self.methods).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise ProblemError for another method."""
        method = self.methods.get(scope["method"])
        if method is None:
            self._gate.admit(Context.of(scope))
            detail = f"allowed: {self._allow.decode()}"
            raise ProblemError("method_not_allowed", detail, headers=((b"allow", self._allow),))
        context = Context.of(scope)
        reply = await method(context)
        if isinstance(reply, Stream):
            await send_stream(send, context, reply)
        else:
            await send_reply(send, context, reply)


class Nowhere:
    """The endpoint of paths that do not exist, which the gate judges, too."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise ProblemError."""
        self._gate.admit(Context.of(scope))
        raise ProblemError("not_found", "no such path")
