"""Files that hold secrets, for their owner alone."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MODE: Final = 0o600
_OTHERS: Final = 0o077


class PrivateFileError(Exception):
    """A file with a secret is open to others, or damaged."""


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The contents of a private file, which is made where it is missing.

    Raises:
        PrivateFileError: others may read or change it.
        OSError: it cannot be read or made.
    """
    make_if_missing(path, make)
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise PrivateFileError(f"{path} is open to others; chmod 600 it")
    return path.read_bytes()


def make_if_missing(path: Path, make: Callable[[], bytes]) -> None:
    """Make a private file where nothing is, whole or not at all; what is there is not looked at.

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = _draft(path, make())
        try:
            # Linked into place when complete: a start that dies half-way, or two at once, do no harm.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a private file anew, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    _draft(path, content).replace(path)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
