"""Rate limits for any ASGI application: Starlette, FastAPI and others.

See ``docs/library.md``. Nothing here needs more than the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import Final, Literal

from sigil_native._client_address import ClientAddress
from sigil_native._limited_request import (
    Application,
    LimitedRequest,
    Limiter,
    Outcome,
    RateLimit,
    Receive,
    Scope,
    Send,
)
from sigil_native._rate_headers import RateHeaders, RatePolicy
from sigil_native._rate_responses import answer, problem
from sigil_native.errors import InvalidOptionError

__all__ = ["ClientAddress", "Limiter", "Outcome", "RateHeaders", "RateLimitMiddleware", "RatePolicy"]

#: What bodies of a JSON value a line are called.
_LINE_TYPES: Final = {
    b"application/x-ndjson",
    b"application/ndjson",
    b"application/jsonl",
    b"application/x-jsonlines",
}


class RateLimitMiddleware:
    """Lets an application see only those requests that are within a rate limit.

    HTTP requests over it are answered with 429 and a problem document (RFC 9457), WebSockets over it are
    refused in the handshake. All other answers get the header fields of the limit, see ``RateHeaders``, but
    for those that the application writes itself. Other scopes, like the lifespan, pass.
    """

    def __init__(
        self,
        app: Application,
        bucket: Limiter,
        *,
        key: Callable[[Scope], str | None] | None = None,
        cost: int | Callable[[Scope], int] = 1,
        per_line: bool | Callable[[Scope], bool] = False,
        exempt: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        name: str = "default",
        quota: int | None = None,
        window: int | None = None,
        shadow: bool = False,
        when_unavailable: Literal["allow", "refuse"] = "allow",
        on_refused: Application | None = None,
        on_outcome: Callable[[Outcome, Scope], object] | None = None,
    ) -> None:
        """Put a limit before an application.

        Args:
            app: the application.
            bucket: keeps count: a ``TokenBucket``, or anything with ``check(key, cost)`` that returns a
                ``Decision`` or an awaitable of one.
            key: whose limit a request counts in, or None for no limit; the client's address by default.
            cost: tokens that a request takes. 0 only looks.
            per_line: whether each line of a body that is not blank costs as much as a request, the first one
                being paid for by the request. True means the bodies that say they are NDJSON; where others
                are read by line too, decide by path. A body with a ``Content-Encoding`` is answered with 415
                then.
            exempt: paths that have no limit.
            trusted_proxies: whose ``X-Forwarded-For`` is believed, see ``ClientAddress``.
            name: of the limit, in header fields.
            quota: tokens a window, if the bucket has no ``rate`` and ``burst`` that tell.
            window: seconds, in header fields; by default as many as an empty bucket takes to fill.
            shadow: whether the limit only counts: nothing is refused, and nothing said in header fields.
            when_unavailable: what becomes of requests while ``check`` raises: they are let through, or
                answered with 503. The logger ``sigil_native.asgi`` gets a line a change.
            on_refused: an ASGI application that answers instead of the problem document.
            on_outcome: called once for each request that was counted, with what became of it and its scope.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: an argument out of range.
        """
        if when_unavailable not in {"allow", "refuse"}:
            raise InvalidOptionError('when_unavailable must be "allow" or "refuse"')
        if isinstance(exempt, (str, bytes)):
            raise TypeError("exempt must be an iterable of paths")
        if not callable(cost):
            _checked_cost(cost)
        self.app = app
        self._key = ClientAddress(trusted_proxies) if key is None else key
        self._cost = cost
        self._per_line = per_line
        self._exempt = frozenset(exempt)
        self._limit = RateLimit(
            bucket,
            RateHeaders([_policy(bucket, name, quota, window)]),
            shadow=shadow,
            refuses_uncounted=when_unavailable == "refuse",
            on_refused=on_refused,
            on_outcome=on_outcome,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in self._exempt:
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        cost = self._cost
        request = LimitedRequest(
            self._limit,
            scope,
            receive,
            send,
            key=_checked_key(key),
            cost=_checked_cost(cost(scope)) if callable(cost) else cost,
        )
        by_line = self._per_line is not False and scope["type"] == "http" and self._costs_by_line(scope)
        if by_line and _is_encoded(scope):
            await request.run(_refuse_encoded, by_line=False)
        else:
            await request.run(self.app, by_line=by_line)

    def _costs_by_line(self, scope: Scope) -> bool:
        if callable(self._per_line):
            return bool(self._per_line(scope))
        return any(
            name == b"content-type" and value.partition(b";")[0].strip().lower() in _LINE_TYPES
            for name, value in scope["headers"]
        )


def _is_encoded(scope: Scope) -> bool:
    return any(
        name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}
        for name, value in scope["headers"]
    )


async def _refuse_encoded(scope: Scope, receive: Receive, send: Send) -> None:
    body = problem(415, "unsupported_media_type", "a body that is charged by line must not be compressed")
    await answer(scope, receive, send, 415, [], body)


def _checked_key(key: object) -> str:
    """A key that every limiter takes: nobody gets around a limit with text that has no UTF-8 form."""
    if not isinstance(key, str):
        raise TypeError(f"key must return str or None, not {type(key).__name__}")
    return key if key.isascii() else key.encode("utf-8", "backslashreplace").decode()


def _checked_cost(cost: object) -> int:
    if not isinstance(cost, int) or isinstance(cost, bool):
        raise TypeError(f"cost must be int, not {type(cost).__name__}")
    if cost < 0:
        raise InvalidOptionError("cost must not be negative")
    return cost


def _policy(bucket: Limiter, name: str, quota: int | None, window: int | None) -> RatePolicy:
    """What a bucket promises."""
    rate, burst = getattr(bucket, "rate", None), getattr(bucket, "burst", None)
    if rate is None or burst is None:
        if quota is None or window is None:
            raise InvalidOptionError("quota and window are required: the bucket has no rate and burst")
        return RatePolicy(name, quota, window)
    if quota is not None:
        raise InvalidOptionError("quota must not be given: the bucket has a rate and a burst")
    if window is None:
        window = max(ceil(burst / rate), 1)
    # The nearest below, but for the last digit of a float.
    whole = int(rate * window * (1 + 1e-12))
    if whole < 1:
        raise InvalidOptionError("window must be long enough for one token")
    return RatePolicy(name, whole, window, burst=burst, rate=rate)
