"""Answers to requests that are not let through, as ASGI messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from sigil_native._rate_headers import RatePolicy

#: Of a WebSocket that is refused, for servers that cannot answer its handshake (RFC 6455 section 7.4.1).
_POLICY_VIOLATION: Final = 1008

_TITLES: Final = {415: "Unsupported Media Type", 429: "Too Many Requests", 503: "Service Unavailable"}


def problem(status: int, code: str, detail: str, **members: object) -> bytes:
    """A problem document (RFC 9457)."""
    document = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": detail,
        "code": code,
    }
    return json.dumps({**document, **members}).encode()


def rate_limited(policy: RatePolicy, wait: int | None) -> bytes:
    """The problem of a request over its limit, allowed again after so many seconds, or never."""
    remedy = "the request costs more than the limit ever allows" if wait is None else f"try again in {wait} s"
    return problem(
        429,
        "rate_limited",
        f"the limit is {policy.quota} in {policy.window} s, and {policy.burst} at once; {remedy}",
        **{"violated-policies": [policy.name]},
    )


async def answer(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    status: int,
    fields: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    """Answer a request with a problem document, or a WebSocket's handshake."""
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        *fields,
    ]
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": _TITLES[status]})
            return
        kind = "websocket.http.response"
    elif scope["method"] == "HEAD":
        body = b""
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
