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

from starlette.types import Scope

from app.http.context import Context
from app.http.head_facts import HeadFacts
from app.http.problems import Headers
from app.http.request_ids import new_request_id


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
    def query_string(self) -> bytes:
        """What stands behind the path's question mark."""

    @property
    def facts(self) -> HeadFacts:
        """What its headers say."""


class Whole(Protocol):
    """A request that is here to its last byte."""

    whole_body: bytes

    @property
    def scope(self) -> Any:
        """ASGI's scope, which is made when it is asked for."""

    async def receive(self) -> Any:
        """See ASGI."""

    @property
    def write_answer(self) -> Callable[[int, bytes, bytes], None]:
        """Sends an answer now: its status, its headers as they stand on the wire, and its body."""

    @property
    def head(self) -> KnownRequestHead:
        """Its head."""


class PromptContext(Context):
    """A request that is answered without a task. Few need its scope, so it is made only for those."""

    def __init__(self, whole: Whole, common_headers: Headers) -> None:
        """Gather what is needed."""
        head = whole.head
        self._whole = whole
        self.receive = whole.receive
        self.common_headers = common_headers
        self.head = facts = head.facts
        self.request_id = facts.request_id or new_request_id()

    @property
    def scope(self) -> Scope:
        """See Context."""
        scope: Scope = self._whole.scope
        return scope

    @property
    def method(self) -> str:
        """See Context."""
        return self._whole.head.route[0]

    @property
    def path(self) -> str:
        """See Context."""
        return self._whole.head.route[1]

    @property
    def query_string(self) -> bytes:
        """See Context."""
        return self._whole.head.query_string


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
