"""What a soak is judged by: a TOML file, checked whole before anything is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from soak.plan import SCENARIOS
from soak.results import Operation

#: sysexits.h: EX_CONFIG, as the service ends with when its settings cannot work.
EXIT_CODE: Final = 78
DEFAULT: Final = Path(__file__).with_name("thresholds.toml")
_HOUR: Final = 3600.0

Profile = Literal["full", "quick"]
_Positive = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]
_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class ThresholdsError(Exception):
    """A file of thresholds cannot be used; the message names the file and the place in it."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table whose every name is known: a slip of the hand must not switch a check off."""


class Latency(_Strict, frozen=True):
    """Quantiles of one operation's latencies, in milliseconds."""

    p95_ms: _Positive
    p99_ms: _Positive


class Failures(_Strict, frozen=True):
    """How many calls may fail, or be refused, in percent; scenarios that are refused on purpose left out."""

    percent: _Percent
    percent_in_faults: _Percent
    refused_percent: _Percent
    refused_on_purpose: list[str] = []


class Recovery(_Strict, frozen=True):
    """Seconds from the end of a fault until all operations succeed again, by what had failed."""

    redis_seconds: _Positive
    dnastore_seconds: _Positive
    keys_seconds: _Positive


class Generator(_Strict, frozen=True):
    """How late calls may begin, in milliseconds."""

    lag_ms: _Positive


class Enough(_Strict, frozen=True):
    """How much there must be to judge by."""

    calls: _Count
    records: _Count
    checked_records: _Count


class Database(_Strict, frozen=True):
    """What a record may take on disk."""

    bytes_per_record: _Positive


class Limit(_Strict, frozen=True):
    """The steepest slope that is allowed: the largest of three.

    Attributes:
        percent_per_hour: of what is usual.
        gained: in the later half of the time altogether. What gains less is not told from what comes in
            pieces: a megabyte of the allocator's, a connection at a peak.
    """

    per_hour: Annotated[float, msgspec.Meta(ge=0, lt=1e12)]
    percent_per_hour: Annotated[float, msgspec.Meta(ge=0, lt=1e6)]
    gained: Annotated[float, msgspec.Meta(ge=0, lt=1e12)] = 0.0

    def at(self, level: float, seconds: float) -> float:
        """The limit per hour, for what usually is at ``level`` and was measured for so long."""
        return max(self.per_hour, self.percent_per_hour / 100 * level, self.gained / (seconds / 2 / _HOUR))


class Growth(_Strict, frozen=True):
    """Slopes, and how many minutes of measurement are enough to tell one."""

    minutes: _Positive
    resident_mib: Limit
    descriptors: Limit
    threads: Limit
    p50_ms: Limit
    p99_ms: Limit


class Growths(_Strict, frozen=True):
    """Slopes of long runs and of short ones."""

    full: Growth
    quick: Growth


class Profiles(_Strict, frozen=True):
    """Which slopes a run is judged by."""

    quick_below_minutes: _Positive


class Thresholds(_Strict, frozen=True):
    """All of it. Operations that are not in ``latency`` may take as long as they like, or not be called."""

    latency: dict[Operation, Latency]
    failures: Failures
    recovery: Recovery
    generator: Generator
    enough: Enough
    database: Database
    growth: Growths
    profile: Profiles

    def profile_of(self, seconds: float) -> Profile:
        """Which slopes a run that lasted so long is judged by."""
        return "quick" if seconds < self.profile.quick_below_minutes * 60 else "full"

    def growth_of(self, profile: Profile) -> Growth:
        """The slopes of a profile."""
        return self.growth.full if profile == "full" else self.growth.quick


def load_thresholds(path: Path = DEFAULT) -> Thresholds:
    """Read and check a file.

    Raises:
        ThresholdsError: it is not there, no TOML, or something in it is missing, unknown or out of range.
    """
    try:
        thresholds = msgspec.toml.decode(path.read_bytes(), type=Thresholds)
    except OSError as error:
        raise ThresholdsError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ThresholdsError(f"{path}: {error}") from None
    for name, latency in thresholds.latency.items():
        if latency.p95_ms > latency.p99_ms:
            raise ThresholdsError(f"{path}: p95_ms is above p99_ms - at `$.latency.{name}`")
    if unknown := set(thresholds.failures.refused_on_purpose) - set(SCENARIOS):
        where = "at `$.failures.refused_on_purpose`"
        raise ThresholdsError(f"{path}: no scenario is called {', '.join(sorted(unknown))} - {where}")
    return thresholds
