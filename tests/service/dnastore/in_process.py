"""The DNAStore server's application without a server around it: for stores that misbehave on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from app.dnastore.clients import Clients
from app.dnastore.observation import NoServerObserver
from app.dnastore.service import build_app
from app.http.bodies import BodyLimits
from app.http.context import ABORT, PEER_NAMES
from app.server.reloading import Reloader
from core.audit.interface import NoAudit
from core.store.interface import Store
from tests.service.dnastore.running import CLIENT, EVERYTHING


class Exchange:
    """One request, and what has come of it so far.

    Attributes:
        messages: what the application has sent.
        aborted: whether it has ended the connection.
        gone: set when the client goes away.
        reading: cleared when the client does not read.
    """

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.aborted = False
        self.gone = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()

    @property
    def status(self) -> int:
        """The answer's status."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        """As much as there is of the answer."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_whole(self) -> bool:
        """Whether the answer has come to its end."""
        return bool(self.messages) and not self.messages[-1].get("more_body", False)

    def abort(self) -> None:
        """End the connection."""
        self.aborted = True
        self.gone.set()


class Inside:
    """The application over a store; only what a test needs of the store has to be there."""

    def __init__(
        self,
        folder: Path,
        store: object,
        allow: Mapping[str, Sequence[str]] = EVERYTHING,
        *,
        most: int = 1 << 20,
    ) -> None:
        path = folder / "allow.json"
        path.write_text(json.dumps(allow))
        self.app = build_app(
            cast("Store", store),
            Clients(path),
            BodyLimits(most, 30),
            Reloader([], NoAudit(), interval=0),
            observer=NoServerObserver(),
        )

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        names: Sequence[str] = (CLIENT,),
        exchange: Exchange | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Exchange:
        """Send a request of a client with these names; how it went."""
        exchange = exchange or Exchange()
        plain, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 443),
            "extensions": {ABORT: exchange.abort, PEER_NAMES: tuple(names)},
        }
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if unread:
                return unread.pop()
            await exchange.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await exchange.reading.wait()
            exchange.messages.append(message)

        await self.app(scope, receive, send)
        return exchange


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of things that know nothing of events
            await asyncio.sleep(0.001)
