"""Telling that files have changed without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def fingerprint(paths: Iterable[Path]) -> bytes:
    """What differs once one of the files has been written, replaced, moved or taken away.

    The target that a path leads to is part of it, as Kubernetes changes files by turning a link. So is
    the time of the last change of owner or mode, which may have made a file readable. A file that
    is missing or cannot be reached has a fingerprint too: this never raises OSError.
    """
    return "\n".join(_of_one(path) for path in paths).encode("utf-8", "surrogateescape")


def _of_one(path: Path) -> str:
    target = os.fspath(path)
    try:
        target = os.path.realpath(target)  # fails where the working folder is gone
        status = os.stat(target)  # noqa: PTH116 - realpath, unlike Path.resolve, takes links that go round
    except OSError as error:
        return f"{target}\0{error.errno}"
    seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"{target}\0{seen}"
