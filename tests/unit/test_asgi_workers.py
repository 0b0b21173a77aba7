"""One limit for all worker processes of a server, kept in shared memory."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sigil_native._bucket import TokenBucket

_WORKERS = 2
_APPLICATION = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from sigil_native import TokenBucket
from sigil_native.asgi import RateLimitMiddleware


async def process(request):
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/", process)])
bucket = TokenBucket(rate=1, burst=100, path=os.environ["BUCKETS"])
app.add_middleware(RateLimitMiddleware, bucket=bucket)
"""


@contextlib.contextmanager
def _served(folder: Path, buckets: Path) -> Iterator[int]:
    """The port of the application behind uvicorn's own workers."""
    (folder / "application.py").write_text(_APPLICATION, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(port), "--no-access-log"]
    environment = {**os.environ, "BUCKETS": str(buckets), "PYTHONPATH": f"{Path.cwd()}:{folder}"}
    server = subprocess.Popen(
        [*command, "--workers", str(_WORKERS)],
        cwd=folder,
        env=environment,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield port
    finally:
        server.terminate()
        try:
            server.wait(20)
        finally:
            # What a server that hangs would leave behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _ask(port: int) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_workers_share_a_limit(tmp_path: Path) -> None:
    """A client of two workers gets the burst and what comes back, not twice as much."""
    memory = Path("/dev/shm")  # noqa: S108
    buckets = (memory if memory.is_dir() else tmp_path) / f"sigil-test-workers-{os.getpid()}.buckets"
    try:
        with _served(tmp_path, buckets) as port:
            deadline = time.monotonic() + 60
            workers: set[str] = set()
            while len(workers) < _WORKERS:
                with contextlib.suppress(OSError):
                    workers.add(_ask(port)[1])
                    # Full buckets again: who has answered has taken of them.
                    TokenBucket(1, 100, path=buckets, fresh=True)
                assert time.monotonic() < deadline
                time.sleep(0.02)
            began = time.monotonic()
            answers = [_ask(port) for _ in range(220)]
            span = time.monotonic() - began
    finally:
        buckets.unlink(missing_ok=True)
    granted = Counter(body for status, body in answers if status == 200)
    count = sum(granted.values())
    print(f"{count} of 220 granted in {span:.2f} s, by worker {sorted(granted.values())}")
    assert 100 <= count <= 100 + span + 1
    assert len(granted) > 1
    assert {status for status, _ in answers} == {200, 429}


def test_a_table_of_others_ends_the_start(tmp_path: Path) -> None:
    """Workers whose limit is not the table's say so instead of keeping another one."""
    buckets = tmp_path / "table"
    TokenBucket(1, 1, path=buckets)
    (tmp_path / "application.py").write_text(_APPLICATION, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import application"],
        cwd=tmp_path,
        env={**os.environ, "BUCKETS": str(buckets), "PYTHONPATH": f"{Path.cwd()}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "BucketFileError: the file holds buckets of another rate, burst, capacity or policy" in done.stderr
