"""A spool before a DNAStore that fails: everything is taken, and is in the DNAStore in the end."""

from __future__ import annotations

from pathlib import Path

from core.spool.forwarder import Pace
from core.spool.spool import Spool
from core.spool.spooled_store import SpooledStore
from tests.faults.dnastore_stand import Observed, running_stand
from tests.faults.sabotaged import (
    MARGIN,
    PAUSE,
    ROUNDS,
    TIMEOUT,
    assert_whole,
    chosen_seed,
    report,
    sabotaged,
    until,
)
from tests.faults.store_traffic import Expectations, Traffic, stored_in


async def test_random_faults(tmp_path: Path) -> None:
    """Behind a spool new records are always taken, and all of them are in the DNAStore in the end, once."""
    seed = chosen_seed()
    observed = Observed()
    with running_stand(tmp_path / "dnastore", seed=seed) as stand:
        dnastore = stand.client(observed, timeout=TIMEOUT, pause=PAUSE)
        spool = Spool.open(tmp_path / "spool.db")
        pace = Pace(first_pause=0.05, longest_pause=0.3, look=0.1)
        store = SpooledStore(dnastore, spool, observed, pace=pace)
        store.start()
        traffic = Traffic(store, Expectations(exact=False), seed=seed)
        for number in range(ROUNDS):
            saboteur = await sabotaged(traffic, stand, seed + number)
            report(traffic, saboteur, observed)
            assert traffic.expected.wrong == []
            assert max(traffic.slowest.values()) < 2 * TIMEOUT + MARGIN
            await until(lambda: store.condition == "empty")
            await assert_whole(traffic)
        assert {outcome for outcome in traffic.counts if outcome.startswith("put")} == {
            "put answered",
            "put_once answered",
        }
        await until(lambda: store.condition == "empty")
        await store.close()
        traffic.expected.are_all(stored_in(stand.database))
        assert traffic.expected.wrong == []
        assert traffic.expected.ambiguous <= observed.forwards.count("without_key")
        assert "rejected" not in observed.forwards
