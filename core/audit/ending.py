"""Reading the two ends of an audit log: what its writers need to go on."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from core.errors import AuditUnavailableError
from sigil_native import AuditFormatError, AuditLine, read_audit_line

_BLOCK: Final = 64 << 10
#: More than a group of lines has, of which a crash may have torn the last or left nothing but zeros.
_LONGEST_TORN: Final = 64 << 20
_FIRST_BYTES: Final = b'{"seq":'


class Ending(NamedTuple):
    """The size of a file's whole lines, and how many bytes of a torn one were cut off behind them."""

    size: int
    torn: int


def is_audit_log(descriptor: int) -> bool:
    """Whether the file is empty or begins as an audit log does. Nothing else may be written to."""
    head = os.pread(descriptor, _BLOCK, 0)
    line, newline, _ = head.partition(b"\n")
    if not newline:
        # A first line that was torn.
        return head.startswith(_FIRST_BYTES) or _FIRST_BYTES.startswith(head)
    try:
        return read_audit_line(line + newline).previous is not None
    except AuditFormatError:
        return False


def cut_to_whole_lines(descriptor: int) -> Ending:
    """Cut off what a writer left that died in the middle of a line: nobody was told that it is there."""
    size = os.fstat(descriptor).st_size
    whole = _end_of_whole_lines(descriptor, size)
    if whole < size:
        os.ftruncate(descriptor, whole)
    return Ending(whole, size - whole)


def last_line(descriptor: int, size: int) -> AuditLine | None:
    """The last line of a file of whole lines; None if it is none of an audit log."""
    beginning = max(0, size - 1 - _BLOCK)
    text = os.pread(descriptor, size - beginning, beginning)
    line = text[text.rfind(b"\n", 0, len(text) - 1) + 1 :]
    try:
        return read_audit_line(line)
    except AuditFormatError:
        return None


def _end_of_whole_lines(descriptor: int, size: int) -> int:
    if os.pread(descriptor, 1, size - 1 if size else 0) in {b"", b"\n"}:
        return size
    end = size
    while end > 0 and size - end < _LONGEST_TORN:
        beginning = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - beginning, beginning).rfind(b"\n")
        if newline >= 0:
            return beginning + newline + 1
        end = beginning
    if end > 0:
        raise AuditUnavailableError("damaged", retry_after=30)
    return 0
