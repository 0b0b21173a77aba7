"""Running services."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service.authentication.forge import ISSUERS, Forge
from tests.service.authentication.provider import Provider, running_provider
from tests.service.running import Service

#: A cooldown that no test outlives: whatever is fetched, is fetched at the start.
FOREVER = 3600

_tenants = itertools.count()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that do not harm it; they keep apart by their tenants."""
    running = Service(tmp_path_factory.mktemp("service"), SPIRAL_EVENT_SECRET="s" * 32).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def forge() -> Forge:
    """The keys of two issuers."""
    return Forge()


@pytest.fixture(scope="session")
def providers(forge: Forge) -> Iterator[tuple[Provider, Provider]]:
    """The key servers of the two issuers. Tests leave them as they are."""
    with running_provider() as ours, running_provider() as theirs:
        ours.serve(*forge.key_set)
        theirs.serve(*forge.other_key_set)
        yield ours, theirs


@pytest.fixture(scope="session")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, providers: tuple[Provider, Provider]
) -> Iterator[Service]:
    """A service that believes the two issuers, for all tests that do not harm it."""
    issuers = [
        {
            "issuer": issuer.issuer,
            "audience": issuer.audience,
            "algorithms": sorted(issuer.algorithms),
            "jwks_uri": provider.uri,
        }
        for issuer, provider in zip(ISSUERS, providers, strict=True)
    ]
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "issuers.json").write_text(json.dumps(issuers))
    running = Service(
        folder, JWT_ISSUERS_FILE=str(folder / "issuers.json"), JWT_JWKS_COOLDOWN=str(FOREVER)
    ).start()
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
