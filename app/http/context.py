"""What the service needs of a request, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from starlette.types import Receive, Scope

from app.http.head_facts import HeadFacts
from app.http.problems import Headers
from app.http.request_ids import new_request_id
from core.limits.routes import RouteClass

#: The extension of an ASGI scope with a function that ends the request's connection at once.
ABORT: Final = "sigil.abort"
#: The extension with a function that sends a whole answer: of its status, headers and body.
ANSWER: Final = "sigil.answer"
#: The extension with the names that the client's certificate proves, where it had to show one.
PEER_NAMES: Final = "sigil.peer_names"

#: What a scope's headers say, as far as the server knows that.
HEAD: Final = "sigil.head"

_NOTHING: Final[Mapping[str, int]] = {}


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


def _sum(earlier: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not earlier:
        return more
    return {name: earlier.get(name, 0) + more.get(name, 0) for name in {**earlier, **more}}


def _do_nothing() -> None:
    """Renew no deadline."""


class Caller(msgspec.Struct, frozen=True):
    """A verified caller, as its token says.

    Attributes:
        issuer: who vouches for it: a subject is somebody only together with its issuer.
    """

    issuer: str
    tenant: str
    subject: str
    roles: frozenset[str]

    def named(self) -> dict[str, str]:
        """Who this is, for the audit log."""
        return {"issuer": self.issuer, "tenant": self.tenant, "subject": self.subject}


class Context:
    """One request on its way through the service.

    Attributes:
        head: what the request's headers say.
        request_id: the client's if it is well-formed, otherwise made here.
        common_headers: what every answer has.
        answering: whether the answer has begun, so that there can be no other.
        body_seconds: how long the request's body took to come.
        problem: the code of the problem that the answer is; empty where it is none.
        refusal: why the caller was not let in, as the audit log has it; empty where it was.
        items: what the request asks for: payloads to seal, sigils to judge.
        outcomes: how many items came to what.
        reasons: how many sigils are invalid for what reason.
        rate_headers: what the answer says about rate limits.
        rate_lines: the same as it stands on the wire, for answers that are given without a task.
        route_class: what the request counts as; set when it is counted.
        status: of the answer, when that has begun; 0 before.
        renew_deadline: gives the request as much time as it had at first, from now on.
    """

    # As they are at first: most requests change few of them.
    answering = False
    body_seconds = 0.0
    status = 0
    problem = ""
    refusal = ""
    items = 1
    outcomes: Mapping[str, int] = _NOTHING
    reasons: Mapping[str, int] = _NOTHING
    renew_deadline: Callable[[], None] = staticmethod(_do_nothing)
    rate_headers: Headers = ()
    rate_lines = b""
    route_class: RouteClass = "read"
    _caller: Caller | None = None

    def __init__(
        self, scope: Scope, receive: Receive, common_headers: Headers = (), head: HeadFacts | None = None
    ) -> None:
        """Gather what is needed; ``head`` is what the scope's headers say, where that is known."""
        self._scope = scope
        self.receive = receive
        self.common_headers = common_headers
        self.head = head = head or HeadFacts(scope["headers"])
        self.request_id = head.request_id or new_request_id()
        scope["sigil"] = self

    @property
    def scope(self) -> Scope:
        """ASGI's scope."""
        return self._scope

    @property
    def method(self) -> str:
        """The request's."""
        method: str = self._scope["method"]
        return method

    @property
    def path(self) -> str:
        """The request's."""
        path: str = self._scope["path"]
        return path

    @property
    def query_string(self) -> bytes:
        """What stands behind the path's question mark."""
        query_string: bytes = self._scope["query_string"]
        return query_string

    @staticmethod
    def of(scope: Scope) -> Context:
        """The context that was made for this request."""
        context: Context = scope["sigil"]
        return context

    def answer_with(self, status: int) -> None:
        """Note that an answer begins."""
        self.answering = True
        self.status = status

    def add_outcomes(self, outcomes: Mapping[str, int], reasons: Mapping[str, int] = _NOTHING) -> None:
        """Note what more items came to."""
        self.outcomes = _sum(self.outcomes, outcomes)
        self.reasons = _sum(self.reasons, reasons)

    def release(self) -> None:
        """Part with the scope at the request's end. They lead to each other: neither would go by itself."""
        del self._scope["sigil"]

    async def abort(self) -> None:
        """End the connection, whatever of an answer was sent, and wait until it has ended."""
        self.scope["extensions"][ABORT]()
        while (await self.receive())["type"] != "http.disconnect":
            pass

    @property
    def peer(self) -> str | None:
        """The address at the other end of the connection, which may be a proxy's."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def peer_names(self) -> Sequence[str]:
        """What the other end of the connection is called, as its certificate proves; nothing without one."""
        names: Sequence[str] = self.scope.get("extensions", {}).get(PEER_NAMES, ())
        return names

    @property
    def tenant(self) -> str | None:
        """The tenant that the request is for, where its caller is known."""
        return None if self._caller is None else self._caller.tenant

    @property
    def caller(self) -> Caller:
        """Who calls. Only an authenticated request has a caller; any other use is a defect."""
        if self._caller is None:
            raise RuntimeError("the request is not authenticated")
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller
