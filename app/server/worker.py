"""A worker process, as it and its parent see each other."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Final

from app.server.failures import StartFailedError

_STARTED: Final = b"\x01"


class WorkerEnd:
    """A worker's end of the connection to its parent.

    Attributes:
        channel: readable when the parent has ended.
        place: which of the workers it is, counted from 0; the one that replaces it is the same.
        replaces: whether it takes the place of one that has ended.
    """

    def __init__(self, channel: socket.socket, place: int, *, replaces: bool = False) -> None:
        self.channel = channel
        self.place = place
        self.replaces = replaces

    def say_started(self) -> None:
        """Tell that connections are accepted."""
        with contextlib.suppress(OSError):  # the parent has ended, which the worker is about to notice
            self.channel.send(_STARTED)

    def say_failed(self, error: StartFailedError) -> None:
        """Tell why the worker cannot start."""
        with contextlib.suppress(OSError):
            self.channel.sendall(str(error).encode())


class Worker:
    """A worker process as its parent knows it."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.began_at = time.monotonic()
        self.has_started = False
        #: Asked to reload before it could listen to that.
        self.owes_reload = False
        self._channel = channel
        self._said = b""

    def fileno(self) -> int:
        """The parent's end of the connection."""
        return self._channel.fileno()

    def listen(self) -> bool:
        """Take in what it says; whether there may be more."""
        try:
            said = self._channel.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._said += said
        if self._said.startswith(_STARTED) and not self.has_started:
            self.has_started = True
            if self.owes_reload:
                self.kill(signal.SIGHUP)
        return bool(said)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal. It has not been waited for, so the process id is still its own."""
        os.kill(self.pid, number)

    def reload(self) -> None:
        """Have it reload, now or as soon as it can."""
        if self.has_started:
            self.kill(signal.SIGHUP)
        self.owes_reload = not self.has_started

    def ended(self) -> int | None:
        """Its exit code, negative for a signal, or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        while self.listen():  # to the end: nobody else holds the other end
            pass
        return os.waitstatus_to_exitcode(status)

    def last_words(self) -> str:
        """Why it could not start, if it said so."""
        return "" if self.has_started else self._said.decode(errors="replace")

    def forget(self) -> None:
        """Close the connection."""
        self._channel.close()
