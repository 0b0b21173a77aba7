"""A process of load: ``python -m soak.load PLAN``.

Locust's callers are greenlets of one thread. What this process has to say of itself, it samples here.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any, Final

# Locust comes first: it makes the standard library cooperate.
from locust import User
from locust.env import Environment

import gevent  # isort: skip
import gevent.event  # isort: skip
import msgspec
import psutil

from soak.callers import Caller, Shared
from soak.clock import now
from soak.judging import Violations
from soak.ledger import Ledger
from soak.outages import Outages
from soak.pacing import firsts
from soak.plan import LoadPlan
from soak.results import SAMPLES, WINDOWS, append
from soak.sampling import SAMPLE_SECONDS, sample
from soak.scenarios import CLASSES
from soak.tenants import SigningKey, Tokens
from soak.windows import Windows

#: Seconds for calls that are late when the run ends.
_GRACE: Final = 30.0
_TICK: Final = 0.02


class Load:
    """All callers of this process, from the first call to the last."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._folder = Path(plan.results)
        self._stopping = gevent.event.Event()
        self._lag = 0.0
        outages = Outages(Path(plan.outages))
        key = SigningKey.read(Path(plan.signing_key))
        callers = sum(plan.callers.values())
        # Several processes of load share one pace.
        offset = plan.pace * plan.process / (callers * plan.processes)
        self._shared = Shared(
            plan=plan,
            ledger=Ledger(plan.ledger, first=plan.first_serial + plan.process, step=plan.processes),
            windows=Windows(plan.begin, outages.during),
            outages=outages,
            violations=Violations(self._folder),
            tokens=Tokens(key, plan.token_seconds),
            signing_key=key,
            other_key=SigningKey.new(),
            callers=[],
            firsts=firsts(plan.begin + offset, plan.pace, callers),
        )

    def run(self) -> None:
        """Make all calls, and have all on disk that is known of them."""
        Caller.shared = self._shared
        classes: list[type[User]] = []
        for name, count in self._plan.callers.items():
            CLASSES[name].fixed_count = count
            CLASSES[name].host = self._plan.url
            classes.append(CLASSES[name])
        environment = Environment(user_classes=classes, stop_timeout=1)
        runner = environment.create_local_runner()
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._stopping.set)
        helpers = [gevent.spawn(self._watch_pauses), gevent.spawn(self._write)]
        callers = sum(self._plan.callers.values())
        runner.start(callers, spawn_rate=callers)
        self._wait(runner)
        runner.quit()
        gevent.killall(helpers)
        self._count_missed()
        self._flush(float("inf"))
        self._shared.ledger.close()

    def _wait(self, runner: Any) -> None:
        end = self._plan.begin + self._plan.seconds
        self._stopping.wait(max(0.0, end - now()))
        while not self._stopping.is_set() and runner.user_count and now() < end + _GRACE:
            gevent.sleep(0.1)

    def _watch_pauses(self) -> None:
        """Measure by how much a pause is too long: by so much calls begin late, whatever the service does."""
        while True:
            begin = now()
            gevent.sleep(_TICK)
            self._lag = max(self._lag, now() - begin - _TICK)

    def _write(self) -> None:
        process = psutil.Process()
        sampled = now()
        while True:
            gevent.sleep(1.0)
            self._shared.ledger.flush()
            self._flush(self._low_water_mark())
            if now() - sampled >= SAMPLE_SECONDS:
                sampled += SAMPLE_SECONDS
                lag, self._lag = self._lag, 0.0
                append(self._folder, SAMPLES, sample(f"load/{self._plan.process}", process, lag_seconds=lag))

    def _low_water_mark(self) -> float:
        """The earliest time for which a call can still be counted."""
        marks = [now()]
        for user in self._users:
            marks.append(user.due if user.turning else user.pacing.due)
        return min(marks)

    @property
    def _users(self) -> list[Caller]:
        return self._shared.callers

    def _flush(self, until: float) -> None:
        for window in self._shared.windows.take(until):
            append(self._folder, WINDOWS, window)

    def _count_missed(self) -> None:
        """Count the calls that should have begun and never did."""
        for user in self._users:
            for due in user.pacing.missed:
                if due <= now():
                    self._shared.windows.failed(user.main, user.scenario, due, "not_started")


def main() -> None:
    """Do what the plan says."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=LoadPlan)
    Load(plan).run()


if __name__ == "__main__":
    main()
