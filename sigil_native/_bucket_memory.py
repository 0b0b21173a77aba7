"""Where a table of token buckets lies: memory of this process, or a file that processes share.

A file begins with a page that says what it holds; then come the entries::

    magic    8 bytes  "SIGILTB" and the version
    7 words           capacity, multiplier, token, burst, policy, size of the file, epoch of the clock
    key      16 bytes of the keyed hash
    boot     36 bytes the boot that the clock counts from

It is written last, and under a lock (``flock``) that only opening takes: a process that dies on the way
leaves a file that the next one begins again. Numbers are in the machine's order: the file never leaves it.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import time
from collections import namedtuple
from contextlib import contextmanager, suppress
from pathlib import Path

from sigil_native.errors import BucketFileError

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, NamedTuple

    class Layout(NamedTuple):
        """What a table is like; tables of different layouts cannot be shared."""

        capacity: int
        multiplier: int
        token: int
        burst: int
        allows_when_full: int
        size: int

    class Memory(NamedTuple):
        """A table's memory, the epoch of its clock, and the key of its hash."""

        map: mmap.mmap
        epoch: int
        hash_key: bytes

else:
    Layout = namedtuple("Layout", "capacity multiplier token burst allows_when_full size")
    Memory = namedtuple("Memory", "map epoch hash_key")

#: Bytes before the entries.
HEADER_SIZE: Final = 4096
#: Where the number of reservations is in them: on a line of its own, beyond what is described above.
STAMPS_OFFSET: Final = 2048

_VERSION: Final = b"\x01"
_MAGIC: Final = b"SIGILTB"
_HEADER: Final = struct.Struct("=7sc6Qq16s36s")
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
#: A clock this far from the epoch of a table is another clock: 4 years, in nanoseconds.
_STALE: Final = 1 << 57
#: What is wrong with files that were ours, and may go when others are wanted.
_REPLACEABLE: Final = ("version", "parameters", "damaged")
_LOCK_SECONDS: Final = 10.0
_CHUNK: Final = 1 << 20


def process_memory(layout: Layout, now: int) -> Memory:
    """Memory of this process alone. The system gives its pages when they are first used."""
    return Memory(mmap.mmap(-1, layout.size, **_PRIVATE), now, os.urandom(16))


_PRIVATE: Final[dict[str, int]] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)


def shared_memory(path: str | os.PathLike[str], layout: Layout, now: int, *, fresh: bool) -> Memory:
    """A file that all processes which name it share. It takes its whole size at once: none lacks it later.

    Args:
        path: best in ``/dev/shm``; made with mode 0600 if there is none.
        layout: what the file must hold.
        now: the clock.
        fresh: whether to begin anew with what the file holds, whatever that is.

    Raises:
        BucketFileError: the file holds something else, or others can use it.
        OSError: it cannot be made, or there is no room.
    """
    while True:
        with _locked(path) as descriptor:
            if descriptor is None:
                continue
            try:
                found = _examine(descriptor, layout)
            except BucketFileError as error:
                if not fresh or error.problem not in _REPLACEABLE:
                    raise
                Path(path).unlink()  # who has it open keeps what it has
                continue
            if found is None:
                return _begin(path, descriptor, layout, now)
            epoch, key, boot = found
            if boot != _boot() or abs(now - epoch) > _STALE:
                return _begin(path, descriptor, layout, now)
            memory = mmap.mmap(descriptor, layout.size)
            if fresh:
                _clear(memory)
            return Memory(memory, epoch, key)


@contextmanager
def _locked(path: str | os.PathLike[str]) -> Iterator[int | None]:
    """The file, made if need be, while nobody else opens it; None if it was replaced meanwhile."""
    try:
        import fcntl  # noqa: PLC0415 - not on every platform
    except ImportError:
        raise BucketFileError("unsupported") from None
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BucketFileError("locked") from None
                time.sleep(0.005)
        try:
            with suppress(FileNotFoundError):
                if os.path.samestat(Path(path).stat(), os.fstat(descriptor)):
                    yield descriptor
                    return
            yield None
        finally:
            # A mapping keeps a descriptor of the same open file, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _examine(descriptor: int, layout: Layout) -> tuple[int, bytes, bytes] | None:
    """Epoch, key and boot of a table; None where there is none yet.

    Raises:
        BucketFileError: the file is not the caller's, or holds something else.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise BucketFileError("foreign")
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise BucketFileError("open_to_others")
    header = os.pread(descriptor, HEADER_SIZE, 0)
    if not any(header):  # new, or whoever made it did not get to the end
        return None
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise BucketFileError("foreign")
    _, version, *found, epoch, key, boot = _HEADER.unpack_from(header)
    if version != _VERSION:
        raise BucketFileError("version")
    if Layout(*found) != layout:
        raise BucketFileError("parameters")
    if status.st_size != layout.size:
        raise BucketFileError("damaged")
    return epoch, key, boot


def _begin(path: str | os.PathLike[str], descriptor: int, layout: Layout, now: int) -> Memory:
    """Make a table of full buckets. Nobody uses the file yet: it is new, or from before the last boot."""
    if os.fstat(descriptor).st_size != layout.size:
        os.ftruncate(descriptor, 0)
    try:
        _allocate(descriptor, layout.size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    memory = mmap.mmap(descriptor, layout.size)
    _clear(memory)
    key = os.urandom(16)
    memory[: _HEADER.size] = _HEADER.pack(_MAGIC, _VERSION, *layout, now, key, _boot())
    return Memory(memory, now, key)


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _clear(memory: mmap.mmap) -> None:
    """Make all buckets full."""
    for start in range(STAMPS_OFFSET, len(memory), _CHUNK):
        end = min(start + _CHUNK, len(memory))
        memory[start:end] = bytes(end - start)


def _boot() -> bytes:
    """The boot that the monotonic clock counts from, where the system tells."""
    try:
        return Path(_BOOT_ID).read_bytes()[:36].ljust(36, b"\0")
    except OSError:
        return bytes(36)
