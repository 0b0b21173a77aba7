"""Files of audit logs: which belong together, and whether anybody has changed them.

Each host has a log of its own, and a log may lie in several files, one after another. Their chains say which:
a file whose first line follows from the last one of a file before it goes on with that log, any other is a
log of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from core.history.findings import Finding, Findings
from sigil_native import AuditFault, AuditVerifier


class NewVerifier(Protocol):
    """Makes a verifier for a log, or for what comes after one of its lines."""

    def __call__(self, after: tuple[int, bytes] | None = None) -> AuditVerifier:
        """See AuditVerifier for what ``after`` is."""


class _Log:
    """One chain, and the file of it that was read last."""

    def __init__(self, verifier: AuditVerifier, name: str) -> None:
        self.verifier = verifier
        self.name = name
        self.first_name = name


class AuditFiles:
    """Checks the chains of any number of logs, whose files come one after another."""

    def __init__(self, new_verifier: NewVerifier, findings: Findings) -> None:
        self._new = new_verifier
        self._findings = findings
        self._logs: list[_Log] = []
        self._empty: list[str] = []

    def begin(self, name: str, first_line: bytes) -> AuditVerifier:
        """A file begins with this line, or what there is of one; what its bytes are to be fed to."""
        log = self._continued(first_line)
        if log is None:
            log = _Log(self._new(), name)
            self._logs.append(log)
        else:
            self.tell(log.name, log.verifier.next_file())
            log.name = name
        return log.verifier

    def empty(self, name: str) -> None:
        """A file has not a byte: one that was just rotated has none yet."""
        self._empty.append(name)

    def finish(self) -> None:
        """There are no more files."""
        for log in self._logs:
            self.tell(log.name, log.verifier.finish())
            first = log.verifier.first_sequence
            if first is not None and first > 1:
                detail = f"it begins with seq {first}, and follows no file before it"
                self._earlier_missing(log.first_name, detail)
        for name in self._empty:
            if self._logs:
                self._earlier_missing(name, "it is empty")
            else:
                self.tell(name, self._new().finish())

    def tell(self, name: str, faults: Iterable[AuditFault]) -> None:
        """These were found in a file."""
        for fault in faults:
            self._findings.add(Finding("audit_fault", "", f"{name}, line {fault.line}: {fault.message}"))

    def _continued(self, first_line: bytes) -> _Log | None:
        """The log that this line is the next one of."""
        for log in self._logs:
            if not log.verifier.sequence:
                continue
            trial = self._new((log.verifier.sequence, log.verifier.tag))
            if not [*trial.feed(first_line), *trial.finish()]:
                return log
        return None

    def _earlier_missing(self, name: str, detail: str) -> None:
        self._findings.add(Finding("audit_earlier_missing", "", f"{name}: {detail}"))
