"""Requests to the service's application, called in this process: what a server adds is not in it."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvloop
from starlette.types import Message, Scope

from app.api.paths import BASE
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.metrics.buffered import BufferedRegistry
from app.metrics.observers import counting_in
from benchmarks.applications import without_store
from benchmarks.service import BATCHES, Requests, verify_line, write_bodies
from benchmarks.sides import Side
from core.settings import Settings

#: Events that are sent, of those that ``make bench`` sends.
_EVENTS: Final = 400


def _scope(requests: Requests, body: bytes, token: str) -> Scope:
    path = BASE + requests.path
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", requests.media_type.encode()),
            (b"authorization", b"Bearer " + token.encode()),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }


@contextlib.contextmanager
def _time_stands_still() -> Iterator[None]:
    """Stop the clock: work that pauses after some milliseconds must not pause more often under valgrind."""
    running = time.monotonic
    # In C, as the clock itself is, so that it costs as little.
    time.monotonic = itertools.repeat(running()).__next__
    try:
        yield
    finally:
        time.monotonic = running


@contextlib.contextmanager
def requests_in_process(requests: Requests) -> Iterator[Side]:
    """Events sent one after the other to the application that ``make bench`` loads, without a store.

    Raises:
        RuntimeError: when called, if a request is refused.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.closing(uvloop.new_event_loop()) as loop:
        folder = Path(name)
        token = DevelopmentIssuer(folder).token("acme", "load", ROLES, lifetime=86400)
        settings = {
            "SIGIL_ENVIRONMENT": "development",
            "SIGIL_DATA_DIR": folder,
            # Kept, and out of reach.
            "SIGIL_RATE_LIMIT": 100_000_000,
        }
        app = without_store(Settings.model_validate(settings), counting_in(BufferedRegistry()))
        lines = write_bodies(folder).read_bytes().splitlines()[:_EVENTS]

        async def ask(requests: Requests, body: bytes) -> bytes:
            left = [{"type": "http.request", "body": body, "more_body": False}]
            answers: list[Message] = []

            async def receive() -> Message:
                # The caller stays: after its body there is nothing to hear, however long somebody listens.
                return left.pop() if left else await loop.create_future()

            async def send(message: Message) -> None:
                answers.append(message)

            await app(_scope(requests, body, token), receive, send)
            if answers[0]["status"] not in {200, 201}:
                raise RuntimeError(f"refused: {answers}")
            return b"".join([message["body"] for message in answers[1:]])

        async def ask_all() -> None:
            for body in bodies:
                await ask(requests, body)

        if requests.verifies:
            sealed = loop.run_until_complete(ask(BATCHES, b"\n".join(lines))).splitlines()
            lines = [verify_line(line, answer) for line, answer in zip(lines, sealed, strict=True)]
        bodies = [b"\n".join(lines[at : at + requests.lines]) for at in range(0, _EVENTS, requests.lines)]

        with _time_stands_still():
            yield Side(lambda: loop.run_until_complete(ask_all()), _EVENTS)
