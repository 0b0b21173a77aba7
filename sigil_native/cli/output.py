"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    are written to directly; a link is followed.
    """
    if path is None or path == "-":
        return Output(io.FileIO(1, "wb", closefd=False), "standard output")
    destination = Path(os.path.realpath(path))
    if destination.exists() and not destination.is_file():
        return Output(io.FileIO(destination, "wb"), path)
    return _AtomicOutput(destination)


def json_line(fields: Mapping[str, object]) -> bytes:
    """One compact JSON object and a newline."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def table(rows: Mapping[str, object]) -> bytes:
    """Names and values, a line each, the values aligned."""
    width = max(map(len, rows))
    return "".join(f"{name:<{width}}  {value}\n" for name, value in rows.items()).encode()


def printable(text: str) -> str:
    """A name that cannot move a terminal's cursor."""
    return text if text.isprintable() else ascii(text)


def complain(message: str) -> None:
    """One line on standard error; nothing if there is none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"sigil: {message}\n")
        sys.stderr.flush()
