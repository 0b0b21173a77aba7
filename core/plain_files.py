"""Reading files that settings name, without waiting for what never ends."""

from __future__ import annotations

import stat
from pathlib import Path


class PlainFileError(ValueError):
    """A file that cannot be read. The message says why, and does not name it."""


def require_plain(path: Path) -> int:
    """Refuse what is no plain file, before it is opened: a pipe is waited for even when it is gone.

    Returns:
        Its mode.

    Raises:
        PlainFileError: the path leads to a pipe, a folder or a device; or nowhere.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise PlainFileError(f"the file cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise PlainFileError("the file cannot be read: not a plain file")
    return mode


def read_plain(path: Path, *, largest: int) -> bytes:
    """The content of a plain file.

    Raises:
        PlainFileError: it cannot be read, or has more than ``largest`` bytes.
    """
    require_plain(path)
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise PlainFileError(f"the file cannot be read: {error.strerror}") from None
    if len(content) > largest:
        raise PlainFileError(f"the file is larger than {largest} bytes")
    return content
