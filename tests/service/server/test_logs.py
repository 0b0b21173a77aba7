"""Logs as they reach whoever collects them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

from tests.service.running import REPOSITORY, clean_environment

_PROGRAM = """
import logging, structlog
from app import logs
logs.configure()
structlog.get_logger("app").info("ours")
logging.getLogger("uvicorn").error("theirs")
"""


def test_a_record_is_one_write() -> None:
    """Records of several processes do not mix, even where Python does not buffer: each is written at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-u", "-c", _PROGRAM],
            cwd=REPOSITORY,
            env=clean_environment(),
            stderr=theirs.fileno(),
            check=True,
        )
        for event in ("ours", "theirs"):
            written = ours.recv(4096)
            assert written.endswith(b"}\n")
            assert json.loads(written)["event"] == event
