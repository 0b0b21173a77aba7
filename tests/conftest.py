"""Settings and fixtures that all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from tests.backends import BACKENDS, load_backend

# Helpers that assert. Before anything imports them.
pytest.register_assert_rewrite("tests.service.store.contract", "tests.service.store.contract_of_writes")

# Found counterexamples are printed so that they can be replayed anywhere.
settings.register_profile("default", deadline=None, derandomize=False, print_blob=True, max_examples=30)
settings.register_profile(
    "heavy",
    settings.get_profile("default"),
    max_examples=5000,
    stateful_step_count=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "heavy" if os.environ.get("RUN_HEAVY_TESTS") == "1" else "default")
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Spare the garbage collector what stays to the end: some hundred thousand objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(params=BACKENDS, scope="session")
def library(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The library's names, once from each backend."""
    return load_backend(request.param)
