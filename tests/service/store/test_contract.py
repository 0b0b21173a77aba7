"""Every store keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.store.interface import Store
from tests.service.store.contract import (
    TestClosing,
    TestDamage,
    TestHistories,
    TestIsolation,
    TestListings,
    TestRecords,
)
from tests.service.store.contract_of_writes import TestIdempotency, TestPurges, TestRevocations
from tests.service.store.implementations import IMPLEMENTATIONS, Opener
from tests.service.store.operators import Operator, operator_of

#: Run here, with the fixtures below.
__all__ = [
    "TestClosing",
    "TestDamage",
    "TestHistories",
    "TestIdempotency",
    "TestIsolation",
    "TestListings",
    "TestPurges",
    "TestRecords",
    "TestRevocations",
]


@pytest.fixture(params=IMPLEMENTATIONS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each implementation in turn."""
    name: str = request.param
    return name


@pytest.fixture
async def opener(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """An empty place for records."""
    async with IMPLEMENTATIONS[kind](request) as opener:
        yield opener


@pytest.fixture
def operator(kind: str, request: pytest.FixtureRequest) -> Operator:
    """Whoever has the database's password."""
    return operator_of(kind, request)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    """A store over it."""
    async with opener() as store:
        yield store
