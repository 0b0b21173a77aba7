"""One request on its way through a rate limit."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Literal, Protocol

from sigil_native._decision import Decision
from sigil_native._line_counter import LineCounter
from sigil_native._rate_headers import RateHeaders, retry_after
from sigil_native._rate_responses import answer, problem, rate_limited
from sigil_native.errors import RateLimitedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What became of a request: let through, answered with 429, let through by a limit that only counts, or not
#: counted because whoever counts failed.
Outcome = Literal["allowed", "refused", "shadow_refused", "unavailable"]

#: Fields that say one thing together.
_FAMILIES: Final = {
    b"x-ratelimit-limit": "widespread",
    b"x-ratelimit-remaining": "widespread",
    b"x-ratelimit-reset": "widespread",
    b"ratelimit-policy": "draft",
    b"ratelimit": "draft",
    b"retry-after": "retry",
}

#: Before anything is known.
_UNKNOWN: Final = Decision(False, 0, 0, 0.0, 0.0)

_log: Final = logging.getLogger("sigil_native.asgi")


class Limiter(Protocol):
    """Keeps count: a ``TokenBucket``, or something that asks another process."""

    def check(self, key: str, cost: int, /) -> Decision | Awaitable[Decision]:
        """Take the tokens if they are there, and tell how things stand after it."""


class RateLimit:
    """What all requests through one middleware share.

    Attributes:
        limiter: keeps count.
        headers: writes the header fields of its one limit.
        shadow: whether it only counts.
        refuses_uncounted: whether nobody is let through while the limiter fails.
        on_refused: answers instead of the problem document.
        on_outcome: is told what became of each request.
    """

    def __init__(
        self,
        limiter: Limiter,
        headers: RateHeaders,
        *,
        shadow: bool,
        refuses_uncounted: bool,
        on_refused: Application | None,
        on_outcome: Callable[[Outcome, Scope], object] | None,
    ) -> None:
        self.limiter = limiter
        self.headers = headers
        self.shadow = shadow
        self.refuses_uncounted = refuses_uncounted
        self.on_refused = on_refused
        self.on_outcome = on_outcome
        self._fails = False

    async def take(self, key: str, tokens: int) -> Decision | None:
        """Take tokens if they are there; None if nobody can tell. Logs a line each time that this changes."""
        try:
            found = self.limiter.check(key, tokens)
            decision = found if isinstance(found, Decision) else await found
        except Exception:
            if not self._fails:
                self._fails = True
                _log.exception("the rate limiter fails")
            return None
        if self._fails:
            self._fails = False
            _log.warning("the rate limiter works again")
        return decision


class LimitedRequest:
    """One request: admits it, writes its headers, and counts the lines of its body where they cost.

    What an application sees of the limit is this: nothing at all, or, where the lines of a body cost, a
    ``RateLimitedError`` from ``receive``. The caller has been answered by then, unless the application had
    begun to answer.
    """

    __slots__ = (
        "_answered",
        "_asked_for",
        "_begun",
        "_cost",
        "_decision",
        "_first_is_counted",
        "_key",
        "_limit",
        "_lines",
        "_outcome",
        "_over",
        "_receive",
        "_scope",
        "_send",
    )

    def __init__(
        self, limit: RateLimit, scope: Scope, receive: Receive, send: Send, *, key: str, cost: int
    ) -> None:
        self._limit = limit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._key = key
        self._cost = cost
        self._lines = LineCounter()
        self._decision = _UNKNOWN
        self._outcome: Outcome = "allowed"
        self._asked_for = 0
        self._first_is_counted = False
        self._over = False
        self._begun = False
        self._answered = False

    async def run(self, application: Application, *, by_line: bool) -> None:
        """Let an application answer the request, if its limit allows it.

        Args:
            application: the one behind the limit.
            by_line: whether each line of the body costs; the request itself pays for the first one.
        """
        if await self._is_over(self._cost):
            self._report()
            await self._refuse()
        elif by_line:
            await self._run_by_line(application)
        else:
            self._report()
            await application(self._scope, self._receive, self._send_limited if self._tells() else self._send)

    async def _run_by_line(self, application: Application) -> None:
        try:
            await application(self._scope, self._receive_lines, self._send_limited)
        except Exception:
            # Whatever the application made of the interruption, its caller has been answered.
            if not self._answered:
                raise
            _log.debug("an application ended at its caller's rate limit", exc_info=True)
        finally:
            self._report()

    def _tells(self) -> bool:
        """Whether the caller gets to know how things stand."""
        return self._decision is not _UNKNOWN and not self._limit.shadow

    def _report(self) -> None:
        if self._limit.on_outcome is not None:
            self._limit.on_outcome(self._outcome, self._scope)

    async def _is_over(self, tokens: int) -> bool:
        """Take tokens; whether the request must not go on."""
        decision = await self._limit.take(self._key, tokens)
        if decision is None:
            self._outcome = "unavailable"
            return self._limit.refuses_uncounted
        before = self._asked_for
        self._asked_for += tokens
        self._decision = decision
        if decision.allowed:
            return False
        if self._limit.shadow:
            self._outcome = "shadow_refused"
            return False
        self._outcome = "refused"
        self._decision = (
            self._limit.headers.policies[0].refusal(decision, self._asked_for) if before else decision
        )
        return True

    async def _receive_lines(self) -> Message:
        """The next piece of the body, once its lines are paid for.

        Raises:
            RateLimitedError: they are too many. So does every call after that.
        """
        if self._over:
            raise RateLimitedError(self._decision)
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        lines = self._lines.feed(message.get("body", b""))
        if lines and not self._first_is_counted:
            self._first_is_counted = True
            lines -= 1
        if lines and await self._is_over(lines * self._cost):
            self._over = True
            if not self._begun:
                self._answered = True
                await self._refuse()
            raise RateLimitedError(self._decision)
        return message

    async def _send_limited(self, message: Message) -> None:
        """Send with the header fields of the limit; nothing more to a caller who has been refused."""
        if self._answered:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            if self._tells():
                message = {**message, "headers": self._with_fields(message.get("headers", ()))}
        await self._send(message)

    def _with_fields(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Header fields with the limit's. Of a family that the application wrote itself, its own are kept."""
        kept = list(headers)
        own = {family for name, _ in kept if (family := _FAMILIES.get(name.lower())) is not None}
        fields = self._limit.headers.fields((self._decision,))
        if own:
            fields = [field for field in fields if _FAMILIES[field[0]] not in own]
        return kept + fields

    async def _refuse(self) -> None:
        """Answer for the application."""
        scope, policy = self._scope, self._limit.headers.policies[0]
        if self._outcome == "unavailable":
            body = problem(
                503, "rate_limiter_unavailable", "nobody can tell now whether the limit allows this"
            )
            await answer(scope, self._receive, self._send, 503, [(b"retry-after", b"1")], body)
            return
        if self._limit.on_refused is not None and scope["type"] == "http":
            await self._limit.on_refused(scope, self._receive, self._send_refusal)
            return
        body = rate_limited(policy, retry_after((self._decision,)))
        fields = self._limit.headers.fields((self._decision,))
        await answer(scope, self._receive, self._send, 429, fields, body)

    async def _send_refusal(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": self._with_fields(message.get("headers", ()))}
        await self._send(message)
