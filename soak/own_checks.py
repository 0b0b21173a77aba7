"""What the service's own commands say of what is left: the store, the histories, and the audit log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from servers.program import app, environment
from soak.judging import Violations
from soak.stand import Stand

#: Seconds for each, and more for many records.
_PATIENCE: Final = 60.0
_RECORDS_A_SECOND: Final = 500.0
#: Both end so where something is wrong.
_FOUND: Final = 1


class OwnCheckError(Exception):
    """A command could not come to its end; the message says why."""


def own_checks(stand: Stand, folder: Path, violations: Violations, records: int) -> None:
    """Run them after the service has ended; what each says is in ``check-….log``.

    Raises:
        OwnCheckError: one did not work, or took too long.
    """
    for name, command in _commands(stand):
        log = folder / f"check-{name}.log"
        try:
            with log.open("wb") as file:
                done = subprocess.run(
                    command,
                    check=False,
                    env=environment(stand.settings),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    timeout=_PATIENCE + records / _RECORDS_A_SECOND,
                )
        except subprocess.TimeoutExpired:
            raise OwnCheckError(f"the check of the {name} takes too long") from None
        if done.returncode == _FOUND:
            violations.add("changed", f"{name} verify", "", f"something is wrong; see {log.name}")
        elif done.returncode != 0:
            raise OwnCheckError(f"the check of the {name} ended with {done.returncode}; see {log.name}")


def _commands(stand: Stand) -> Iterator[tuple[str, Sequence[str]]]:
    data = stand.folder / "service"
    audit = str(data / "audit.jsonl")
    yield "store", [*app("store", "verify", "--development"), "--audit", audit]
    secret = str(data / "development" / "audit-secret")
    sigil = [sys.executable, "-m", "sigil_native.cli", "audit", "verify", "--no-progress"]
    yield "audit", [*sigil, "--secret-file", secret, audit]
