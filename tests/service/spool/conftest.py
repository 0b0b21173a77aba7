"""A store that may be away, and what a worker has before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.spool.spooled_store import SpooledStore
from tests.service.spool.switch import Switch, Watcher, spooled, sql_store


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[Switch]:
    """A store that may be away."""
    switch = Switch(sql_store(tmp_path))
    yield switch
    await switch.store.close()


@pytest.fixture
async def store(switch: Switch, tmp_path: Path) -> AsyncIterator[SpooledStore]:
    """What a worker has; nothing is forwarded until it is started."""
    store = spooled(switch, tmp_path, watcher=Watcher())
    yield store
    await store.close()
