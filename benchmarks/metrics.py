"""What counting costs a request: the service's own application, called in this process, with and without it.

    python -m benchmarks.metrics [--rounds N] [--requests N]

Without a server and without a store, so that what counting takes is not lost in what they take. The
applications take turns. Of several workers it is one, which counts in files for all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from starlette.types import ASGIApp, Message, Scope

from app.api.paths import BASE
from app.authentication.bearer import Authenticator
from app.authentication.development import DevelopmentIssuer
from app.http.bodies import BodyLimits
from app.metrics.metrics import Metrics
from app.metrics.observers import Observers, counting_in
from app.server.reloading import Reloader
from app.service import build_app
from benchmarks.applications import NoStore
from benchmarks.events import EVENT
from core.audit.interface import NoAudit
from core.engine import Engine
from core.seals import Seals
from core.store.observed import ObservedStore
from sigil_native import KeyRing

_MICROSECONDS = 1e6
_BODY = json.dumps({"data": json.loads(EVENT)}).encode()


def _application(issuer: DevelopmentIssuer, observers: Observers) -> ASGIApp:
    ring = KeyRing()
    ring.add(b"s" * 32)
    store = NoStore() if observers.storage is None else ObservedStore(NoStore(), observers.storage)
    return build_app(
        Engine(Seals(ring), store),
        Authenticator([issuer.trusted]),
        NoAudit(),
        BodyLimits(1 << 20, 60),
        Reloader([], NoAudit(), interval=0),
        observers=observers,
    )


def _scope(token: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": BASE,
        "raw_path": BASE.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"authorization", b"Bearer " + token.encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_BODY)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": _BODY, "more_body": False}


async def _time(app: ASGIApp, token: str, requests: int) -> float:
    """Seconds of processor time that each of so many encodes takes, one after the other."""
    statuses = set()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    begun = time.process_time()
    for _ in range(requests):
        await app(_scope(token), _receive, send)
    took = time.process_time() - begun
    if statuses != {201}:
        sys.exit(f"answers: {statuses}")
    return took / requests


async def _compare(apps: dict[str, ASGIApp], token: str, rounds: int, requests: int) -> None:
    took: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            took[name].append(await _time(app, token, requests))
    base = took["without"]
    for name, seconds in took.items():
        # Of each round by itself: what else the machine does meets neighbours alike.
        more = statistics.median(here - there for here, there in zip(seconds, base, strict=True))
        took_us, more_us = statistics.median(seconds) * _MICROSECONDS, more * _MICROSECONDS
        print(f"{name:16} {took_us:6.1f} µs an encode, {more_us:+5.1f} µs")


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=40, help="of each application in each round")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = DevelopmentIssuer(folder)
        token = issuer.token("acme", "benchmark", ["sigil:encode"], lifetime=3600)
        apps = {"without": _application(issuer, Observers())}
        for name, workers in (("one worker", 1), ("several workers", 2)):
            metrics = Metrics("127.0.0.1", 0, workers, variables="none")
            stack.callback(metrics.close)
            app = apps[name] = _application(issuer, stack.enter_context(metrics.at_work(counting_in)))
            # Here, so that what is made when it is first counted is made for that many workers.
            asyncio.run(_time(app, token, 1))
        asyncio.run(_compare(apps, token, arguments.rounds, arguments.requests))


if __name__ == "__main__":
    main()
