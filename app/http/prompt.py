"""Requests that are answered without a task.

Most of what a quick request costs is made around it: a task, its timers, the layers of an application. A
request that came whole, with a head that was read before, is given to its prompt handler as a plain call. The
handler runs as far as it can; where it waits for the store or the audit log, it is woken by that alone. So
nothing can cancel it, and what it has begun is done to its end, whether or not its caller still waits.

Everything that is not as usual is left to the way through ASGI, before anything has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from app.http.context import Context
from app.http.head_facts import HeadFacts


class PromptAnswer(NamedTuple):
    """An answer.

    Attributes:
        lines: its own headers as they stand on the wire, well-formed: all but those that every answer has,
            and the body's length.
    """

    status: int
    lines: bytes
    body: bytes


class KnownRequestHead(Protocol):
    """A head that was read before."""

    @property
    def route(self) -> tuple[str, str]:
        """Method and path."""

    @property
    def facts(self) -> HeadFacts:
        """What its headers say."""


class Whole(Protocol):
    """A request that is here to its last byte."""

    scope: Any
    whole_body: bytes

    @property
    def write_answer(self) -> Callable[[int, bytes, bytes], None]:
        """Sends an answer now: its status, its headers as they stand on the wire, and its body."""

    @property
    def head(self) -> KnownRequestHead:
        """Its head."""

    async def receive(self) -> Any:
        """See ASGI."""


class PromptHandler(Protocol):
    """What answers requests of one route without a task."""

    def takes(self, context: Context) -> bool:
        """Whether it will answer this one. If not, nothing has happened."""

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """Answer it; as it has no task, it may await nothing but a ``Later``.

        Raises:
            Exception: which the request's problem is made of.
        """


PromptHandlers = Mapping[tuple[str, str], PromptHandler]
NO_HANDLERS: Final[PromptHandlers] = {}
