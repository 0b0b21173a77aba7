"""Authorities and DNAStores."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.service.dnastore.scripted import Scripted, scripted
from tests.service.server.tls_files import Authority


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the certificates of both sides."""
    return Authority(tmp_path_factory.mktemp("dnastore-authority"))


@pytest.fixture
async def dnastore(authority: Authority) -> AsyncIterator[Scripted]:
    """A DNAStore that answers what the test tells it."""
    async with scripted(authority) as serving:
        yield serving
