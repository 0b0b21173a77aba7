"""Parts of a run that need no service: pace, payloads, ledger, windows, schedule, judgements."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from sigil_native import canonicalize_json
from soak.faults import ALL, schedule
from soak.judging import Before, judge_verdict
from soak.ledger import Entry, Ledger, Ledgers, Reservoir
from soak.outages import Outage, Outages, tell
from soak.pacing import Pacing, firsts
from soak.payloads import altered, payload, respelled
from soak.plan import SCENARIOS, shared_out
from soak.run_command import run_command
from soak.windows import Windows


def test_intended_starts_are_never_skipped() -> None:
    """However late a caller is, each start that was intended is taken, or counted as missed."""
    pacing = Pacing(first=10.0, pace=2.0, end=18.0)
    assert [pacing.take(), pacing.take()] == [10.0, 12.0]
    assert pacing.missed == [14.0, 16.0]
    assert [pacing.take(), pacing.take()] == [14.0, 16.0]
    assert pacing.due == float("inf")


def test_callers_do_not_come_together() -> None:
    """First calls are spread over one pace."""
    assert firsts(100.0, 2.0, 4) == [100.0, 100.5, 101.0, 101.5]


def test_payloads_are_canonical_and_altered_ones_are_others() -> None:
    """The standard library's text is the RFC 8785 form; another spelling is the same, another payload not."""
    chance = random.Random(1)
    for serial in range(200):
        text = payload(serial)
        assert canonicalize_json(text) == text == canonicalize_json(respelled(serial))
        assert canonicalize_json(altered(serial, chance)) != text


def test_each_scenario_gets_its_share() -> None:
    """Users are given out completely, and nobody is left out where there are enough."""
    for users in (6, 7, 20, 50):
        counts = shared_out(users, SCENARIOS)
        assert sum(counts.values()) == users
        assert set(counts) == set(SCENARIOS)


def test_a_reservoir_is_bounded_and_keeps_old_ones() -> None:
    """Of many entries a bounded sample stays, early ones among them."""
    reservoir = Reservoir(50, random.Random(3))
    for serial in range(5000):
        reservoir.add(Entry(str(serial), "t", serial, "s"))
    drawn = [entry.serial for _ in range(300) if (entry := reservoir.draw())]
    assert len(reservoir) == 50
    assert min(drawn) < 1000


def test_a_ledger_is_found_again(tmp_path: Path) -> None:
    """What was acknowledged, revoked, or possible is known afterwards; what was not seen is named."""
    with contextlib.closing(Ledger(tmp_path / "ledger", first=1, step=2)) as ledger:
        entries = [Entry(f"id-{number}", "a", ledger.serial(), "s") for number in range(3)]
        for entry in entries:
            ledger.acknowledge(entry)
        ledger.revoke(entries[0], certain=True)
        ledger.revoke(entries[1], certain=False)
        ledger.possible(99, "a")
    with contextlib.closing(Ledgers([tmp_path / "ledger"])) as found:
        known = found.find(["id-0", "id-1", "id-2", "nobody"])
        assert [one.revoked for one in known.values()] == ["yes", "perhaps", "no"]
        assert [one.serial for one in known.values()] == [1, 3, 5]
        assert (found.possible(99), found.possible(1)) == ("a", None)
        found.see(["id-0", "id-2"])
        assert [one.id for one in found.unseen(10)] == ["id-1"]


def test_a_window_has_what_was_due_in_it() -> None:
    """Latency counts from the intended start, in the window in which that lies."""
    windows = Windows(100.0, lambda begin, _: "redis/down" if begin == 110.0 else None)
    windows.answered("encode", "mixed", due=109.9, ended=115.9, records=3)
    windows.failed("encode", "mixed", due=110.0, what="timeout")
    windows.refused("encode", "mixed", due=111.0)
    assert list(windows.take(105.0)) == []
    first, second = windows.take(120.0)
    assert (first.begin, first.calls, first.records, first.during) == (100.0, 1, 3, None)
    longest = HdrHistogram.decode(first.histogram).get_max_value()
    assert longest == pytest.approx(6_000_000, rel=0.001)
    assert (second.calls, second.failures, second.refused) == (2, {"timeout": 1}, 1)
    assert second.during == "redis/down"


@pytest.mark.parametrize("seconds", [40.0, 90.0, 1800.0, 4 * 3600.0])
def test_faults_come_one_at_a_time(seconds: float) -> None:
    """Every kind comes, within the run, after the warm-up, and none before the one before it is over."""
    planned = schedule(seconds, seconds / 10)
    assert {(one.target, one.failure) for one in planned} == set(ALL)
    assert planned[0].at >= seconds / 10
    assert planned[-1].at + planned[-1].seconds < seconds
    for one, following in itertools.pairwise(planned):
        assert one.at + one.seconds < following.at


def test_only_reads_are_excused_while_the_dnastore_is_away(tmp_path: Path) -> None:
    """A fault excuses refusals of what cannot be known, while it is on, and never of a write."""
    tell(tmp_path / "outages", [Outage("dnastore", "down", 10.0, 20.0)])
    outages = Outages(tmp_path / "outages")
    assert outages.excuse("get", 15.0, 16.0)
    assert not outages.excuse("get", 30.0, 31.0)
    assert not outages.excuse("encode", 15.0, 16.0)
    assert outages.during(5.0, 11.0) == "dnastore/down"


def test_verdicts_are_judged_by_what_was_certain_before() -> None:
    """Altered, foreign and revoked ones must fail; a revocation under way makes both answers right."""
    entry = Entry("id", "a", 1, "s")
    good = {"valid": True, "reason": None}
    revoked = {"valid": False, "reason": "revoked"}
    before = Before(entry)
    assert judge_verdict("own", before, good)[0] == "right"
    assert judge_verdict("own", before, revoked) == ("wrong", "valid_refused")
    assert judge_verdict("altered", before, good) == ("wrong", "altered_accepted")
    assert judge_verdict("foreign", before, good) == ("wrong", "foreign_seen")
    entry.revoking = True
    assert judge_verdict("own", before, revoked)[0] == "right"
    entry.revoked = True
    assert judge_verdict("own", Before(entry), good) == ("wrong", "revoked_accepted")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "4y"],
        ["--duration", "1s"],
        ["--scenarios", "sleep"],
        ["--faults", "disk"],
        ["--users", "0"],
    ],
)
def test_mistakes_in_arguments_are_told(arguments: list[str]) -> None:
    """What cannot be meant ends with 2 before anything is started."""
    assert CliRunner().invoke(run_command, arguments).exit_code == 2


def test_payloads_fit_their_batches() -> None:
    """Forty lines to verify, of the largest payloads, are within the body that the stand's service takes."""
    largest = max(len(payload(serial)) for serial in range(500))
    assert 40 * (largest + len(json.dumps({"sigil": "s" * 91}))) < 100_000
