"""What a soak leaves behind: the files of a results folder, written by the run and read by the verdict.

Times are seconds since the Unix epoch, durations seconds, sizes bytes. The files of lines are appended to
while the run goes on, so that a run that was killed can be judged as far as it got.

| file | lines of | written by |
|---|---|---|
| ``run.json`` | ``Run``, rewritten at the end | the run |
| ``windows.jsonl`` | ``Window``, each operation every ten seconds | the run |
| ``samples.jsonl`` | ``Sample``, each process every five seconds | the run |
| ``faults.jsonl`` | ``Fault``, when it is over | the run |
| ``violations.jsonl`` | ``Violation``; empty where nothing was wrong | the run |
| ``panels.jsonl`` | ``Panel``, at the end | the run |
| ``summary.json`` | ``Summary`` | the verdict |
| ``summary.md`` | the same for people | the verdict |
| ``report.html`` | | the report |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

RUN: Final = "run.json"
WINDOWS: Final = "windows.jsonl"
SAMPLES: Final = "samples.jsonl"
FAULTS: Final = "faults.jsonl"
VIOLATIONS: Final = "violations.jsonl"
PANELS: Final = "panels.jsonl"
SUMMARY: Final = "summary.json"
SUMMARY_TEXT: Final = "summary.md"
REPORT: Final = "report.html"

_T = TypeVar("_T")

#: What callers do; names of histograms, thresholds and plots.
Operation = Literal[
    "encode", "verify", "encode_batch", "verify_batch", "get", "list", "revoke", "bad_request", "bad_token"
]

#: How the service can be wrong: altered_accepted, an altered payload verified; revoked_accepted, a revoked
#: sigil was not called revoked; valid_refused, a sigil was refused that should verify; foreign_seen,
#: something of another tenant; lost, an acknowledged record is not found; changed, it is another, or the
#: service's own check of its store or its audit log finds something; doubled,
#: one idempotency key has two records; unexpected, an answer that no caller should ever get.
Wrong = Literal[
    "altered_accepted",
    "revoked_accepted",
    "valid_refused",
    "foreign_seen",
    "lost",
    "changed",
    "doubled",
    "unexpected",
]

#: What fails on purpose, and how.
Target = Literal["redis", "dnastore", "keys"]
Failure = Literal["down", "frozen"]


class Run(msgspec.Struct, kw_only=True):
    """What was run, where.

    Attributes:
        warm_up: seconds at the start that are no part of slopes and quantiles.
        ended_at: None while it goes on, or where it was killed.
        complete: whether it came to its end, with the check of all records done.
        checked_records: how many acknowledged records were looked for at the end.
        settings: variables that the service was started with; no secrets.
        planted: the defect that was built in on purpose, if any.
        faults_planned: what was to fail, as ``target/failure``, once for each time; None of older runs.
        faults_not_made: those of them for which the time did not last.
    """

    started_at: float
    seconds: float
    warm_up: float
    users: int
    processor: str
    revision: str
    scenarios: dict[str, float]
    settings: dict[str, str] = {}
    ended_at: float | None = None
    complete: bool = False
    checked_records: int = 0
    planted: str | None = None
    faults_planned: list[str] | None = None
    faults_not_made: list[str] = []


class Window(msgspec.Struct):
    """What calls of one operation came to, of those that were due in ten seconds.

    Attributes:
        histogram: HdrHistogram of microseconds from the intended start to the end of the answer, in its own
            base64 form: 1 microsecond to 10 minutes, three digits. Only of calls that were answered as they
            should.
        calls: all of them, those that failed and those that were refused included.
        records: how many records these calls have made, as acknowledged; a batch makes many.
        failures: how often, by what was wrong: a status that should not be, ``timeout``, ``connection``.
        refused: refusals that callers must expect: 429, 503 while a fault is on. In no histogram.
        during: the fault that was on, in any part of the window, as ``target/failure``.
    """

    begin: float
    seconds: float
    operation: Operation
    scenario: str
    histogram: str
    calls: int
    failures: dict[str, int] = {}
    refused: int = 0
    during: str | None = None
    records: int = 0


class Sample(msgspec.Struct):
    """What one process used at a moment.

    Attributes:
        process: its part and place: ``service/0``, ``dnastore/0``, ``load/0``.
        database_bytes: of the store behind it, its log included; where one process speaks for it.
        lag_seconds: by how much a pause of a process that makes load was too long, at worst since its last
            sample: calls begin late then, whatever the service does. None for all others.
    """

    at: float
    process: str
    pid: int
    resident_bytes: int
    descriptors: int
    threads: int
    cpu_seconds: float
    database_bytes: int | None = None
    lag_seconds: float | None = None


class Fault(msgspec.Struct):
    """Something that failed on purpose.

    Attributes:
        recovered_at: when, after its end, all operations succeeded again for a second; None if never.
    """

    target: Target
    failure: Failure
    began_at: float
    ended_at: float
    recovered_at: float | None


class Violation(msgspec.Struct):
    """One time that the service was wrong. No payload, no token, no secret."""

    at: float
    wrong: Wrong
    operation: str
    tenant: str
    detail: str


class Series(msgspec.Struct):
    """One line of a plot: labels, and points of (time, value)."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Panel(msgspec.Struct):
    """What Prometheus answered for one panel of the dashboard.

    Attributes:
        queries: as they were asked, variables filled in, each with its legend.
        series: for each query.
    """

    title: str
    section: str
    kind: str
    unit: str
    queries: list[tuple[str, str]]
    series: list[list[Series]]


class Check(msgspec.Struct):
    """One threshold, and what was measured.

    Attributes:
        outcome: inconclusive where there was too little to judge by.
    """

    name: str
    outcome: Literal["pass", "fail", "inconclusive"]
    measured: float | None
    limit: float | None
    unit: str
    says: str


class Summary(msgspec.Struct):
    """The verdict: fail if any check failed, else inconclusive if any could not be judged, else pass.

    Attributes:
        totals: for each operation, what ``soak.call_checks.totals`` tells.
        profile: which slopes it was judged by, those of short runs or of long ones.
        judged_by: the name of the file of thresholds, and the beginning of its SHA-256.
    """

    verdict: Literal["pass", "fail", "inconclusive"]
    checks: list[Check]
    run: Run
    totals: dict[str, dict[str, float]]
    profile: Literal["full", "quick"] = "full"
    judged_by: str = ""


def append(folder: Path, name: str, line: msgspec.Struct) -> None:
    """Add one line to a file of lines."""
    with (folder / name).open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def lines(folder: Path, name: str, kind: type[_T]) -> Iterator[_T]:
    """The lines of a file, none if there is no file; a last line that was cut off is left out.

    Raises:
        msgspec.MsgspecError: a line is damaged.
    """
    decoder = msgspec.json.Decoder(kind)
    path = folder / name
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
