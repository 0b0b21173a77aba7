"""Audit logs made by hand, from nothing but the standard library and the format's definition."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

SECRET = bytes(range(32, 64))
OTHER_SECRET = bytes(range(64, 96))
ZEROS = bytes(32)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def derive(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with the salt of this library, 32 bytes."""
    return _hmac(_hmac(b"sigil-dna/v1", secret), info + b"\x01")


def spelled(tag: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(tag).decode().rstrip("=")


def key_id_of(secret: bytes) -> str:
    """The id that a begin line names."""
    return derive(secret, b"audit-key-id")[:4].hex()


def make_line(message: str, previous: bytes, secret: bytes = SECRET) -> tuple[bytes, bytes]:
    """A line of this text behind a line of this tag, and its own tag."""
    tag = _hmac(derive(secret, b"audit"), previous + message.encode())
    return f'{message},"chain":"{spelled(tag)}"}}\n'.encode(), tag


def begin_text(sequence: int, previous: bytes, secret: bytes = SECRET) -> str:
    """A begin line without members, up to its chain."""
    return (
        f'{{"seq":{sequence},"format":"sigil-audit/1","key_id":"{key_id_of(secret)}"'
        f',"previous":"{spelled(previous)}"'
    )


def make_lines(count: int, *, first: int = 1, previous: bytes = ZEROS, secret: bytes = SECRET) -> list[bytes]:
    """A begin line and others behind it."""
    line, tag = make_line(begin_text(first, previous, secret), previous, secret)
    lines = [line]
    for sequence in range(first + 1, first + count):
        line, tag = make_line(f'{{"seq":{sequence},"event":"e{sequence % 7}","tenant":"ä"', tag, secret)
        lines.append(line)
    return lines


def tag_of(line: bytes) -> bytes:
    """The tag at the end of a line."""
    return base64.urlsafe_b64decode(json.loads(line)["chain"] + "=")


def check(
    library: SimpleNamespace,
    *files: bytes,
    block: int = 1 << 20,
    secrets: Iterable[bytes] = (SECRET,),
    **options: Any,
) -> Any:
    """A verifier that went over files, and each fault that it found with the number of its file."""
    verifier = library.AuditVerifier(list(secrets), **options)
    found = []
    for number, file in enumerate(files):
        faults = verifier.next_file() if number else []
        found += [(fault, number - 1) for fault in faults]
        for start in range(0, len(file), block):
            found += [(fault, number) for fault in verifier.feed(file[start : start + block])]
    found += [(fault, len(files) - 1) for fault in verifier.finish()]
    return SimpleNamespace(verifier=verifier, faults=found)


def named(library: SimpleNamespace, lines: Iterable[bytes], **options: Any) -> list[tuple[str, int]]:
    """Kind and line of each fault of one file."""
    return [(fault.kind, fault.line) for fault, _ in check(library, b"".join(lines), **options).faults]
