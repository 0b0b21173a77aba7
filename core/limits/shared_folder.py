"""Where the workers of a host share the tables of their rate limits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: Memory that looks like a folder.
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every folder that is made in it is private
_PREFIX: Final = "sigil-rates-"
_LOCK: Final = "lock"


class SharedFolderError(Exception):
    """There is no folder for the tables. The message says why."""


def kept_folder(folder: Path) -> Path:
    """The folder itself, in which tables outlive the service and may be another service's too.

    Raises:
        SharedFolderError: it cannot be made, or others than this user can write to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise SharedFolderError(f"the folder cannot be used: {error.strerror}") from None
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SharedFolderError("the folder must be the service's user's, and writable for nobody else")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SharedFolderError("the folder cannot be written to")
    return folder


@contextlib.contextmanager
def private_folder(place: Path | None) -> Iterator[Path]:
    """A new folder with mode 0700, for as long as the context lasts.

    It is in shared memory unless a place is named. What services left there that were killed is removed: a
    folder whose lock nobody holds. Forked workers hold their parent's.

    Raises:
        SharedFolderError: none can be made.
    """
    place = place or _SHARED_MEMORY
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(place)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = _locked(folder)
    except OSError as error:
        raise SharedFolderError(f"no folder can be made: {error.strerror}") from None
    owner = os.getpid()
    try:
        yield folder
    finally:
        # A forked worker leaves this context too.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    """The lock of a new folder, which has its name when it is held: a sweep may look at any moment."""
    new = folder / "new"
    lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(folder / _LOCK)
    return lock


def _sweep(place: Path) -> None:
    for left in place.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            lock = os.open(left / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
