"""The folders of shared tables: private, and never left behind for long."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from core.limits.shared_folder import SharedFolderError, kept_folder, private_folder


def test_private_folder(tmp_path: Path) -> None:
    """It is closed to others while it is used, and gone afterwards; each service has its own."""
    with private_folder(tmp_path / "new") as one, private_folder(tmp_path / "new") as two:
        assert one != two
        assert one.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "new").iterdir())
    with private_folder(None) as folder:
        assert folder.parent.name == "shm"


def _die_inside(place: Path) -> None:
    with private_folder(place) as folder:
        (folder / "table").write_bytes(b"x")
        os._exit(1)


def test_what_a_killed_service_leaves(tmp_path: Path) -> None:
    """The next service removes it, and neither what is in use nor what is somebody else's."""
    killed = multiprocessing.get_context("forkserver").Process(target=_die_inside, args=(tmp_path,))
    killed.start()
    killed.join(30)
    (left,) = tmp_path.iterdir()
    (tmp_path / "other").mkdir()
    with private_folder(tmp_path) as one:
        assert not left.exists()
        with private_folder(tmp_path):
            assert one.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_stop_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays of a folder whose lock has no name yet: nobody would find it."""

    def stopped(_number: int, _frame: object) -> None:
        raise SystemExit

    def lock(*_: object) -> None:
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stopped)
    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(SystemExit), private_folder(tmp_path):
        pass
    signal.signal(signal.SIGUSR1, before)
    assert not list(tmp_path.iterdir())


def test_a_forked_worker_removes_nothing(tmp_path: Path) -> None:
    """Only the process that made it removes it."""
    with private_folder(tmp_path) as folder:
        pid = os.fork()
        if pid == 0:
            try:
                with private_folder(tmp_path):  # sweeps
                    pass
            finally:
                os._exit(0 if folder.exists() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert folder.exists()


def test_kept_folder(tmp_path: Path) -> None:
    """It is made if need be; one that others can write to is refused, and what is no folder."""
    assert kept_folder(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    for place in ("file", "open"):
        with pytest.raises(SharedFolderError):
            kept_folder(tmp_path / place)


def test_no_room_for_a_folder(tmp_path: Path) -> None:
    """A place where no folder can be made is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(SharedFolderError), private_folder(tmp_path / "file"):
        pass
