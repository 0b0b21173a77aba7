"""Where the audit log's chain stands, kept beside the log, and the lock that its writers take."""

from __future__ import annotations

import base64
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_TEXT: Final = re.compile(rb"sigil-audit ([0-9]{20}) ([0-9a-f]{8}) ([0-9]{16}) ([A-Za-z0-9_-]{43})\n")
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Position(NamedTuple):
    """The end of the chain, as its last writer left it.

    Attributes:
        inode: of the file that holds the last line.
        key_id: of the key that the last line is chained with.
        sequence: the last line's number.
        tag: of the last line, 32 bytes.
    """

    inode: int
    key_id: int
    sequence: int
    tag: bytes

    @property
    def last(self) -> str:
        """The end of the chain as ``sigil audit verify --last`` takes it."""
        return f"{self.sequence}:{_base64url(self.tag).decode()}"


def _base64url(tag: bytes) -> bytes:
    return base64.urlsafe_b64encode(tag).rstrip(b"=")


class PositionFile:
    """The file ``<log>.lock``: whoever writes the log holds its lock, and leaves the position in it.

    It makes a cut tail of the log visible, and lets a new file go on where the one before ended. It
    proves nothing: whoever can write the log can write this too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        #: Of the file that is open.
        self._identity = (-1, -1)
        #: What was written last, and its text.
        self._written: Position | None = None
        self._text = b""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; waits for other processes.

        Raises:
            OSError: the file cannot be opened.
        """
        while True:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, _FLAGS, 0o600)
                opened = os.fstat(self._descriptor)
                self._identity = (opened.st_dev, opened.st_ino)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Somebody may have taken the file away: a lock on it would exclude nobody.
            if self._is_in_place():
                break
            self.close()
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> Position | None:
        """What the last writer left; None in a new file, or a damaged one. Hold the lock."""
        text = os.pread(self._descriptor, 128, 0)
        if text == self._text:
            return self._written
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        inode, key_id, sequence, tag = match.groups()
        return Position(int(inode), int(key_id, 16), int(sequence), base64.urlsafe_b64decode(tag + b"="))

    def write(self, position: Position) -> None:
        """Leave a position. Hold the lock.

        Always of one size and in one place, so that it needs no room on a full disk.

        Raises:
            OSError: it is not there.
        """
        inode, key_id, sequence, tag = position
        text = b"sigil-audit %020d %08x %016d %s\n" % (inode, key_id, sequence, _base64url(tag))
        os.pwrite(self._descriptor, text, 0)
        self._written, self._text = position, text

    def close(self) -> None:
        """Close the file; the next ``locked`` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_in_place(self) -> bool:
        try:
            named = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - for each group of lines
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == self._identity
