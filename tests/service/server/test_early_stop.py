"""A stop that is asked for before a server serves."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from app.server import early_stop as module
from app.server.early_stop import EarlyStop

_LISTENED: tuple[signal.Signals, ...] = (signal.SIGALRM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def early_stop() -> Iterator[EarlyStop]:
    """One that listens; afterwards whoever listened before does again."""
    before = {number: signal.getsignal(number) for number in _LISTENED}
    yield EarlyStop()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_process(early_stop: EarlyStop, number: signal.Signals) -> None:
    """Both signals end the process well, where it is; until one comes, it goes on."""
    early_stop.check()
    with pytest.raises(SystemExit) as end:
        signal.raise_signal(number)
    assert end.value.code == 0


def test_a_stop_that_got_lost(early_stop: EarlyStop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that comes in a finalizer, which loses its exception, ends the process all the same."""
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: lost.append(what.exc_type))

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    Finalized()
    assert lost == [SystemExit]
    with pytest.raises(SystemExit) as end:
        early_stop.check()
    assert end.value.code == 0


def test_a_stop_waits_for_what_is_opened(early_stop: EarlyStop) -> None:
    """A stop during an opening ends the process well behind it, also where the opening fails of it."""
    done = []

    def open_in_vain() -> None:
        signal.raise_signal(signal.SIGTERM)
        done.append("opened")
        raise OSError

    with pytest.raises(SystemExit) as end, early_stop.held():
        open_in_vain()
    assert (end.value.code, done) == (0, ["opened"])
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_stop_does_not_wait_for_long(early_stop: EarlyStop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opening that takes long is given up."""
    monkeypatch.setattr(module, "_PATIENCE", 0.01)

    def open_for_ever() -> None:
        signal.raise_signal(signal.SIGINT)
        while True:
            time.sleep(1)

    with pytest.raises(SystemExit) as end, early_stop.held():
        open_for_ever()
    assert end.value.code == 0


def test_what_comes_behind_a_stop(early_stop: EarlyStop) -> None:
    """Once the process is ending, no further stop disturbs it, nor kills it at the very end."""
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    with pytest.raises(SystemExit):
        early_stop.check()


def test_hangup_ends_nothing(early_stop: EarlyStop) -> None:
    """SIGHUP, which asks a running service for new files, does not end one that starts."""
    signal.raise_signal(signal.SIGHUP)
    early_stop.check()
