"""Headers that all answers have."""

from __future__ import annotations

from collections import Counter

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.http.context import Context
from app.http.guard import Guard
from app.http.replies import SAFETY, Reply, lines_of, send_reply


async def answer_headers(reply: Reply, **more: bytes) -> Counter[tuple[bytes, bytes]]:
    """The headers of a guarded application's answer."""
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send_reply(send, Context.of(scope), reply)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = tuple((name.encode(), value) for name, value in more.items())
    guard = Guard(application, max_body_bytes=1024, more_headers=headers)
    await guard({"type": "http", "path": "/", "headers": []}, receive, send)
    return Counter(sent[0]["headers"])


async def test_own_header_replaces_a_common_one() -> None:
    """A page that needs another policy says so in its reply; all other headers stay."""
    own = (b"content-security-policy", b"default-src 'self'")
    headers = await answer_headers(Reply(200, b"", (own,)))
    assert headers[own] == 1
    assert [name for name, _ in headers].count(own[0]) == 1
    assert headers.keys() >= {header for header in SAFETY if header[0] != own[0]}


async def test_more_common_headers() -> None:
    """What the composition adds goes with every answer."""
    headers = await answer_headers(Reply(200, b""), x=b"y")
    assert headers.keys() >= {*SAFETY, (b"x", b"y")}


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b", b"\r\n"])
def test_header_that_ends_its_line(value: bytes) -> None:
    """No header can become two, or end the head: such an answer is not sent."""
    with pytest.raises(ValueError, match="malformed"):
        lines_of([(b"x-good", b"1"), (b"x-bad", value)])
