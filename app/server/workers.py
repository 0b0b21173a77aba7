"""Several processes that serve one socket, and the parent that looks after them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

import structlog

from app.server.failures import UNAVAILABLE, StartFailedError
from app.server.worker import Worker, WorkerEnd

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
#: A worker that has lived as long as this did not die of its start.
_SETTLED_SECONDS: Final = 60.0
_DEFECT: Final = 1

_log = structlog.get_logger("app.server")


class _Place:
    """One of the places that workers fill, one after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.start_at = 0.0
        self.was_filled = False
        self._pause = _FIRST_PAUSE

    def vacate(self) -> float:
        """Note that the worker has ended, or could not be had; the pause until the next one starts."""
        now = time.monotonic()
        if self.worker is not None and now - self.worker.began_at >= _SETTLED_SECONDS:
            self._pause = _FIRST_PAUSE
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        self.worker, self.start_at = None, now + pause
        return pause


class Supervisor:
    """Keeps a number of worker processes running.

    The first worker starts alone, so that what keeps the service from starting is said once, and whatever
    must be created is created by one. Workers are forked from this process, which has no
    threads, no event loop and no open store: they have its settings without reading them again, and their
    start is quick. All accept from one socket, which stays open as long as the parent lives: connections
    that wait for a worker that has died are served by another. (Sockets of their own, by SO_REUSEPORT,
    would spread connections more evenly, but those that wait would die with their worker.)

    uvicorn's own supervisor was no base: it restarts on SIGHUP, without a pause on a crash, does not say why
    a worker failed, and its workers outlive it when it is killed.
    """

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        work: Callable[[WorkerEnd], None],
        *,
        stop_seconds: float,
        on_ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            count: of workers.
            listener: what they accept from; closed here when they are told to stop.
            work: what a worker does, until told to stop by SIGTERM or its parent's end.
            stop_seconds: after which a worker that has not stopped is killed.
            on_ended: called with a worker's place when it has ended.
        """
        self._listener = listener
        self._work = work
        self._stop_seconds = stop_seconds
        self._on_ended = on_ended
        self._places = [_Place(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        self._signalled: list[int] = []
        self._stop_by: float | None = None
        self._failure: StartFailedError | None = None
        self._is_up = False
        self._has_killed = False

    def run(self, on_started: Callable[[], None]) -> None:
        """Run the workers until SIGINT or SIGTERM, then stop them, and return.

        Args:
            on_started: called when all workers have started.

        Raises:
            StartFailedError: a worker failed before all had started, or had to be killed at the end.
        """
        with self._signals() as wakeup:
            while self._stop_by is None or self._workers():
                self._start_workers()
                self._wait(wakeup)
                self._obey()
                self._reap()
                if not self._is_up and self._all_started():
                    self._is_up = True
                    on_started()
        if self._failure is not None:
            raise self._failure

    def _workers(self) -> list[Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    def _all_started(self) -> bool:
        return all(place.worker is not None and place.worker.has_started for place in self._places)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Have signals wake the parent up: a socket from which their numbers can be read."""
        wakeup, waker = socket.socketpair()
        with wakeup, waker, self._selector:
            wakeup.setblocking(False)
            waker.setblocking(False)
            self._selector.register(wakeup, selectors.EVENT_READ)
            # First this: a signal that comes before the handlers is not lost, nor one that comes after.
            signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
            previous = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
            try:
                yield wakeup
            finally:
                signal.set_wakeup_fd(-1)
                for number, handler in previous.items():
                    signal.signal(number, handler)

    def _start_workers(self) -> None:
        if self._stop_by is not None:
            return
        now = time.monotonic()
        for place in self._places:
            if place.worker is None and place.start_at <= now:
                self._fill(place)
            if not self._is_up and not (self._places[0].worker and self._places[0].worker.has_started):
                return  # the first starts alone

    def _fill(self, place: _Place) -> None:
        try:
            place.worker = self._fork(place)
            place.was_filled = True
        except OSError as error:  # short of processes, memory or descriptors
            pause = place.vacate()
            if self._is_up:
                _log.error("worker not started", cause=error.strerror, restart_in=pause)
            else:
                self._fail(f"a worker cannot be started: {error.strerror}", UNAVAILABLE)
            return
        self._selector.register(place.worker, selectors.EVENT_READ)

    def _fail(self, message: str, exit_code: int) -> None:
        """Give up: stop what has started, and say why."""
        self._failure = self._failure or StartFailedError(message, exit_code)
        if self._stop_by is None:
            self._stop()

    def _wait(self, wakeup: socket.socket) -> None:
        """Sleep until there is something to do."""
        moments = [place.start_at for place in self._places if place.worker is None and self._is_up]
        if self._stop_by is not None:
            moments = [] if self._has_killed else [self._stop_by]
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        for key, _ in self._selector.select(timeout):
            if key.fileobj is wakeup:
                self._signalled += wakeup.recv(4096)
            elif isinstance(key.fileobj, Worker) and not key.fileobj.listen():
                self._selector.unregister(key.fileobj)

    def _obey(self) -> None:
        """Do what the signals say that have come."""
        signalled, self._signalled = self._signalled, []
        for number in signalled:
            if number == signal.SIGHUP:
                for worker in self._workers():
                    worker.reload()
            elif number in {signal.SIGINT, signal.SIGTERM} and self._stop_by is None:
                self._stop()
            elif number == signal.SIGINT:  # again: do not wait for running requests
                self._kill_all(signal.SIGINT)
        is_overdue = self._stop_by is not None and self._stop_by <= time.monotonic()
        if is_overdue and not self._has_killed:
            self._has_killed = True
            _log.error("workers did not stop in time", pids=[worker.pid for worker in self._workers()])
            self._fail("a worker had to be killed", _DEFECT)
            self._kill_all(signal.SIGKILL)

    def _stop(self) -> None:
        self._stop_by = time.monotonic() + self._stop_seconds
        self._listener.close()  # or connections would wait at a socket that nobody serves
        self._kill_all(signal.SIGTERM)

    def _kill_all(self, number: signal.Signals) -> None:
        for worker in self._workers():
            worker.kill(number)

    def _reap(self) -> None:
        """Take note of workers that have ended."""
        for place in self._places:
            worker = place.worker
            if worker is None or (code := worker.ended()) is None:
                continue
            if worker in self._selector.get_map():
                self._selector.unregister(worker)
            worker.forget()
            self._on_ended(place.number)
            pause = place.vacate()
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            if self._stop_by is not None:
                continue
            if self._is_up:
                cause = {"cause": words} if (words := worker.last_words()) else {}
                _log.error("worker ended", pid=worker.pid, how=how, restart_in=pause, **cause)
                continue
            message = worker.last_words() or f"a worker ended while the service started: {how}"
            self._fail(message, code if code > 0 else _DEFECT)

    def _fork(self, place: _Place) -> Worker:
        parents, workers = socket.socketpair()
        parents.setblocking(False)
        sys.stdout.flush()
        sys.stderr.flush()
        # Until the worker has forgotten its parent's handlers, no signal may come to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                parents.close()
                self._become_worker(WorkerEnd(workers, place.number, replaces=place.was_filled), before)
        except OSError:
            parents.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            workers.close()
        return Worker(pid, parents)

    def _become_worker(self, end: WorkerEnd, mask: set[int | signal.Signals]) -> NoReturn:
        """In the new process: work, and end."""
        code = _DEFECT
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            # A group of its own: Ctrl-C is for the parent, which tells the workers.
            os.setpgid(0, 0)
            self._selector.close()
            for other in self._workers():
                other.forget()
            self._work(end)
            code = 0
        except StartFailedError as error:
            end.say_failed(error)
            code = error.exit_code
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else _DEFECT
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
