"""The reloader on real files: what it takes up, what it leaves, and what it says."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.server.reloading import Reloaded, Reloader, ReloadRefusedError
from core.audit.interface import AuditEvent, NoAudit
from core.fingerprints import fingerprint


class Notes(NoAudit):
    """An audit log in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def note(self, event: AuditEvent, **members: str | int | bool | None) -> None:
        """Keep the line."""
        self.lines.append((event, members))


class Word:
    """A word from a file; it is good if it ends with a full stop."""

    name = "word"
    changed_event: AuditEvent = "keys.changed"
    refused_event: AuditEvent = "keys.refused"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used = path.read_text()
        self.looks = 0
        self.reloads = 0

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        self.looks += 1
        return fingerprint([self.path])

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        try:
            word = self.path.read_text()
            if word == "defect.":
                raise ZeroDivisionError(word)
            if not word.endswith("."):
                raise ReloadRefusedError("format", "no full stop")
            before, self.used = self.used, word
            return Reloaded(word != before, {"length": str(len(word))}, {"from": before})
        except OSError as error:
            raise ReloadRefusedError("unreadable", str(error.strerror)) from None
        finally:
            self.reloads += 1


@pytest.fixture
def word(tmp_path: Path) -> Word:
    """A good word in a file."""
    path = tmp_path / "word"
    path.write_text("one.")
    return Word(path)


@pytest.fixture
def notes() -> Notes:
    """What was audited."""
    return Notes()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what must come to be."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - files have no events
            await asyncio.sleep(0.001)


async def looked(word: Word) -> None:
    """Wait for so many looks that a change made before has been taken up, or refused."""
    enough = word.looks + 4
    await until(lambda: word.looks >= enough)


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """Leave SIGHUP as it was."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@asynccontextmanager
async def reloading(
    word: Word, notes: Notes, interval: float = 0.005, patience: float = 30
) -> AsyncIterator[Reloader]:
    """A reloader at work, past its first reload."""
    reloader = Reloader([word], notes, interval=interval, patience=patience)
    async with reloader.at_work():
        assert word.reloads > 0
        yield reloader


# Each of these changes is one step: between two of them a look could fall.


def in_place(path: Path) -> None:
    """Written over."""
    with path.open("r+b", buffering=0) as file:
        file.write(b"two.")


def put(path: Path, content: str) -> None:
    """Rename a file with this content into place."""
    other = path.with_name("other")
    other.write_text(content)
    other.replace(path)


def replaced(path: Path) -> None:
    """Renamed into place."""
    put(path, "two.")


def backdated(path: Path) -> None:
    """Put back from a backup that keeps times, or written under a clock that went backwards."""
    other = path.with_name("other")
    other.write_text("two.")
    os.utime(other, (1, 1))
    other.replace(path)


def link(path: Path, target: str) -> None:
    """Have a link in the place of whatever is there."""
    new = path.with_name("new")
    new.symlink_to(target)
    new.replace(path)


def turned_link(path: Path) -> None:
    """Changed as Kubernetes does: the link to the folder of the data turns to another."""
    for version in ("one", "two"):
        (path.parent / version).mkdir()
        (path.parent / version / "word").write_text(f"{version}.")
    link(path.parent / "data", "one")
    link(path, "data/word")
    link(path.parent / "data", "two")


@pytest.mark.parametrize("change", [in_place, replaced, backdated, turned_link])
async def test_changed_file_is_taken_up(word: Word, notes: Notes, change: Callable[[Path], None]) -> None:
    """However a file comes to hold something else, that is in use soon, and noted once."""
    with capture_logs() as logs:
        async with reloading(word, notes):
            change(word.path)
            await until(lambda: word.used == "two.")
            await looked(word)
    assert notes.lines == [("keys.changed", {"from": "one."})]
    assert logs[-1] == {
        "event": "word changed",
        "log_level": "info",
        "pid": os.getpid(),
        "length": "4",
    }


class SlowlyWritten(Word):
    """A word whose writer is half-way at one look and goes on before the next."""

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        seen = super().fingerprint()
        if self.path.read_text() == "tw":
            with self.path.open("a") as file:
                file.write("o.")
        return seen


async def test_half_written_file(word: Word, notes: Notes) -> None:
    """A file that is being written is left alone until it stands still."""
    slow = SlowlyWritten(word.path)
    async with reloading(slow, notes):
        put(word.path, "tw")
        await until(lambda: bool(notes.lines))
        assert slow.used == "two."
    assert notes.lines == [("keys.changed", {"from": "one."})]


async def test_change_before_the_first_look(word: Word, notes: Notes) -> None:
    """What changed between the service's own reading and the first look is not missed."""
    in_place(word.path)
    with capture_logs() as logs:
        async with reloading(word, notes, interval=0):
            assert word.used == "two."
            await until(lambda: bool(logs))
    assert [line["event"] for line in logs] == ["word changed"]


def truncated(path: Path) -> str:
    """Cut off."""
    os.truncate(path, 2)
    return "format"


def removed(path: Path) -> str:
    """Taken away."""
    path.unlink()
    return "unreadable"


def folder(path: Path) -> str:
    """A folder in its place."""
    link(path, str(path.parent))
    return "unreadable"


def circle(path: Path) -> str:
    """A link that leads to itself."""
    link(path, path.name)
    return "unreadable"


def defect(path: Path) -> str:
    """Content on which the code fails."""
    put(path, "defect.")
    return "internal"


@pytest.mark.parametrize("spoil", [truncated, removed, folder, circle, defect])
async def test_bad_file_changes_nothing(word: Word, notes: Notes, spoil: Callable[[Path], str]) -> None:
    """What cannot be used leaves what is in use alone, is complained about once, and heals."""
    with capture_logs() as logs:
        async with reloading(word, notes) as reloader:
            reason = spoil(word.path)
            await until(lambda: bool(notes.lines))
            await looked(word)
            assert word.used == "one."
            assert notes.lines == [("keys.refused", {"reason": reason})]
            assert [line["event"] for line in logs] == ["word loaded", "word refused"]
            assert "defect." not in str(logs)
            before = word.reloads
            reloader.request()
            await until(lambda: word.reloads > before and len(logs) == 3)
            replaced(word.path)
            await until(lambda: word.used == "two.")
            await looked(word)
    assert [line["event"] for line in logs[2:]] == ["word refused", "word changed"]
    assert [event for event, _ in notes.lines] == ["keys.refused", "keys.changed"]


async def test_back_to_what_is_in_use(word: Word, notes: Notes) -> None:
    """A bad file that becomes the old one again is said to be good again, and is no change."""
    with capture_logs() as logs:
        async with reloading(word, notes):
            truncated(word.path)
            await until(lambda: bool(notes.lines))
            put(word.path, "one.")
            await until(lambda: logs[-1]["event"] == "word good again")
    assert [event for event, _ in notes.lines] == ["keys.refused"]


async def test_each_bad_content_is_complained_about(word: Word, notes: Notes) -> None:
    """Another bad file is another complaint."""
    with capture_logs() as logs:
        async with reloading(word, notes):
            for count in (1, 2, 3):
                put(word.path, "bad" * count)
                await until(lambda count=count: len(notes.lines) == count)  # type: ignore[misc]
                await looked(word)
    assert [line["event"] for line in logs] == ["word loaded", *["word refused"] * 3]


async def test_trouble_that_leaves_no_mark_on_the_file(
    word: Word, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be read for another reason than itself is read when that has passed."""
    read = Path.read_text
    broken = True

    def sometimes(path: Path) -> str:
        if broken:
            raise OSError(24, "Too many open files")
        return read(path)

    monkeypatch.setattr(Path, "read_text", sometimes)
    async with reloading(word, notes):
        in_place(word.path)
        await until(lambda: bool(notes.lines))
        await looked(word)
        assert len(notes.lines) <= 2  # for the old file, and for the new one
        broken = False
        await until(lambda: word.used == "two.")


async def test_request_alone(word: Word, notes: Notes) -> None:
    """With an interval of 0 nothing is taken up unasked; a request is answered in the log each time."""
    with capture_logs() as logs:
        async with reloading(word, notes, interval=0) as reloader:
            in_place(word.path)
            await asyncio.sleep(0.05)
            assert (word.used, word.looks) == ("one.", 1)
            reloader.request()
            await until(lambda: word.used == "two.")
            reloader.request()
            await until(lambda: len(logs) == 3)
    assert [line["event"] for line in logs] == ["word loaded", "word changed", "word unchanged"]


async def test_request_before_the_loop_serves(word: Word, notes: Notes) -> None:
    """A request made before the reloader runs is not lost."""
    reloader = Reloader([word], notes, interval=0)
    reloader.request()
    async with reloader.at_work():
        await until(lambda: word.reloads == 2)


class WrittenWhileRead(Word):
    """A word whose file is written over right after it was read, within a tick of the file's clock."""

    def fingerprint(self) -> bytes:
        """As if the file's times could not tell the two contents apart."""
        super().fingerprint()
        return b"changed" if self.reloads else b"first"

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        done = super().reload()
        if self.reloads == 2:
            in_place(self.path)
        return done


async def test_written_while_read(word: Word, notes: Notes) -> None:
    """A second write with the fingerprint of the first is taken up as well."""
    quick = WrittenWhileRead(word.path)
    reloader = Reloader([quick], notes, interval=0.005)
    reloader.request()
    async with reloader.at_work():
        await until(lambda: quick.used == "two.")


async def test_at_work(word: Word, notes: Notes) -> None:
    """What changed is in use before anything is served; SIGHUP is a request, and afterwards nothing."""
    in_place(word.path)
    async with Reloader([word], notes, interval=0).at_work():
        assert word.used == "two."
        word.path.write_text("three.")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: word.used == "three.")
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


async def test_files_that_hang(word: Word, notes: Notes) -> None:
    """Files that cannot be read to their end are complained about once, and taken up when they can."""
    async with reloading(word, notes, patience=0.05):
        word.path.unlink()
        os.mkfifo(word.path)
        await until(lambda: bool(notes.lines))
        assert notes.lines == [("keys.refused", {"reason": "hangs"})]
        assert word.used == "one."
        await asyncio.to_thread(word.path.write_text, "two.")
        await until(lambda: word.used == "two.")
        word.path.unlink()


async def test_files_that_hang_hold_up_no_others(tmp_path: Path, notes: Notes) -> None:
    """While one file hangs, others are still taken up."""
    paths = [tmp_path / "hangs", tmp_path / "fine"]
    for path in paths:
        path.write_text("one.")
    hangs, fine = (Word(path) for path in paths)
    reloader = Reloader([hangs, fine], notes, interval=0.005, patience=0.05)
    async with reloader.at_work():
        hangs.path.unlink()
        os.mkfifo(hangs.path)
        await until(lambda: ("keys.refused", {"reason": "hangs"}) in notes.lines)
        put(fine.path, "two.")
        await until(lambda: fine.used == "two.")
        reloader.request()
        put(fine.path, "three.")
        await until(lambda: fine.used == "three.")
    await asyncio.to_thread(hangs.path.write_text, "two.")


def test_fingerprint_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path leads nowhere when the working folder was deleted: that is a fingerprint too."""
    folder = tmp_path / "release"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert fingerprint([Path("keys.json")]) == fingerprint([Path("keys.json")])


async def test_several_are_kept_apart(tmp_path: Path, notes: Notes) -> None:
    """One reloadable whose file is bad keeps no other from changing."""
    words = []
    for name in ("a", "b"):
        (tmp_path / name).write_text("one.")
        words.append(Word(tmp_path / name))
    async with Reloader(words, notes, interval=0.005).at_work():
        truncated(words[0].path)
        in_place(words[1].path)
        await until(lambda: words[1].used == "two.")
        assert words[0].used == "one."
