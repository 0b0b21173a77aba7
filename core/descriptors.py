"""File descriptors: how many connections the process can hold and still open its files."""

from __future__ import annotations

import resource
from typing import Final

#: Kept for the database, the logs, the key provider, and connections that have come but not been counted.
RESERVED: Final = 384
#: Without a setting. More idle connections than these are a flood, or want a setting of their own.
_DEFAULT: Final = 16_384


def most_connections() -> int:
    """As many as the limit of open files leaves room for; less than one if it leaves none."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 20) if hard == resource.RLIM_INFINITY else hard - RESERVED


def default_connections() -> int:
    """As many as a process holds that nobody has told how many."""
    return min(most_connections(), _DEFAULT)


def make_room(connections: int) -> None:
    """Raise the process's limit of open files as far as these connections need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
