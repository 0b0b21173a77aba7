"""Where the workers of a host share the tables of their rate limits."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.private_folders import PrivateFolder

_PREFIX: Final = "sigil-rates-"


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
    """A new folder with mode 0700, for as long as the context lasts: see ``PrivateFolder``.

    Raises:
        SharedFolderError: none can be made.
    """
    try:
        folder = PrivateFolder(_PREFIX, place)
    except OSError as error:
        raise SharedFolderError(f"no folder can be made: {error.strerror}") from None
    try:
        yield folder.path
    finally:
        folder.remove()
