"""Answers that are sent while they are made, as fast as the client reads them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple

from starlette.types import Receive, Send

from app.http.bodies import LINES
from app.http.context import ClientGoneError, Context
from app.http.problems import Headers
from app.http.replies import headers_of

_OK: Final = 200


class Stream(NamedTuple):
    """An answer of JSON texts, a line each.

    Attributes:
        pieces: its bytes. What goes wrong before the first of them is answered as ever; what goes wrong later
            ends the connection, so that nobody takes the answer for whole.
        reads_body: whether they are made while the request's body comes. Whoever reads that sees a client go.
        headers: tells the answer's own ones, once there is a first piece.
    """

    pieces: AsyncGenerator[bytes, None]
    reads_body: bool = False
    headers: Callable[[], Headers] = tuple


async def send_stream(send: Send, context: Context, stream: Stream) -> None:
    """Send an answer piece by piece. Each piece has the time of a request.

    Raises:
        ClientGoneError: nobody reads any more.
    """
    async with contextlib.aclosing(stream.pieces) as pieces:
        piece = await anext(pieces, None)
        context.answer_with(_OK)
        headers = headers_of(context, [(b"content-type", LINES.name), *stream.headers()])
        await send({"type": "http.response.start", "status": _OK, "headers": headers})
        if context.method == "HEAD":
            piece = None
        gone = asyncio.create_task(_never() if stream.reads_body else _gone(context.receive))
        try:
            while piece is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if gone.done():
                    raise ClientGoneError
                context.renew_deadline()
                piece = await anext(pieces, None)
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _never() -> None:
    """Wait for nothing, until cancelled."""
    await asyncio.get_running_loop().create_future()


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone. The server drops what is sent then, and says nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
