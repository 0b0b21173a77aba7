"""Changes to a key ring file, one after the other, for the commands that make them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from sigil_native import KeyRing
from sigil_native._keyfile import KeyEntry, read_key_ring_file, require_plain_file, write_key_ring_file
from sigil_native.errors import DuplicateKeyError, NoSuchKeyError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_SECRET_SIZE: Final = 32


def change_key_ring_file(path: str, change: Callable[[list[KeyEntry]], Iterable[KeyEntry]]) -> None:
    """Put what ``change`` makes of a file's keys in their place, in one step.

    Changes at the same time wait for each other; each starts from the result of the one before. A link
    stays a link.

    Raises:
        KeyRingFormatError: the file breaks its format, or would; or is no plain file.
        OSError: it cannot be read or written.
        Whatever ``change`` raises; the file is then as it was.
    """
    require_plain_file(path)
    with _locked(path):
        entries = change(read_key_ring_file(path))
        write_key_ring_file(os.path.realpath(path), entries, replace=True)


def fresh_secret() -> bytes:
    """A new secret."""
    return os.urandom(_SECRET_SIZE)


def id_of(entry: KeyEntry) -> int:
    """The id that the key's secret gives it."""
    return KeyRing().add(entry.secret)


def ring_of(entries: Iterable[KeyEntry]) -> KeyRing:
    """The ring that a file's keys make.

    Raises:
        DuplicateKeyError: two keys have one id.
    """
    ring = KeyRing()
    for entry in entries:
        ring.add(entry.secret, entry.state, entry.not_before, entry.retire_at)
    return ring


def with_fresh_key(entries: Sequence[KeyEntry]) -> tuple[list[KeyEntry], int]:
    """The keys and one more, which only verifies; and its id."""
    ring = ring_of(entries)
    while True:
        entry = KeyEntry(fresh_secret(), "verify-only")
        try:
            return [*entries, entry], ring.add(entry.secret)
        except DuplicateKeyError:  # 32 bits of id can meet by chance
            continue


def activated(
    entries: Sequence[KeyEntry], key_id: int, *, retire_previous_at: float | None = None
) -> list[KeyEntry]:
    """The keys, where this one signs; those that signed before only verify, as with ``KeyRing.rotate``.

    Args:
        entries: the keys.
        key_id: which of them shall sign.
        retire_previous_at: until when those that signed before verify, unless they cease earlier.

    Raises:
        NoSuchKeyError: none of them has this id.
    """
    others = [_stand_down(entry, retire_previous_at) for entry in entries]
    place = _place(entries, key_id)
    others[place] = entries[place]._replace(state="active")
    return others


def replaced(
    entries: Sequence[KeyEntry], key_id: int, change: Callable[[KeyEntry], KeyEntry | None]
) -> list[KeyEntry]:
    """The keys, with what ``change`` makes of one of them in its place; None takes it away.

    Raises:
        NoSuchKeyError: none of them has this id.
    """
    place = _place(entries, key_id)
    made = change(entries[place])
    return [*entries[:place], *([] if made is None else [made]), *entries[place + 1 :]]


def _place(entries: Sequence[KeyEntry], key_id: int) -> int:
    for place, entry in enumerate(entries):
        if id_of(entry) == key_id:
            return place
    raise NoSuchKeyError(f"the ring holds no key {key_id:08x}")


def _stand_down(entry: KeyEntry, retire_at: float | None) -> KeyEntry:
    if entry.state != "active":
        return entry
    if retire_at is None or (entry.retire_at is not None and entry.retire_at < retire_at):
        retire_at = entry.retire_at
    return entry._replace(state="verify-only", retire_at=retire_at)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    while True:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The file may have been replaced while this waited for its lock.
            if os.fstat(descriptor).st_ino == Path(path).stat().st_ino:
                yield
                return
        finally:
            os.close(descriptor)
