"""Programs with settings of their own, stopped by their process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from servers.processes import freeze

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 40.0
_PREFIXES: Final = ("SIGIL_", "JWT_", "DNASTORE_", "SPIRAL_EVENT_", "REDIS_URL")


def free_ports(count: int) -> list[int]:
    """So many ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of ours, and with the given ones."""
    kept = {name: one for name, one in os.environ.items() if not name.startswith(_PREFIXES)}
    return kept | dict(variables)


def app(*arguments: str) -> list[str]:
    """``python -m app …``."""
    return [sys.executable, "-m", "app", *arguments]


class Program:
    """A program that listens on a port of loopback, and its end."""

    def __init__(
        self, command: Sequence[str], port: int, log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._port = port
        self.log = log
        self._environment = environment(variables or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process, if it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            SystemExit: with its log, if it ends instead, or is not there in half a minute.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # A Ctrl-C is for whoever started it, who then ends it in good order.
                process_group=0,
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise SystemExit(self.log.read_text(encoding="utf-8")) from None
                time.sleep(0.02)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it is: connections stay, nothing is answered."""
        if self._process is not None:
            freeze(self._process.pid)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        self.send(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and end it without warning if it does not."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None
