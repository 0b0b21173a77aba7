"""A run, from the start of everything to the check of all records."""

from __future__ import annotations

import contextlib
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from monitoring.prometheus_api import RefusedError
from soak import panels, results
from soak.client import Client
from soak.driving import Traffic, load_plans, load_process
from soak.faults import Breakable, Faults, Planned, schedule
from soak.final_check import CheckError, FinalCheck
from soak.judging import UNEXPECTED, Violations
from soak.ledger import Ledger, Ledgers
from soak.own_checks import OwnCheckError, own_checks
from soak.probing import Probe
from soak.results import Failure, Run, Target
from soak.sampling import Sampler
from soak.stand import Stand, Wishes, running_stand
from soak.tenants import Tokens

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
#: For the processes of load to start before the first call is due.
LEAD: Final = 4.0
_SPOOL_PATIENCE: Final = 120.0
#: Payloads of the probe have numbers that no process of load reaches.
_PROBE_SERIALS: Final = 1 << 48
#: The greedy tenant's part of what it asks for that it may have.
_GREEDY_PART: Final = 0.5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Attributes:
        rate: calls a second, of all users together.
        scenarios: each with its share of the users.
        faults: those that are made.
        batch: lines of a batch.
        processes: of load.
    """

    folder: Path
    seconds: float
    users: int
    rate: float
    scenarios: Mapping[str, float]
    faults: Sequence[tuple[Target, Failure]]
    workers: int = 2
    batch: int = 10
    processes: int = 1
    history: bool = True
    keep: bool = False
    service_command: tuple[str, ...] | None = None
    planted: str | None = None

    @property
    def warm_up(self) -> float:
        """Seconds at the start that are no part of slopes and quantiles."""
        return min(300.0, self.seconds / 10)

    @property
    def token_seconds(self) -> float:
        """How long tokens are good: they are renewed several times in every run."""
        return min(300.0, max(20.0, self.seconds / 8))


class IncompleteError(Exception):
    """A run did not come to its end; the message says why. What it has left can be judged."""


class Progress(msgspec.Struct):
    """What is told while a run goes on."""

    stage: str
    elapsed: float = 0.0
    fault: str | None = None
    records: int = 0


def run(options: Options, tell: Callable[[Progress], None]) -> Run:
    """Run, and leave everything in the results folder.

    Raises:
        IncompleteError: something of it ended early.
        SystemExit: something does not start; with its log.
        OSError: the folder cannot be used.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    if any(options.folder.iterdir()):
        raise FileExistsError(f"{options.folder} is not empty")
    tell(Progress("starting"))
    greedy = max(1, round(10 * _GREEDY_PART * options.rate / options.users))
    wishes = Wishes(workers=options.workers, greedy_limit=greedy, history=options.history)
    if options.service_command is not None:
        wishes = wishes._replace(command=options.service_command)
    with interruptible(), running_stand(options.folder / "stand", wishes) as stand:
        return _Course(options, stand, tell).run()


def forget_databases(folder: Path) -> None:
    """Remove what nobody needs of a run in which nothing was wrong; logs stay."""
    for name in ("service", "dnastore", "prometheus"):
        shutil.rmtree(folder / "stand" / name, ignore_errors=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM end what runs as Ctrl-C does, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Course:
    """A run over a stand that stands."""

    def __init__(self, options: Options, stand: Stand, tell: Callable[[Progress], None]) -> None:
        self._options = options
        self._stand = stand
        self._tell = tell
        self._folder = options.folder
        self._begin = time.time() + LEAD
        self._tokens = Tokens(stand.signing_key, options.token_seconds)
        self._violations = Violations(self._folder)
        self._run = Run(
            started_at=self._begin,
            seconds=options.seconds,
            warm_up=options.warm_up,
            users=options.users,
            processor=_processor(),
            revision=_revision(),
            scenarios=dict(options.scenarios),
            settings=stand.settings,
            planted=options.planted,
        )
        self._plan: Sequence[Planned] = schedule(options.seconds, options.warm_up, options.faults)
        self._run.faults_planned = [f"{one.target}/{one.failure}" for one in self._plan]
        self._write_run()

    def run(self) -> Run:
        with ExitStack() as stack:
            ledger = Ledger(self._folder / "ledger-probe.sqlite", first=_PROBE_SERIALS)
            closed = stack.enter_context(contextlib.closing(ledger))
            sampler = stack.enter_context(contextlib.closing(Sampler(self._folder, self._stand.watched)))
            faults = stack.enter_context(contextlib.closing(self._faults(closed, stack)))
            plans = load_plans(self._traffic(), self._stand, self._folder, self._begin, faults.path)
            processes = [stack.enter_context(load_process(plan)) for plan in plans]
            faults.start(self._begin, self._begin + self._options.seconds)
            self._watch(processes, faults)
            faults.close()
            sampler.close()
        self._run.faults_not_made = [f"{one.target}/{one.failure}" for one in faults.not_made]
        codes = [process.returncode for process in processes]
        if any(codes):
            raise IncompleteError(f"a process of load ended with {codes}; see load-*.log in {self._folder}")
        if faults.error is not None:
            raise IncompleteError(f"a fault could not be made: {faults.error!r}")
        self._finish([plan.ledger for plan in plans] + [self._folder / "ledger-probe.sqlite"])
        return self._run

    def _traffic(self) -> Traffic:
        options = self._options
        return Traffic(
            seconds=options.seconds,
            users=options.users,
            rate=options.rate,
            scenarios=options.scenarios,
            batch=options.batch,
            processes=options.processes,
            token_seconds=options.token_seconds,
        )

    def _faults(self, ledger: Ledger, stack: ExitStack) -> Faults:
        stand = self._stand
        assert stand.redis is not None  # noqa: S101 - the stand stands
        client = stack.enter_context(Client(stand.url, self._tokens, "probe"))
        probe = Probe(stand, client, ledger)
        parts: dict[Target, Breakable] = {
            "redis": stand.redis,
            "dnastore": stand.dnastore,
            "keys": _WithFetches(stand.keys, probe),
        }
        return Faults(self._folder, self._plan, parts, probe.is_well)

    def _watch(self, processes: Sequence[subprocess.Popen[bytes]], faults: Faults) -> None:
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                return
            self._tell(Progress("running", time.time() - self._begin, faults.present))
            time.sleep(1.0)

    def _finish(self, ledgers: Sequence[Path]) -> None:
        self._run.ended_at = time.time()
        self._write_run()
        self._write_panels()
        self._wait_for_spool()
        self._check_greedy()
        self._look_for_all(ledgers)
        self._tell(Progress("checking the store and the audit log"))
        self._stand.service.stop()
        try:
            own_checks(self._stand, self._folder, self._violations, self._run.checked_records)
        except OwnCheckError as error:
            raise IncompleteError(str(error)) from None
        self._run.complete = True
        self._write_run()

    def _look_for_all(self, ledgers: Sequence[Path]) -> None:
        with contextlib.closing(Ledgers(ledgers)) as opened:
            check = FinalCheck(
                lambda: Client(self._stand.url, self._tokens, "final"), opened, self._violations
            )
            try:
                self._run.checked_records = check.run(
                    lambda found: self._tell(Progress("looking for all records", records=found))
                )
            except CheckError as error:
                raise IncompleteError(f"the records cannot be looked at: {error}") from None

    def _write_panels(self) -> None:
        if self._stand.prometheus is None or self._run.ended_at is None:
            return
        self._tell(Progress("asking for the dashboard"))
        try:
            asked = panels.ask(self._stand.prometheus.api.url, self._begin, self._run.ended_at, 5.0)
        except (OSError, RefusedError) as error:
            raise IncompleteError(f"Prometheus: {error}") from None
        for panel in asked:
            results.append(self._folder, results.PANELS, panel)

    def _wait_for_spool(self) -> None:
        self._tell(Progress("waiting for the spool"))
        deadline = time.monotonic() + _SPOOL_PATIENCE
        while (spool := self._stand.readiness().get("spool")) != "empty":
            if time.monotonic() > deadline:
                raise IncompleteError(f"the spool is {spool} two minutes after the run")
            time.sleep(0.2)

    def _check_greedy(self) -> None:
        """A tenant that asks for twice what it may have must have been refused."""
        windows = [
            window
            for window in results.lines(self._folder, results.WINDOWS, results.Window)
            if window.scenario == "greedy"
        ]
        if sum(window.calls for window in windows) > 100 and not any(window.refused for window in windows):
            self._violations.add(UNEXPECTED, "list", "greedy", "nothing was refused beyond the limit")

    def _write_run(self) -> None:
        (self._folder / results.RUN).write_bytes(msgspec.json.format(msgspec.json.encode(self._run)))


class _WithFetches:
    """The key server, of which is noted how often it was asked before it is back."""

    def __init__(self, part: Breakable, probe: Probe) -> None:
        self._part = part
        self._probe = probe
        self.kill, self.freeze = part.kill, part.freeze

    @property
    def pid(self) -> int | None:
        return self._part.pid

    def start(self) -> None:
        self._probe.remember_fetches()
        self._part.start()

    def thaw(self) -> None:
        self._probe.remember_fetches()
        self._part.thaw()


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    git = ["git", "-C", str(_REPOSITORY), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):
        done = subprocess.run(git, check=False, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() or "unknown"
    return "unknown"
