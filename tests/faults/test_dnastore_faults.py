"""A DNAStore that dies, behind a network that fails: what it acknowledged is there once, unchanged."""

from __future__ import annotations

from pathlib import Path

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
)
from tests.faults.store_traffic import Expectations, Traffic, stored_in


async def test_random_faults(tmp_path: Path) -> None:
    """No acknowledged record is lost, doubled or changed; every call ends in time; all works afterwards."""
    seed = chosen_seed()
    observed = Observed()
    with running_stand(tmp_path / "dnastore", seed=seed) as stand:
        store = stand.client(observed, timeout=TIMEOUT, pause=PAUSE)
        store.start()
        traffic = Traffic(store, Expectations(), seed=seed)
        for number in range(ROUNDS):
            saboteur = await sabotaged(traffic, stand, seed + number)
            report(traffic, saboteur, observed)
            assert traffic.expected.wrong == []
            assert max(traffic.slowest.values()) < TIMEOUT + MARGIN
            await answers(store)
            await assert_whole(traffic)
        await store.close()
        observed.assert_in_order(PAUSE)
        traffic.expected.are_all(stored_in(stand.database))
        assert traffic.expected.wrong == []
