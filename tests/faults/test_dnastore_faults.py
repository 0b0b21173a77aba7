"""A DNAStore that dies, behind a network that fails: what it acknowledged is there once, unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.spool.forwarder import Pace
from core.spool.spool import Spool
from core.spool.spooled_store import SpooledStore
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.verifying import VerifyingStore
from tests.faults.dnastore_stand import Observed, running_stand
from tests.faults.sabotaged import (
    MARGIN,
    PAUSE,
    ROUNDS,
    TIMEOUT,
    answers,
    assert_whole,
    chosen_seed,
    report,
    sabotaged,
    until,
)
from tests.faults.store_traffic import Expectations, Traffic, check_history, seals, stored_in

heavy = pytest.mark.heavy("one of each kind is enough")


@pytest.mark.parametrize(
    "chained", [pytest.param(True, marks=heavy, id="chained"), pytest.param(False, id="plain")]
)
async def test_a_client(tmp_path: Path, chained: bool) -> None:
    """No acknowledged record is lost, doubled or changed; every call ends in time; all works afterwards."""
    seed = chosen_seed()
    observed = Observed()
    with running_stand(tmp_path / "dnastore", seed=seed) as stand:
        store: Store = VerifyingStore(stand.client(observed, timeout=TIMEOUT, pause=PAUSE), seals())
        if chained:
            store = ChainedStore(store, seals())
        store.start()
        traffic = Traffic(store, Expectations(), seed=seed)
        for number in range(ROUNDS):
            saboteur = await sabotaged(traffic, stand, seed + number)
            report(traffic, saboteur, observed)
            assert traffic.expected.wrong == []
            # A history's writes wait for the one before; with a key, the record's and then the entry's.
            assert max(traffic.slowest.values()) < (3 if chained else 1) * TIMEOUT + MARGIN
            await answers(store)
            await assert_whole(traffic)
        await store.close()
        observed.assert_in_order(PAUSE)
        await assert_all_there(traffic, stand.database, chained=chained)


@pytest.mark.parametrize(
    "chained", [pytest.param(False, marks=heavy, id="plain"), pytest.param(True, id="chained")]
)
async def test_a_spool(tmp_path: Path, chained: bool) -> None:
    """Behind a spool new records are always taken, and all of them are in the DNAStore in the end, once."""
    seed = chosen_seed()
    observed = Observed()
    with running_stand(tmp_path / "dnastore", seed=seed) as stand:
        remote = VerifyingStore(stand.client(observed, timeout=TIMEOUT, pause=PAUSE), seals())
        pace = Pace(first_pause=0.05, longest_pause=0.3, look=0.1)
        spooled = SpooledStore(remote, Spool.open(tmp_path / "spool.db"), observed, pace=pace)
        store: Store = ChainedStore(spooled, seals()) if chained else spooled
        store.start()
        traffic = Traffic(store, Expectations(exact=False), seed=seed)
        for number in range(ROUNDS):
            saboteur = await sabotaged(traffic, stand, seed + number)
            report(traffic, saboteur, observed)
            assert traffic.expected.wrong == []
            # A new write waits for the spool's last ones up to a second.
            assert max(traffic.slowest.values()) < (3 if chained else 1) * (TIMEOUT + 1) + MARGIN
            await until(lambda: spooled.condition == "empty")
            await assert_whole(traffic)
        assert {outcome for outcome in traffic.counts if outcome.startswith("put")} == {
            "put answered",
            "put_once answered",
        }
        await until(lambda: spooled.condition == "empty")
        await store.close()
        await assert_all_there(traffic, stand.database, chained=chained)
        assert traffic.expected.ambiguous <= observed.forwards.count("without_key")
        assert "rejected" not in observed.forwards


async def assert_all_there(traffic: Traffic, database: Path, *, chained: bool) -> None:
    """The database has what was acknowledged, and in its history, if it has one, nothing is amiss."""
    traffic.expected.are_all(stored_in(database))
    assert traffic.expected.wrong == []
    if chained:
        found = await check_history(database)
        print("findings:", dict(found))
        # What nobody was told of may be there without its entry.
        assert set(found) <= {"unlinked", "revocation_unlinked"}
