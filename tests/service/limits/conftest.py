"""Redis servers for the tests of limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.redis import RedisServer, running_server


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers keep their sockets and logs."""
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="session")
def shared_redis(redis_folder: Path) -> Iterator[RedisServer]:
    """A server that all tests share; they leave it running, and use keys of their own."""
    with running_server(redis_folder / "shared") as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    with running_server(tmp_path / "redis") as server:
        yield server
