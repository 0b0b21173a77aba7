"""Audit logs: lines written and checked, beside a plain Python program that does the same."""

from __future__ import annotations

import base64
import hmac
import json
from functools import cache, partial
from typing import Any

import sigil_native
from benchmarks.peers import SECRET
from benchmarks.sides import Opened, pair

#: Enough that the chain's start does not count, few enough for short slices.
LINES = 2_000


@cache
def _records() -> list[dict[str, Any]]:
    """What an audit log holds; lines of about 300 bytes."""
    return [
        {
            "time": f"2026-11-22T10:{number // 60 % 60:02}:{number % 60:02}.123456Z",
            "event": ("sigil.encoded", "sigil.verified", "authentication.refused")[number % 3],
            "request_id": f"01a205ac-043c-7329-9acc-{number:012x}",
            "tenant": f"tenant-{number % 17}",
            "subject": f"user-{number % 1009}",
            "outcome": "ok",
            "sigil": f"01a205ac-0547-7676-9113-{number:012x}",
        }
        for number in range(LINES)
    ]


def _plain_append(tag: bytes, sequence: int, record: dict[str, Any]) -> tuple[bytes, bytes]:
    text = json.dumps({"seq": sequence, **record}, separators=(",", ":"))[:-1].encode()
    tag = hmac.digest(SECRET, tag + text, "sha256")
    return b'%s,"chain":"%s"}\n' % (text, base64.urlsafe_b64encode(tag).rstrip(b"=")), tag


def _plain_write(records: list[dict[str, Any]]) -> bytes:
    tag, lines = bytes(32), []
    for sequence, record in enumerate(records, start=1):
        line, tag = _plain_append(tag, sequence, record)
        lines.append(line)
    return b"".join(lines)


def _plain_verify(text: bytes) -> None:
    tag = bytes(32)
    for sequence, line in enumerate(text.splitlines(), start=1):
        members = json.loads(line)
        claimed = base64.urlsafe_b64decode(members["chain"] + "=")
        right = hmac.compare_digest(hmac.digest(SECRET, tag + line[:-55], "sha256"), claimed)
        if not right or members["seq"] != sequence:
            raise ValueError(sequence)
        tag = claimed


def _write(records: list[dict[str, Any]]) -> bytes:
    chain = sigil_native.AuditChain(SECRET)
    return chain.begin({}) + b"".join([chain.append(record) for record in records])


def _write_groups(records: list[dict[str, Any]]) -> bytes:
    chain = sigil_native.AuditChain(SECRET)
    groups = [records[start : start + 100] for start in range(0, len(records), 100)]
    return chain.begin({}) + b"".join([chain.append_many(group) for group in groups])


def _verify(text: bytes) -> None:
    verifier = sigil_native.AuditVerifier([SECRET])
    if verifier.feed(text) or verifier.finish():
        raise ValueError("a fault")


@cache
def _logs() -> tuple[bytes, bytes]:
    """The same records as a log of ours, and as the plain program's."""
    return _write(_records()), _plain_write(_records())


def appended() -> Opened:
    """Lines appended one by one."""
    return pair(partial(_write, _records()), partial(_plain_write, _records()), LINES)


def appended_in_groups() -> Opened:
    """Lines appended a hundred a call, beside a program that appends one by one."""
    return pair(partial(_write_groups, _records()), partial(_plain_write, _records()), LINES)


def checked() -> Opened:
    """A log checked from its first line to its last."""
    ours, plain = _logs()
    return pair(partial(_verify, ours), partial(_plain_verify, plain), LINES)
