"""Settings and fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests.backends import BACKENDS, load_backend
from tests.heavy import HEAVY

# What a shell starts in its background ignores SIGINT, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Helpers that assert. Before anything imports them.
pytest.register_assert_rewrite("tests.service.store.contract", "tests.service.store.contract_of_writes")

# Found counterexamples are printed so that they can be replayed anywhere.
settings.register_profile("default", deadline=None, derandomize=False, print_blob=True, max_examples=15)
settings.register_profile(
    "heavy",
    settings.get_profile("default"),
    max_examples=5000,
    stateful_step_count=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "heavy" if HEAVY else "default"))


_DESELECTED: Final = pytest.StashKey[Counter[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Spare the garbage collector what stays to the end: some hundred thousand objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        # What little of it is garbage costs less to keep than to look for.
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the heavy tests, unless they are asked for: here, and nowhere else."""
    if HEAVY:
        return
    heavy = [item for item in items if item.get_closest_marker("heavy")]
    if heavy:
        items[:] = [item for item in items if not item.get_closest_marker("heavy")]
        config.hook.pytest_deselected(items=heavy)
        config.stash[_DESELECTED] = Counter(item.nodeid.partition("::")[0] for item in heavy)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that reports what this one left out, if they are two."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = dict(session.config.stash.get(_DESELECTED, {}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker left out; all of them leave out the same."""
    node.config.stash[_DESELECTED] = Counter(getattr(node, "workeroutput", {}).get("deselected", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which heavy tests were left out, by file."""
    for path, count in sorted(config.stash.get(_DESELECTED, Counter()).items()):
        terminalreporter.write_line(f"deselected without RUN_HEAVY_TESTS=1: {count:3} in {path}")


@pytest.fixture(params=BACKENDS, scope="session")
def library(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The library's names, once from each backend."""
    return load_backend(request.param)
