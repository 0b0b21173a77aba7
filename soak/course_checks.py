"""What is judged of the run itself: was the service ever wrong, did it recover, and can it be trusted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final, Literal, get_args

import numpy as np

from monitoring import dashboard
from soak.evidence import Evidence
from soak.results import Check, Fault, Wrong
from soak.thresholds import Thresholds

#: What can only be told by looking for all records at the end.
_AT_THE_END: Final = ("lost", "changed", "doubled")
#: One sample of the load in twenty may be late.
_LAG_PERCENT: Final = 95
#: A part of the service that ends by itself has crashed; the DNAStore is killed on purpose.
_NEVER_RESTARTED: Final = "service"


def course_checks(evidence: Evidence, thresholds: Thresholds) -> Iterator[Check]:
    """Every check of the run itself."""
    yield _complete(evidence)
    yield from _violations(evidence, thresholds.enough.checked_records)
    yield from _recoveries(evidence, thresholds)
    yield _faults(evidence)
    yield _panels(evidence)
    yield _restarts(evidence)
    yield _lag(evidence, thresholds.generator.lag_ms)


def _complete(evidence: Evidence) -> Check:
    if evidence.run.complete:
        return Check("complete", "pass", None, None, "", "the run came to its end")
    return Check("complete", "inconclusive", None, None, "", "the run ended before its time")


def _violations(evidence: Evidence, enough: int) -> Iterator[Check]:
    counted = Counter(violation.wrong for violation in evidence.violations)
    first = {violation.wrong: violation for violation in reversed(evidence.violations)}
    checked = evidence.run.checked_records
    for wrong in get_args(Wrong):
        count = counted[wrong]
        if count:
            one = first[wrong]
            says = f"first: {one.operation} of {one.tenant}: {one.detail}"
            yield Check(wrong, "fail", count, 0, "", says)
        elif wrong in _AT_THE_END and checked < enough:
            says = f"{checked:,} records were looked for at the end; {enough:,} are needed"
            yield Check(wrong, "inconclusive", None, 0, "", says)
        else:
            looked = f"{checked:,} records were looked for" if wrong in _AT_THE_END else "never"
            yield Check(wrong, "pass", 0, 0, "", looked)


def _recoveries(evidence: Evidence, thresholds: Thresholds) -> Iterator[Check]:
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in evidence.faults:
        by_kind[f"{fault.target}/{fault.failure}"].append(fault)
    for kind, faults in sorted(by_kind.items()):
        limit = float(getattr(thresholds.recovery, f"{faults[0].target}_seconds"))
        taken = [one.recovered_at - one.ended_at for one in faults if one.recovered_at is not None]
        name, never = f"recovery {kind}", len(faults) - len(taken)
        if never:
            yield Check(name, "fail", None, limit, "s", f"{never} of {len(faults)} were never recovered from")
            continue
        worst = max(taken)
        says = f"{worst:.3g} s at worst, of {len(faults)}"
        yield Check(name, "pass" if worst <= limit else "fail", worst, limit, "s", says)


def _faults(evidence: Evidence) -> Check:
    """Of a fault that was not made nobody knows how it would have been recovered from."""
    made = Counter(f"{fault.target}/{fault.failure}" for fault in evidence.faults)
    # What one that was killed or interrupted did not come to is in no list of its own.
    left = sorted(
        (Counter(evidence.run.faults_planned or ()) - made | Counter(evidence.run.faults_not_made)).elements()
    )
    if left:
        says = f"{made.total()} were made, and {len(left)} that were planned were not: {', '.join(left)}"
        return Check("faults", "inconclusive", len(left), 0, "", says)
    if evidence.run.faults_planned is None and not evidence.run.complete:
        says = f"{made.total()} were made; nobody told which were planned"
        return Check("faults", "inconclusive", None, 0, "", says)
    return Check("faults", "pass", 0, 0, "", f"{made.total()} were made, all that were planned")


def _panels(evidence: Evidence) -> Check:
    """What the dashboard showed belongs to a run: somebody will want to look at it."""
    expected = {(panel.section, panel.title) for panel in dashboard.panels()}
    answered = {(panel.section, panel.title) for panel in evidence.panels if any(panel.series)}
    missing = expected - answered
    if missing:
        one = " / ".join(min(missing))
        says = f"{len(missing)} of {len(expected)} panels of the dashboard have no data, {one} for one"
        return Check("panels", "inconclusive", len(missing), 0, "", says)
    return Check("panels", "pass", 0, 0, "", f"all {len(expected)} panels of the dashboard have data")


def _restarts(evidence: Evidence) -> Check:
    processes = {
        name: {sample.pid for sample in samples}
        for name, samples in evidence.judged().items()
        if name.partition("/")[0] == _NEVER_RESTARTED
    }
    again = sum(len(pids) - 1 for pids in processes.values())
    names = ", ".join(name for name, pids in processes.items() if len(pids) > 1)
    says = f"{names} began anew" if again else "no process of the service began anew"
    return Check("restarts", "fail" if again else "pass", again, 0, "", says)


def _lag(evidence: Evidence, limit: float) -> Check:
    """A generator that is late measures itself: that makes a run inconclusive, and never fails it."""
    late = [
        1000 * sample.lag_seconds
        for sample in evidence.samples
        if sample.lag_seconds is not None and sample.at >= evidence.steady_from
    ]
    if not late:
        return Check("generator", "inconclusive", None, limit, "ms", "nobody told how late the load was")
    measured = float(np.percentile(late, _LAG_PERCENT))
    says = f"{measured:,.4g} ms late in {_LAG_PERCENT} of 100 samples at most, {max(late):,.4g} ms at worst"
    outcome: Literal["pass", "inconclusive"] = "pass" if measured <= limit else "inconclusive"
    return Check("generator", outcome, measured, limit, "ms", says)
