"""Tables of token buckets that processes share: the file, who may use it, and what survives."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sigil_native import _bucket_memory
from sigil_native._bucket import TokenBucket
from sigil_native._pure.bucket import TokenBucket as PureBucket
from sigil_native.errors import BucketFileError, InvalidOptionError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a table may be made."""
    return tmp_path / "table.buckets"


def shared(path: Path, rate: float = 1, burst: int = 10, **options: Any) -> TokenBucket:
    """A small table in a file, whose clock stands still."""
    return TokenBucket(rate, burst, path=path, **{"capacity": 100, "clock": lambda: 1000, **options})


def problem_of(call: Callable[[], object]) -> str:
    """What is said to be wrong with a file."""
    with pytest.raises(BucketFileError) as caught:
        call()
    assert str(caught.value)
    assert caught.value.code == "bucket_file"
    return caught.value.problem


def test_a_file_is_one_limit(path: Path) -> None:
    """All who name a file share its buckets, and it survives them."""
    one, other = shared(path), shared(str(path))  # type: ignore[arg-type]
    assert sum(bucket.acquire("a") for _ in range(10) for bucket in (one, other)) == 10
    del one, other
    assert not shared(path).acquire("a")
    assert shared(path).acquire("b")


def test_fresh_buckets(path: Path) -> None:
    """Who asks for fresh buckets gets full ones, and so do all others that share them."""
    first = shared(path)
    assert first.acquire("a", 10)
    second = shared(path, fresh=True)
    assert first.acquire("a", 4)
    assert second.acquire("a", 6)
    assert not first.acquire("a")
    assert first.full == 0


def test_the_file_is_private_and_has_its_whole_size(path: Path) -> None:
    """Nobody else may read it or write to it, and no page has to be found later."""
    old = os.umask(0)
    try:
        shared(path)
    finally:
        os.umask(old)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == 4096 + 16 * (2 * 100 + 128)
    assert status.st_blocks * 512 >= status.st_size


@pytest.mark.parametrize(
    "options",
    [{"rate": 2}, {"burst": 11}, {"capacity": 101}, {"when_full": "allow"}],
    ids=lambda options: next(iter(options)),
)
def test_other_parameters_are_refused(path: Path, options: dict[str, Any]) -> None:
    """Buckets of another kind do not mix; asked for, they replace what is there."""
    before = shared(path)
    assert before.acquire("a", 10)
    assert problem_of(lambda: shared(path, **options)) == "parameters"
    assert not shared(path).acquire("a")
    replaced = shared(path, fresh=True, **options)
    assert replaced.acquire("a", 10)
    assert not before.acquire("a")
    assert not shared(path, **options).acquire("a", 10)


def test_files_of_others_are_left_alone(path: Path) -> None:
    """What is no table is never written to, asked for fresh or not."""
    for content in (b"x", b"SIGILTB", b"SQLite format 3\0" * 1000, b"\0" * 100 + b"x"):
        path.write_bytes(content)
        path.chmod(0o600)
        for fresh in (False, True):
            assert problem_of(lambda fresh=fresh: shared(path, fresh=fresh)) == "foreign"  # type: ignore[misc]
        assert path.read_bytes() == content


def test_files_that_others_can_use_are_refused(path: Path) -> None:
    """A table that somebody else could change would limit nobody."""
    shared(path)
    for mode in (0o640, 0o620, 0o604, 0o602):
        path.chmod(mode)
        assert problem_of(lambda: shared(path)) == "open_to_others"
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        assert problem_of(lambda: shared(path)) == "open_to_others"


def test_what_is_no_file_is_refused(tmp_path: Path, path: Path) -> None:
    """Links, folders, pipes and missing folders are errors at once, and nothing waits."""
    shared(path)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert problem_of(lambda: shared(tmp_path / "pipe")) == "foreign"
    for place in (tmp_path / "link", tmp_path, tmp_path / "missing" / "table"):
        with pytest.raises(OSError, match=r"Errno"):
            shared(place)


def test_versions_and_damage(path: Path) -> None:
    """A file of another version, or of another size than it should have, is refused; fresh replaces it."""
    shared(path)
    content = path.read_bytes()
    path.write_bytes(content[:7] + b"\x02" + content[8:])
    assert problem_of(lambda: shared(path)) == "version"
    path.write_bytes(content[:-1])
    assert problem_of(lambda: shared(path)) == "damaged"
    assert shared(path, fresh=True).acquire("a")
    assert shared(path).acquire("a")


def test_a_maker_that_died(path: Path) -> None:
    """A file without its first page was never used: whoever comes next makes it."""
    for size in (0, 100, 4096, 10_000):
        path.write_bytes(bytes(size))
        path.chmod(0o600)
        assert shared(path).acquire("a", 10)
        assert not shared(path).acquire("a")
        path.unlink()


def test_another_boot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a boot the clock counts from elsewhere: what the file says means nothing any more."""
    assert shared(path).acquire("a", 10)
    monkeypatch.setattr(_bucket_memory, "_boot", lambda: b"b" * 36)
    assert shared(path).acquire("a", 10)
    assert not shared(path).acquire("a")
    # A clock years away, where no boot tells.
    assert shared(path, clock=lambda: 1 << 60).acquire("a", 10)


def test_opening_waits_for_nobody_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was frozen while it opened the file keeps no other from saying so."""
    shared(path)
    monkeypatch.setattr(_bucket_memory, "_LOCK_SECONDS", 0.05)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert problem_of(lambda: shared(path)) == "locked"
    assert shared(path).acquire("a")


def test_no_room(path: Path) -> None:
    """Where the whole table does not fit, making it fails, and not some request later."""
    # With a limit on a file's size, as a full file system cannot be had everywhere.
    child = multiprocessing.get_context("fork").Process(target=_make_beyond_the_limit, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == 0


def _make_beyond_the_limit(path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    try:
        shared(path, capacity=10_000)
    except OSError as error:
        os._exit(0 if error.errno and error.filename == str(path) else 1)
    os._exit(1)


def test_processes_do_not_share_memory_of_their_own() -> None:
    """A fork goes on with a copy: what it takes is not taken from its parent."""
    bucket = TokenBucket(1, 1, clock=lambda: 0)
    child = os.fork()
    if child == 0:
        os._exit(0 if bucket.acquire("a") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bucket.acquire("a")


def test_the_plain_backend_shares_nothing(path: Path) -> None:
    """A dict cannot be shared, and says so."""
    with pytest.raises(InvalidOptionError, match="compiled backend"):
        PureBucket(1, 1, path=path)


def test_the_first_page_says_what_it_holds(path: Path) -> None:
    """The layout is as it is described."""
    shared(path)
    words = struct.unpack_from("=7s1s6Qq", path.read_bytes())
    assert words[:3] == (b"SIGILTB", b"\x01", 100)
    assert words[5] == 10
    assert words[7:] == (4096 + 16 * (2 * 100 + 128), 1000)
