"""Input, whole or in blocks of complete lines, in bounded memory."""

from __future__ import annotations

import io
import os
import select
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Large enough for the library's batches. Not larger, because results can be a hundred
#: times as long as the lines they come from, and are held a block at a time.
BLOCK_SIZE: Final = 128 << 10
DEFAULT_MAX_LINE: Final = 64 << 20


class Source:
    """A file or standard input, read without another layer of buffers."""

    def __init__(self, path: str | None) -> None:
        standard = path is None or path == "-"
        self.name = "standard input" if standard else str(path)
        try:
            self._raw = io.FileIO(0, "rb", closefd=False) if standard else io.FileIO(self.name, "rb")
        except OSError as error:
            error.filename = self.name
            raise
        self._ahead = b""

    def remaining(self) -> int | None:
        """Bytes still to come, if that can be known."""
        status = os.fstat(self._raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        return max(status.st_size - self._raw.tell(), 0) + len(self._ahead)

    def read_into(self, target: memoryview) -> int:
        """Read what is there, waiting for at least a byte; 0 at the end."""
        if self._ahead:
            count = min(len(target), len(self._ahead))
            target[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        try:
            while (count := self._raw.readinto(target)) is None:
                self._wait()
        except OSError as error:
            error.filename = self.name
            raise
        return count

    def _wait(self) -> None:
        """Input that does not block, as some parents hand a pipe down: wait for it."""
        select.select([self._raw], [], [])

    def peek(self) -> bytes:
        """The next byte, left in place; empty at the end."""
        if not self._ahead:
            buffer = bytearray(1)
            self._ahead = bytes(buffer[: self.read_into(memoryview(buffer))])
        return self._ahead[:1]

    def read_up_to(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        filled = 0
        while count := self.read_into(view[filled:]):
            filled += count
        return bytes(view[:filled])

    def read_all(self) -> bytes:
        """Everything up to the end."""
        try:
            if not self._ahead and (os.name == "nt" or os.get_blocking(self._raw.fileno())):
                return self._raw.readall()
        except OSError as error:
            error.filename = self.name
            raise
        pieces = []
        while piece := self.read_up_to(BLOCK_SIZE):
            pieces.append(piece)
        return b"".join(pieces)

    def read_at_most(self, limit: int) -> bytes | None:
        """Everything up to the end; None if that is more than ``limit`` bytes."""
        pieces, size = [], 0
        while piece := self.read_up_to(min(BLOCK_SIZE, limit + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return None
        return b"".join(pieces)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()


class LongLine(NamedTuple):
    """A line beyond the limit; its bytes were read past and not kept."""

    consumed: int


def line_blocks(
    source: Source, limit: int = DEFAULT_MAX_LINE, block_size: int = BLOCK_SIZE
) -> Iterator[memoryview | LongLine]:
    """Cut a stream into blocks of complete lines.

    A block is a view of a buffer that the next one reuses; only the very last line
    of a stream may lack its newline.

    The buffer holds more than ``limit`` bytes and a newline only where these end
    with a carriage return and a newline, so no line longer than that can be complete
    in it; only such a long line makes it grow beyond ``block_size``, and it shrinks
    again afterwards. What a pipe delivers
    is passed on at once, so a slow producer's lines do not wait.
    """
    usual = min(block_size, limit + 1)
    buffer = bytearray(usual)
    filled = searched = 0
    while True:
        cut = buffer.rfind(b"\n", searched, filled) + 1
        if cut:
            yield memoryview(buffer)[:cut]
            rest = buffer[cut:filled]
            if len(buffer) > usual >= 2 * len(rest):
                buffer = bytearray(usual)
            filled = searched = len(rest)
            buffer[:filled] = rest
        elif filled == len(buffer) == limit + 1 and buffer[-1:] == b"\r":
            buffer = buffer + bytearray(1)
        elif filled == len(buffer) > limit:
            consumed, rest = _skip_line(source, buffer)
            yield LongLine(consumed)
            buffer = bytearray(usual)
            filled, searched = len(rest), 0
            buffer[:filled] = rest
            continue  # the rest may hold complete lines already
        elif filled == len(buffer):
            buffer = buffer + bytearray(min(len(buffer), limit + 1 - len(buffer)))
        searched = filled
        count = source.read_into(memoryview(buffer)[filled:])
        if not count:
            break
        filled += count
    if filled:
        yield LongLine(filled) if filled > limit else memoryview(buffer)[:filled]


def _skip_line(source: Source, buffer: bytearray) -> tuple[int, bytearray]:
    """Read past the rest of a line whose beginning fills ``buffer``.

    Returns the bytes that the line took, its newline included, and what was
    read beyond it. Reads no more at a time than an ordinary buffer can take back.
    """
    consumed = len(buffer)
    window = memoryview(buffer)[: min(len(buffer), BLOCK_SIZE)]
    while count := source.read_into(window):
        newline = buffer.find(b"\n", 0, count)
        if newline >= 0:
            return consumed + newline + 1, buffer[newline + 1 : count]
        consumed += count
    return consumed, bytearray()
