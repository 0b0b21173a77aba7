"""Which faults were on, and when: told by whoever makes them, read by who judges answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from core.private_files import replace
from soak.results import Failure, Operation, Target

#: What the service refuses by its documents while something is away: without the DNAStore nobody can say what
#: is in it. Writes are acknowledged all the time: limits are counted on this host, records wait in the spool,
#: and the keys of issuers are kept.
EXCUSED: Final[Mapping[Target, frozenset[Operation]]] = {
    "redis": frozenset(),
    "dnastore": frozenset({"get", "list", "revoke", "verify", "verify_batch"}),
    # A token of a key that is not known cannot be judged while nobody can be asked.
    "keys": frozenset({"bad_token"}),
}
#: What was under way when all was well again may still be answered as if it were not.
_SETTLING: Final = 1.0


class Outage(msgspec.Struct):
    """A fault, from its beginning until its consequences are over; while it is on, None."""

    target: Target
    failure: Failure
    began_at: float
    over_at: float | None = None

    @property
    def name(self) -> str:
        """As windows name it."""
        return f"{self.target}/{self.failure}"

    def touches(self, begin: float, end: float) -> bool:
        """Whether it was on in any part of this time."""
        return self.began_at <= end and (self.over_at is None or self.over_at + _SETTLING >= begin)


def tell(path: Path, outages: list[Outage]) -> None:
    """Say which there were, in one step."""
    replace(path, msgspec.json.encode(outages))


class Outages:
    """What is told of them, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._known: list[Outage] = []

    def look(self) -> None:
        """Read what is told now."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            self._known = msgspec.json.decode(self._path.read_bytes(), type=list[Outage])
            self._stamp = stamp

    def during(self, begin: float, end: float) -> str | None:
        """The fault that was on in any part of this time."""
        self.look()
        return next((one.name for one in self._known if one.touches(begin, end)), None)

    def excuse(self, operation: Operation, begin: float, end: float) -> bool:
        """Whether a call between these times may have been refused."""
        self.look()
        return any(operation in EXCUSED[one.target] and one.touches(begin, end) for one in self._known)
