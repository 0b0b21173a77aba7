"""What the verdict makes of runs that are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from soak.cli import conclude, main
from soak.evidence import ResultsError, load_evidence
from soak.results import REPORT, SUMMARY, WINDOWS, Fault, Operation, Summary, Violation
from soak.thresholds import DEFAULT, ThresholdsError, load_thresholds
from soak.verdict import judge
from tests.soak.folders import BEGAN, RATES, Course, write

#: Calls of two kinds are enough where the others are like them.
FEW: dict[Operation, float] = {"encode": 25.0, "get": 14.0}


def _hourly(rate: float) -> Callable[[float], float]:
    return lambda seconds: rate * seconds / 3600


def _judged(folder: Path, course: Course) -> Summary:
    limits = load_thresholds()
    called = {name: one for name, one in limits.latency.items() if name in course.rates}
    return judge(load_evidence(write(folder, course)), msgspec.structs.replace(limits, latency=called))


def _amiss(summary: Summary) -> dict[str, str]:
    return {check.name: check.outcome for check in summary.checks if check.outcome != "pass"}


LONG = {"seconds": 4 * 3600.0, "warm_up": 300.0, "window": 900.0, "sample": 120.0, "rates": {"get": 2.0}}


@pytest.mark.parametrize(
    ("course", "amiss"),
    [
        (Course(rates=FEW, resident_mib=_hourly(2400)), {"memory service/0"}),
        (Course(rates=FEW, descriptors=_hourly(6000)), {"descriptors service/0"}),
        (Course(rates=FEW, threads=_hourly(900)), {"threads service/0"}),
        (Course(rates=FEW, failures=0.02), {"failures encode", "failures get"}),
        (Course(rates=FEW, refused=0.3), {"refused encode", "refused get"}),
        (Course(rates=FEW, bytes_per_record=20000), {"database service/0"}),
        (Course(rates=FEW, violations=[Violation(BEGAN, "lost", "get", "acme", "")]), {"lost"}),
        (
            Course(rates=FEW, violations=[Violation(BEGAN, "foreign_seen", "get", "acme", "")]),
            {"foreign_seen"},
        ),
        (
            Course(rates=FEW, faults=[Fault("redis", "down", BEGAN + 50, BEGAN + 60, None)]),
            {"recovery redis/down"},
        ),
    ],
)
def test_planted(tmp_path: Path, course: Course, amiss: set[str]) -> None:
    """Each thing that may be wrong fails the check that is about it, and no other."""
    found = _judged(tmp_path, course)
    assert found.verdict == "fail"
    assert {name for name, outcome in _amiss(found).items() if outcome == "fail"} == amiss


def test_slow_degradation(tmp_path: Path) -> None:
    """Latencies that grow fail by their slope, while they are still short enough."""
    amiss = _amiss(_judged(tmp_path, Course(rates=FEW, latency=lambda seconds: 8 + seconds * 2.4)))
    assert {"p50 growth encode", "p50 growth get"} <= amiss.keys()
    assert "p95 get" not in amiss


@pytest.mark.parametrize(
    "course",
    [
        Course(rates=FEW),
        Course(rates=FEW, resident_mib=lambda seconds: 40 if seconds > 60 else 0),
        Course(rates=FEW, faults=[Fault("redis", "down", BEGAN + 50, BEGAN + 60, BEGAN + 64)]),
    ],
)
def test_sound(tmp_path: Path, course: Course) -> None:
    """Noise, saw-teeth, one step and a fault that was recovered from pass."""
    found = _judged(tmp_path, course)
    assert _amiss(found) == {}
    assert found.verdict == "pass"


@pytest.mark.parametrize(("leak", "amiss"), [(16.0, {}), (60.0, {"memory service/0": "fail"})])
def test_half_an_hour(tmp_path: Path, leak: float, amiss: dict[str, str]) -> None:
    """In half an hour a few megabytes of the allocator are no leak, and a real one is found."""
    course = Course(**{**LONG, "seconds": 1800.0}, resident_mib=_hourly(leak))  # type: ignore[arg-type]
    found = _amiss(_judged(tmp_path, course))
    assert {name: outcome for name, outcome in found.items() if name.startswith("memory")} == amiss


@pytest.mark.parametrize(("leak", "amiss"), [(0.0, {}), (4.0, {"memory service/0": "fail"})])
def test_long_run(tmp_path: Path, leak: float, amiss: dict[str, str]) -> None:
    """In four hours a leak of 4 MiB an hour is found under saw-teeth, and saw-teeth alone are not."""
    found = _amiss(_judged(tmp_path, Course(**LONG, resident_mib=_hourly(leak))))  # type: ignore[arg-type]
    assert {name: outcome for name, outcome in found.items() if name.startswith("memory")} == amiss


@pytest.mark.parametrize(
    ("course", "amiss"),
    [
        (Course(rates=FEW, complete=False, checked=0), {"complete", "lost", "changed", "doubled"}),
        (Course(rates=FEW, lag=2.0), {"generator"}),
        (Course(rates={"encode": 4.0, "get": 14.0}, bytes_per_record=20000), {"database service/0"}),
        (Course(rates=FEW, faults_not_made=["redis/down"]), {"faults"}),
        (Course(rates=FEW, panels=False), {"panels"}),
    ],
)
def test_inconclusive(tmp_path: Path, course: Course, amiss: set[str]) -> None:
    """Cut off, with late load, few records, faults left out or no panels, a run is neither good nor bad."""
    found = _judged(tmp_path, course)
    assert found.verdict == "inconclusive"
    assert _amiss(found) == dict.fromkeys(amiss, "inconclusive")


def test_exit_codes(tmp_path: Path) -> None:
    """Pass, fail and inconclusive end with codes of their own, and so do files that cannot be used."""
    good, bad, cut = (tmp_path / name for name in ("good", "bad", "cut"))
    write(good, Course(rates=dict.fromkeys(RATES, 12.0)))
    write(bad, Course(rates=FEW, failures=0.5))
    write(cut, Course(rates=FEW, complete=False))
    codes = [CliRunner().invoke(main, ["verdict", str(folder)]).exit_code for folder in (good, bad, cut)]
    assert codes == [0, 1, 3]
    assert msgspec.json.decode((good / SUMMARY).read_bytes(), type=Summary).verdict == "pass"
    assert (bad / "summary.md").read_text().startswith("# Soak: fail\n")
    (good / WINDOWS).write_text("{}\n")
    assert CliRunner().invoke(main, ["verdict", str(good)]).exit_code == 65
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("latency = 1\n")
    assert CliRunner().invoke(main, ["verdict", str(bad), "--thresholds", str(wrong)]).exit_code == 78


@pytest.mark.parametrize(("complete", "outcome"), [(True, "pass"), (False, "inconclusive")])
def test_older_runs_can_be_judged(tmp_path: Path, complete: bool, outcome: str) -> None:
    """A run that told no plan, and was never wrong, needs no file of violations to be judged."""
    write(tmp_path, Course(seconds=20, rates={"get": 1.0}, complete=complete))
    run = msgspec.json.decode((tmp_path / "run.json").read_bytes())
    del run["faults_planned"]
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(run))
    (tmp_path / "violations.jsonl").unlink()
    found = judge(load_evidence(tmp_path), load_thresholds())
    assert [check.outcome for check in found.checks if check.name == "faults"] == [outcome]


def test_a_run_remembers_its_verdict(tmp_path: Path) -> None:
    """What a run ends with is kept for the next one, whether it is reported or not."""
    folder = write(tmp_path / "run", Course(rates=FEW, complete=False))
    state = tmp_path / "state"
    assert conclude(folder, state, with_report=False) == 3
    assert "inconclusive" in state.read_text()
    assert not (folder / REPORT).exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("refused_percent", "refuse_percent", "unknown field `refuse_percent` - at `$.failures`"),
        ("p95_ms = 600", 'p95_ms = "600"', "Expected `float`, got `str` - at `$.latency"),
        ("lag_ms = 250", "lag_ms = -1", "at `$.generator.lag_ms`"),
        ("p95_ms = 600", "p95_ms = 15000", "p95_ms is above p99_ms - at `$.latency.encode`"),
        ("[latency.encode]", "[latency.encod]", "Invalid enum value 'encod'"),
        ("[recovery]", "[recovery", "wrong.toml"),
    ],
)
def test_wrong_thresholds(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What is wrong with a file of thresholds is said with its place."""
    path = tmp_path / "wrong.toml"
    path.write_text(DEFAULT.read_text().replace(old, new, 1))
    with pytest.raises(ThresholdsError) as caught:
        load_thresholds(path)
    assert said in str(caught.value)


def test_evidence_that_is_missing_is_no_good_news(tmp_path: Path) -> None:
    """Faults that were planned and left no trace, and panels without data, leave a run undecided."""
    folder = write(tmp_path / "run", Course(rates=FEW))
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    (folder / "run.json").write_bytes(msgspec.json.encode({**run, "faults_planned": ["redis/down"]}))
    panels = [msgspec.json.decode(line) for line in (folder / "panels.jsonl").read_bytes().splitlines()]
    panels[0]["series"] = [[] for _ in panels[0]["series"]]
    (folder / "panels.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in panels))
    summary = judge(load_evidence(folder), load_thresholds())
    undecided = {check.name for check in summary.checks if check.outcome == "inconclusive"}
    assert {"faults", "panels"} <= undecided
    assert summary.verdict == "inconclusive"


@pytest.mark.parametrize("name", ["windows.jsonl", "samples.jsonl", "violations.jsonl"])
def test_folders_that_lack_a_file_are_refused(tmp_path: Path, name: str) -> None:
    """What every run makes at its start is in every folder that is judged."""
    folder = write(tmp_path / "run", Course(rates=FEW))
    (folder / name).unlink()
    with pytest.raises(ResultsError, match=name):
        load_evidence(folder)
