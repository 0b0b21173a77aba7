"""What answers must say."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from soak.ledger import Entry
from soak.payloads import digest, event
from soak.results import VIOLATIONS, Violation, Wrong, append

#: What is sent to be verified: a record as it is; a payload that was changed; another tenant's record.
Presented = Literal["own", "altered", "foreign"]
#: What came of it; ``unknown`` while nobody can say whether it was revoked.
Outcome = Literal["right", "unknown", "wrong"]

#: What is wrong with an answer that is none of the ones that callers may get.
UNEXPECTED: Final[Wrong] = "unexpected"


class Violations:
    """Writes what is wrong at once; after so many only their number is kept."""

    def __init__(self, folder: Path, most: int = 1000) -> None:
        self._folder = folder
        # There from the start: a file that is missing must not look like a service that was never wrong.
        (folder / VIOLATIONS).touch()
        self._most = most
        self._lock = threading.Lock()
        self.count = 0

    def add(self, wrong: Wrong, operation: str, tenant: str, detail: str) -> None:
        """Record that the service was wrong. No payload, no token, no secret in the detail."""
        with self._lock:
            self.count += 1
            if self.count > self._most:
                return
            append(self._folder, VIOLATIONS, Violation(time.time(), wrong, operation, tenant, detail))


class Before:
    """How a record stood before a call: what was certain then must hold in the answer."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.revoked = entry.revoked
        self.revoking = entry.revoking

    @property
    def may_be_either(self) -> bool:
        """Whether a revocation was, or came, under way, so that both answers are right."""
        return not self.revoked and self.entry.revoking


def judge_verdict(presented: Presented, before: Before, said: Mapping[str, Any]) -> tuple[Outcome, Wrong]:
    """Judge what the service says of a sigil and a payload: the outcome, and what would be wrong then."""
    valid, reason = said.get("valid"), said.get("reason")
    if presented != "own":
        wrong: Wrong = "altered_accepted" if presented == "altered" else "foreign_seen"
        refused = valid is False and reason == "tag_mismatch"
        return "right" if refused else "wrong", wrong if valid is not False else UNEXPECTED
    if before.revoked:
        if valid is not False:
            return "wrong", "revoked_accepted"
        if reason == "revocation_unknown":
            return "unknown", "revoked_accepted"
        return ("right" if reason == "revoked" else "wrong"), "revoked_accepted"
    if valid is True or (reason == "revoked" and before.may_be_either):
        return "right", "valid_refused"
    return ("unknown" if reason == "revocation_unknown" else "wrong"), "valid_refused"


def judge_new(said: Mapping[str, Any], serial: int, subject: str) -> tuple[Wrong, str] | None:
    """What is wrong with the record of a payload that was just sealed."""
    if said.get("created_by") != subject:
        return "foreign_seen", f"record {said.get('id')} is somebody else's"
    if said.get("canonical_sha256") != digest(serial):
        return "changed", f"record {said.get('id')} is of another payload"
    if said.get("status") not in {"active", "revoked"}:
        return UNEXPECTED, f"record {said.get('id')} is {said.get('status')}"
    return None


def judge_record(said: Mapping[str, Any], before: Before) -> tuple[Wrong, str] | None:
    """What is wrong with a record that was asked for by its id."""
    entry = before.entry
    if said.get("id") != entry.id or said.get("sigil") != entry.sigil:
        return "changed", f"record {entry.id} is another"
    if said.get("data") != event(entry.serial) or said.get("canonical_sha256") != digest(entry.serial):
        return "changed", f"record {entry.id} has another payload"
    status = said.get("status")
    if before.revoked and status != "revoked":
        return "revoked_accepted", f"record {entry.id} was revoked and is {status}"
    if not before.revoked and status != "active" and not before.may_be_either:
        return "changed", f"record {entry.id} was never revoked and is {status}"
    return None


def judge_page(said: Mapping[str, Any], tenant: str) -> tuple[Wrong, str] | None:
    """What is wrong with a piece of a tenant's listing. Each subject begins with its tenant's name."""
    for record in said.get("sigils", ()):
        if not str(record.get("created_by")).startswith(f"{tenant}/"):
            return "foreign_seen", f"record {record.get('id')} is listed, and another tenant's"
    if withheld := said.get("withheld"):
        return "changed", f"{len(withheld)} records are withheld, {withheld[0]} for one"
    return None
