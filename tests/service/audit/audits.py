"""Audit logs as an auditor sees them: with the library alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sigil_native import AuditFault, AuditVerifier

SECRET = "the secret of an audit log that tests write"


def faults(files: Iterable[Path], *secrets: str) -> list[AuditFault]:
    """What the library finds wrong with files that follow each other."""
    verifier = AuditVerifier(list(secrets or (SECRET,)))
    found: list[AuditFault] = []
    for number, path in enumerate(files):
        if number:
            found += verifier.next_file()
        found += verifier.feed(path.read_bytes())
    return found + verifier.finish()


def lines(*files: Path) -> list[dict[str, Any]]:
    """The whole lines of files, decoded."""
    text = b"".join(path.read_bytes() for path in files)
    return [json.loads(line) for line in text.rpartition(b"\n")[0].splitlines()]


def events(*files: Path) -> list[str]:
    """The lines' events."""
    return [line["event"] for line in lines(*files)]
