"""Tests in several processes: ``--processes N`` forks them from the one that has collected the tests.

A fresh interpreter for each would import everything and collect some thousand tests once more, which took as
long as a tenth of the tests. Each process has its own stretch of them, so that few processes set up the same;
who has run all of its own takes the later half of the longest stretch that is left.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--processes", type=int, default=0, metavar="N", help="share the tests out among N processes"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in processes, if so asked and if there is anything to run."""
    count = min(session.config.getoption("--processes"), len(session.items))
    if count < 1 or session.testsfailed or session.config.option.collectonly:
        return None
    _Run(session, count).finish()
    return True


class Shares:
    """Which tests each process has yet to run, in memory that the processes share."""

    def __init__(self, tests: int, processes: int) -> None:
        bounds = [tests * process // processes for process in range(processes + 1)]
        forks = multiprocessing.get_context("fork")
        self._lock = forks.Lock()
        self._next = forks.RawArray("l", bounds[:-1])
        self._end = forks.RawArray("l", bounds[1:])
        self._stopped = forks.RawValue("b", False)

    def take(self, process: int) -> int | None:
        """The next test of this process, or None when no process has any left."""
        with self._lock:
            if not self._left(process):
                other = max(range(len(self._end)), key=self._left)
                if not self._left(other):
                    return None
                middle = self._end[other] - (self._left(other) + 1) // 2
                self._next[process], self._end[process] = middle, self._end[other]
                self._end[other] = middle
            taken = self._next[process]
            self._next[process] += 1
            return int(taken)

    def stop(self) -> None:
        """Have nobody run another test."""
        self._stopped.value = True

    @property
    def stopped(self) -> bool:
        """Whether nobody shall run another test."""
        return bool(self._stopped.value)

    def _left(self, process: int) -> int:
        return int(self._end[process] - self._next[process])


class _Run:
    """The tests of a session in processes, seen from the one that reports."""

    def __init__(self, session: pytest.Session, count: int) -> None:
        self._session = session
        self._shares = Shares(len(session.items), count)
        #: The process at the other end, and what it has taken: the test that it runs, and the next.
        self._running: dict[Connection, tuple[Any, tuple[int, ...]]] = {}
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.showfspath = False  # a line for each file makes no sense where they take turns
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        forks = multiprocessing.get_context("fork")
        for number in range(count):
            ours, theirs = forks.Pipe(duplex=False)
            process = forks.Process(target=_run, args=(session, self._shares, number, theirs))
            process.start()
            theirs.close()
            self._running[ours] = process, ()

    def finish(self) -> None:
        """Report until the last process has ended."""
        try:
            while self._running:
                for connection in wait(list(self._running)):
                    assert isinstance(connection, Connection)
                    self._hear(connection)
                if self._session.shouldfail:
                    raise self._session.Failed(self._session.shouldfail)
                if self._session.shouldstop:
                    raise self._session.Interrupted(self._session.shouldstop)
        finally:
            self._shares.stop()
            for connection, (process, _) in self._running.items():
                with connection, contextlib.suppress(EOFError):
                    while connection.recv() is not None:  # what nobody asks for any more
                        pass
                process.join()

    def _hear(self, connection: Connection) -> None:
        process, taken = self._running[connection]
        try:
            message = connection.recv()
        except EOFError:  # it is gone without a farewell
            message = None
        else:
            taken = taken if message else ()
        if isinstance(message, tuple):
            self._running[connection] = process, message
        elif message is not None:
            self._running[connection] = process, taken[1:]
            self._report(message)
        else:
            process.join()
            del self._running[connection]
            connection.close()
            if process.exitcode or taken:
                self._report_the_end(process.exitcode, taken)

    def _report(self, reports: list[dict[str, Any]]) -> None:
        hook = self._session.config.hook
        first = reports[0]
        hook.pytest_runtest_logstart(nodeid=first["nodeid"], location=first["location"])
        for data in reports:
            report = hook.pytest_report_from_serializable(config=self._session.config, data=data)
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=first["nodeid"], location=first["location"])

    def _report_the_end(self, code: int, taken: tuple[int, ...]) -> None:
        """A process that ended otherwise than it should is a failure of the tests that it had taken."""
        if not taken:
            raise RuntimeError(f"a process of tests ended with {code} after the last of them")
        for test in taken:
            item = self._session.items[test]
            report = pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords={},
                outcome="failed",
                longrepr=f"the process that had taken {item.nodeid} ended with {code}",
                when="call",
            )
            self._session.config.hook.pytest_runtest_logreport(report=report)


class _Reporting:
    """Sends what is reported of a test, all at once."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config = config
        self._connection = connection
        self._reports: list[dict[str, Any]] = []

    def start(self, test: int, following: int | None) -> None:
        """Say which test runs from now on, and which one has been taken for afterwards."""
        self._connection.send((test,) if following is None else (test, following))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report in the form that another process can read."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._reports.append(data)

    def pytest_runtest_logfinish(self) -> None:
        """Send the reports."""
        self._connection.send(self._reports)
        self._reports.clear()


class _Silence:
    """In the place of the reporter on the terminal, whose writer a test that takes too long asks for."""

    def __init__(self, config: pytest.Config) -> None:
        self._tw = config.get_terminal_writer()


def _prepare(config: pytest.Config, number: int) -> None:
    """Make a forked process's own what two processes cannot share."""
    plugins = config.pluginmanager
    silence = _Silence(config)
    plugins.unregister(name="terminalreporter")
    plugins.register(silence, "terminalreporter")
    capture = plugins.get_plugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()
    capture.start_global_capturing()
    factory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory.getbasetemp() / f"process-{number}"
    factory._basetemp.mkdir(mode=0o700)
    random.seed()


def _run(session: pytest.Session, shares: Shares, number: int, connection: Connection) -> None:
    """Run tests until there are none."""
    config = session.config
    _prepare(config, number)
    reporting = _Reporting(config, connection)
    config.pluginmanager.register(reporting)
    try:
        following = shares.take(number)
        while following is not None and not shares.stopped:
            current, following = following, shares.take(number)
            reporting.start(current, following)
            config.hook.pytest_runtest_protocol(
                item=session.items[current],
                nextitem=None if following is None else session.items[following],
            )
    except KeyboardInterrupt:
        shares.stop()
    finally:
        session._setupstate.teardown_exact(None)
        config._ensure_unconfigure()
    connection.send(None)
