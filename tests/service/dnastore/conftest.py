"""Running DNAStore servers."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.service.dnastore.running import EVERYTHING, DnaStore
from tests.service.dnastore.scripted import Scripted, scripted
from tests.service.server.tls_files import Authority

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


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the certificates of both sides, where there is no real server."""
    return Authority(tmp_path_factory.mktemp("dnastore-authority"))


@pytest.fixture
async def stage(authority: Authority) -> AsyncIterator[Scripted]:
    """A DNAStore that answers what the test tells it."""
    async with scripted(authority) as serving:
        yield serving


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{next(_tenants)}"
