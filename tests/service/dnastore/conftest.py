"""Running DNAStore servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.service.dnastore.running import EVERYTHING, DnaStore

_tenants = itertools.count()


@pytest.fixture(scope="session")
def dnastore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnaStore]:
    """One server for all tests that do not harm it; they keep apart by their tenants."""
    running = DnaStore(tmp_path_factory.mktemp("dnastore")).start()
    yield running
    running.stop()


@pytest.fixture
def new_dnastore(tmp_path: Path) -> Iterator[Callable[..., DnaStore]]:
    """Makes servers of a test's own, which end with it."""
    made: list[DnaStore] = []

    def make(allow: Mapping[str, Sequence[str]] = EVERYTHING, **variables: str) -> DnaStore:
        folder = tmp_path / f"dnastore-{len(made)}"
        folder.mkdir()
        made.append(DnaStore(folder, allow, **variables))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{next(_tenants)}"
