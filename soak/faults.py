"""What fails on purpose: when, how, and how long it takes until all is well again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from soak.outages import Outage, tell
from soak.results import FAULTS, Failure, Fault, Target, append

#: In the order in which they come.
ALL: Final[Sequence[tuple[Target, Failure]]] = (
    ("redis", "down"),
    ("dnastore", "frozen"),
    ("keys", "down"),
    ("redis", "frozen"),
    ("dnastore", "down"),
    ("keys", "frozen"),
)
_SHORTEST: Final = 2.0
#: Of the time, for a fault and the calm around it: whole windows of ten seconds lie in that.
_SHORTEST_SHARE: Final = 40.0
_LONGEST: Final = 60.0
#: What lasts longer is no recovery any more.
PATIENCE: Final = 60.0
#: So long all must be well before it counts as recovered.
STEADY: Final = 1.0


class Planned(NamedTuple):
    """A fault that shall be: when, in seconds from the run's beginning, and how long."""

    at: float
    seconds: float
    target: Target
    failure: Failure


def schedule(seconds: float, warm_up: float, kinds: Sequence[tuple[Target, Failure]] = ALL) -> list[Planned]:
    """The faults of a run: each kind once an hour, at least once, one at a time.

    A quarter of its share of the time passes before a fault, another quarter in it (2 to 60 seconds), the
    rest is for recovery and calm. In a short run, without calm between them, they come in its later half.
    """
    if not kinds:
        return []
    rounds = max(1, round(seconds / 3600))
    count = rounds * len(kinds)
    begin = warm_up if (seconds - warm_up) / count >= _SHORTEST_SHARE else max(warm_up, seconds / 2)
    share = (seconds - begin) / count
    lasting = min(max(share / 4, _SHORTEST), _LONGEST)
    turns = itertools.chain.from_iterable(itertools.repeat(kinds, rounds))
    return [
        Planned(begin + share * (number + 0.25), lasting, target, failure)
        for number, (target, failure) in enumerate(turns)
    ]


class Breakable(Protocol):
    """What can be stopped, frozen, and brought back."""

    def kill(self) -> None:
        """End it without warning."""

    def start(self) -> None:
        """Start it again, and wait until it can be reached."""

    def freeze(self) -> None:
        """Stop it where it is."""

    def thaw(self) -> None:
        """Go on after ``freeze``."""


class Faults:
    """Makes planned faults in a thread of its own, and tells of them, until it is closed."""

    def __init__(
        self,
        folder: Path,
        plan: Sequence[Planned],
        parts: dict[Target, Breakable],
        is_well: Callable[[Planned, float], bool],
    ) -> None:
        """Prepare. ``is_well`` says whether all is as it was before a fault that ended at some time."""
        self._folder = folder
        self._plan = plan
        self._parts = parts
        self._is_well = is_well
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self._begin = 0.0
        self.outages: list[Outage] = []
        self.path = folder / "outages.json"
        #: What went wrong with the faults themselves.
        self.error: BaseException | None = None
        tell(self.path, self.outages)

    @property
    def present(self) -> str | None:
        """The fault that is on, or whose consequences are."""
        return self.outages[-1].name if self.outages and self.outages[-1].over_at is None else None

    def start(self, begin: float) -> None:
        """Go by a run that begins then, in seconds since the epoch."""
        self._begin = begin
        self._thread.start()

    def close(self) -> None:
        """End; what is broken now is brought back."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            for planned in self._plan:
                if self._ending.wait(max(0.0, self._begin + planned.at - time.time())):
                    return
                self._make(planned)
        except BaseException as error:  # told by whoever ends this
            self.error = error

    def _make(self, planned: Planned) -> None:
        part = self._parts[planned.target]
        outage = Outage(planned.target, planned.failure, time.time())
        self.outages.append(outage)
        tell(self.path, self.outages)
        down = planned.failure == "down"
        (part.kill if down else part.freeze)()
        try:
            self._ending.wait(planned.seconds)
        finally:
            (part.start if down else part.thaw)()
        ended = time.time()
        recovered = self._recovery(planned, ended)
        outage.over_at = time.time() if recovered is None else recovered
        tell(self.path, self.outages)
        append(
            self._folder,
            FAULTS,
            Fault(planned.target, planned.failure, outage.began_at, ended, recovered),
        )

    def _recovery(self, planned: Planned, ended: float) -> float | None:
        """When all had become well, as it has stayed for a second; None if that does not come about."""
        for since, now in self._looks(planned, ended):
            if since is not None and now - since >= STEADY:
                return since
        return None

    def _looks(self, planned: Planned, ended: float) -> Iterator[tuple[float | None, float]]:
        """Since when all is well, if it is, and the time, again and again."""
        since: float | None = None
        while (began := time.time()) < ended + PATIENCE:
            well = self._is_well(planned, ended)
            since = (began if since is None else since) if well else None
            yield since, time.time()
            time.sleep(0.02)
