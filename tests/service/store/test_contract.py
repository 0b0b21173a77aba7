"""Every store keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.store.interface import Store
from tests.service.store.contract import (
    TestClosing,
    TestHistories,
    TestIsolation,
    TestListings,
    TestRecords,
)
from tests.service.store.contract_of_writes import TestIdempotency, TestPurges, TestRevocations
from tests.service.store.implementations import IMPLEMENTATIONS, Opener

#: Run here, with the fixtures below.
__all__ = [
    "TestClosing",
    "TestHistories",
    "TestIdempotency",
    "TestIsolation",
    "TestListings",
    "TestPurges",
    "TestRecords",
    "TestRevocations",
]


@pytest.fixture(params=IMPLEMENTATIONS)
async def opener(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """An empty place for records, of each kind in turn."""
    async with IMPLEMENTATIONS[request.param](request) as opener:
        yield opener


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    """A store over it."""
    async with opener() as store:
        yield store
