"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DESCRIPTORS = re.compile(r"/dev/fd|/proc/([0-9]+)(?:/task/[0-9]+)?/fd")
_LONGEST_CHAIN = 40


class Output:
    """Unbuffered bytes to a file descriptor.

    Callers hand over large pieces. Nothing is held back, so a reader at the
    other end of a pipe sees each block as it is made and no error comes late.
    """

    def __init__(self, raw: io.FileIO, name: str) -> None:
        self._raw = raw
        self.name = name

    def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OSError: with the output's name, for example when a disk is full.
        """
        try:
            rest = memoryview(data)
            while rest:
                written = self._raw.write(rest)
                if written is None:  # not blocking, as some parents hand a pipe down
                    select.select([], [self._raw], [])
                    continue
                rest = rest[written:]
        except OSError as error:
            error.filename = self.name
            raise

    def write_document(self, data: bytes) -> None:
        """Write exactly ``data``; on a terminal a newline too, so that the prompt starts a line."""
        self.write(data + b"\n" if self._raw.isatty() else data)

    def abandon(self) -> None:
        """Leave no file behind, and an earlier one as it was."""
        with contextlib.suppress(OSError):
            self._raw.close()

    def _finish(self) -> None:
        """Make what was written visible."""
        self._raw.close()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        else:
            self.abandon()


class _AtomicOutput(Output):
    """A temporary file beside its destination, renamed over it at the end."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._temporary: Path | None = destination.with_name(
            f".{destination.name[:100]}.{os.urandom(6).hex()}.tmp"
        )
        try:
            raw = io.FileIO(self._temporary, "xb")
        except OSError as error:
            error.filename = str(destination)
            raise
        super().__init__(raw, str(destination))
        with contextlib.suppress(OSError):  # a file that is replaced keeps its mode
            self._temporary.chmod(stat.S_IMODE(destination.stat().st_mode))

    def _finish(self) -> None:
        if self._temporary is None:
            return
        try:
            self._raw.close()
            self._temporary.replace(self._destination)
        except OSError as error:
            self.abandon()
            error.filename = self.name
            raise
        self._temporary = None

    def abandon(self) -> None:
        if self._temporary is None:
            return
        super().abandon()
        with contextlib.suppress(OSError):
            self._temporary.unlink()
        self._temporary = None


def open_output(path: str | None) -> Output:
    """Open the destination of results; None or ``-`` is standard output.

    A regular file is replaced in one step when all went well. Devices and pipes
    are written to directly, and so is what names an open descriptor, such as
    ``/dev/stdout``: its file has other writers. A link is followed.
    """
    if path is None or path == "-":
        return Output(io.FileIO(1, "wb", closefd=False), "standard output")
    try:
        if (descriptor := _named_descriptor(path)) is not None:
            # Not opened anew: that would start at the beginning of the file.
            own = isinstance(descriptor, int)
            return Output(io.FileIO(descriptor, "wb" if own else "ab", closefd=not own), path)
        destination = Path(os.path.realpath(path))
        if not os.path.basename(path):  # noqa: PTH119 - Path would drop the slash at the end
            return Output(io.FileIO(path, "r+b"), path)  # the system says what is wrong with it
        if destination.exists() and not destination.is_file():
            return Output(io.FileIO(destination, "wb"), path)
    except OSError as error:
        error.filename = path
        raise
    return _AtomicOutput(destination)


def _named_descriptor(path: str) -> int | str | None:
    """The open descriptor that a path leads to, if it does.

    This process's by its number, another one's by its path in ``/proc``.
    """
    for _ in range(_LONGEST_CHAIN):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        path = os.path.join(folder, name)  # noqa: PTH118 - Path knows no magic links
        if match := _DESCRIPTORS.fullmatch(folder):
            own = match[1] in (None, str(os.getpid()))
            return int(name) if own and re.fullmatch("[0-9]{1,9}", name) else path
        try:
            path = os.path.join(folder, os.readlink(path))  # noqa: PTH115, PTH118
        except OSError:  # not a link
            break
    return None


def json_line(fields: Mapping[str, object]) -> bytes:
    """One compact JSON object and a newline."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def table(rows: Mapping[str, object]) -> bytes:
    """Names and values, a line each, the values aligned."""
    width = max(map(len, rows))
    return "".join(f"{name:<{width}}  {value}\n" for name, value in rows.items()).encode()


def printable(text: str) -> str:
    """A name that can be seen, and cannot move a terminal's cursor."""
    return text if text and text.isprintable() else ascii(text)


def complain(message: str) -> None:
    """One line on standard error; nothing if there is none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"sigil: {message}\n")
        sys.stderr.flush()
