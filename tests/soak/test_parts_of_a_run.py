"""Parts of a run that need no service: pace, payloads, ledger, windows, schedule, judgements."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from sigil_native import canonicalize_json
from soak import results
from soak.capacity import Step, judge_step, recommended
from soak.faults import ALL, Faults, Planned, schedule
from soak.final_check import batches_of
from soak.judging import Before, judge_verdict
from soak.ledger import Acknowledged, Entry, Ledger, Ledgers, Reservoir
from soak.outages import Outage, Outages, tell
from soak.pacing import Pacing, firsts
from soak.payloads import altered, payload, respelled
from soak.plan import LARGEST_BODY, SCENARIOS, shared_out
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
    """The text is in the RFC 8785 form; another spelling is the same, an altered payload is not."""
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


def test_records_are_verified_in_bodies_that_the_service_takes() -> None:
    """However long lines are, no batch is larger than a body may be, and none is lost."""
    record = Acknowledged("id", "a", 1, "s", "no")
    lines = [(record, b"x" * size) for size in (10, 50_000, 60_000, 90_000, *[5] * 1200)]
    batches = list(batches_of(lines))
    assert [line for batch in batches for line in batch] == lines
    for batch in batches:
        assert len(b"\n".join(line for _, line in batch)) <= LARGEST_BODY
        assert len(batch) <= 1000


class _Part:
    """Something that can be broken, and never is."""

    pid = 1

    def kill(self) -> None:
        """Begin anew."""
        self.pid += 1

    def start(self) -> None:
        """Nothing."""

    freeze = thaw = start


def test_faults_without_time_are_named(tmp_path: Path) -> None:
    """Where the run is over before a planned fault, that is told, and the fault is not made."""
    plan = [Planned(0.0, 0.01, "keys", "down"), Planned(5.0, 0.01, "redis", "frozen")]
    faults = Faults(tmp_path, plan, {"keys": _Part(), "redis": _Part()}, lambda *_: True)
    now = time.time()
    faults.start(now, now + 0.5)
    while not list(results.lines(tmp_path, results.FAULTS, results.Fault)):
        time.sleep(0.01)
    faults.close()
    assert faults.error is None
    assert faults.not_made == plan[1:]


def test_a_killed_process_must_be_another_one(tmp_path: Path) -> None:
    """A fault that left the process as it was is no fault."""
    part = _Part()
    part.kill = part.start  # type: ignore[method-assign]
    faults = Faults(tmp_path, [Planned(0.0, 0.01, "keys", "down")], {"keys": part}, lambda *_: True)
    faults.start(time.time(), time.time() + 60)
    while faults.error is None:
        time.sleep(0.01)
    faults.close()
    assert "keys/down" in str(faults.error)


def _step_folder(folder: Path, latency: float, failures: int, lag: float) -> Path:
    windows = Windows(100.0, lambda *_: None)
    for number in range(200):
        windows.answered("encode", "encode", due=100.0 + number / 10, ended=100.0 + number / 10 + latency)
    for _ in range(failures):
        windows.failed("encode", "encode", due=115.0, what="timeout")
    for window in windows.take(200.0):
        results.append(folder, results.WINDOWS, window)
    for at in (110.0, 115.0, 120.0):
        for process in ("service/0", "service/1", "load/0"):
            late = lag if process == "load/0" else None
            taken = results.Sample(at, process, 1, 1, 1, 1, cpu_seconds=at / 4, lag_seconds=late)
            results.append(folder, results.SAMPLES, taken)
    return folder


@pytest.mark.parametrize(
    ("latency", "failures", "lag", "trouble"),
    [
        (0.1, 0, 0.01, ""),
        (0.4, 0, 0.01, "slow"),
        (0.1, 3, 0.01, "3 failed"),
        (0.1, 0, 0.3, "load 300 ms late"),
    ],
)
def test_a_step_is_too_much_when_anything_suffers(
    tmp_path: Path, latency: float, failures: int, lag: float, trouble: str
) -> None:
    """Slow answers, failures, and a load that is late end the search; processors in use are told."""
    step = judge_step(_step_folder(tmp_path, latency, failures, lag), 10.0, 110.0, 120.0, 250.0)
    assert step.trouble == trouble
    assert step.p99_ms == pytest.approx(1000 * latency, rel=0.01)
    assert step.cpu["dnastore"] is None
    assert (step.cpu["service"], step.cpu["load"]) == pytest.approx((0.5, 0.25))


def test_three_quarters_of_the_best_rate_are_recommended() -> None:
    """Rates that were not good do not count; without a good one nothing is recommended."""
    good = Step(rate=80.0, p50_ms=1, p99_ms=2, cpu={}, trouble="")
    bad = Step(rate=100.0, p50_ms=1, p99_ms=900, cpu={}, trouble="slow")
    assert recommended([good, bad, bad]) == 60.0
    assert recommended([bad, bad]) is None
