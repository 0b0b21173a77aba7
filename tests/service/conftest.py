"""Running services."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service.running import Service

_tenants = itertools.count()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that do not harm it; they keep apart by their tenants."""
    running = Service(tmp_path_factory.mktemp("service"), SPIRAL_EVENT_SECRET="s" * 32).start()
    yield running
    running.stop()


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{next(_tenants)}"


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services, not started yet, that are stopped after the test."""
    made: list[Service] = []

    def make(**variables: str) -> Service:
        folder = tmp_path / f"service-{len(made)}"
        folder.mkdir()
        made.append(Service(folder, **variables))
        return made[-1]

    yield make
    for running in made:
        running.kill()  # quicker than an orderly stop
