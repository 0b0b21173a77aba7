"""The audit log's file: one chain, whatever happens to the file and whoever writes it."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from core.audit.file import AuditFile
from core.audit.position import Position
from core.errors import AuditUnavailableError
from tests.heavy import HEAVY
from tests.service.audit.audits import SECRET, faults, lines


def note(number: int) -> dict[str, Any]:
    """The members of a line."""
    return {"event": "sigil.encoded", "number": number}


def append(file: AuditFile, *numbers: int) -> str | None:
    """Write a group of lines; why a begin line stands before it, if one does."""
    return file.append([note(number) for number in numbers], sync=False).begun


def numbers(*paths: Path) -> list[int]:
    """The lines that were appended, as they stand in the files."""
    return [line["number"] for line in lines(*paths) if "number" in line]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def file(path: Path) -> Iterator[AuditFile]:
    """A process's hold on the log."""
    made = AuditFile(path, SECRET)
    yield made
    made.close()


def another(path: Path, secret: str = SECRET) -> AuditFile:
    """Another process's hold on it."""
    return AuditFile(path, secret)


def test_lines_are_chained_and_private(path: Path, file: AuditFile) -> None:
    """A new log begins with a begin line, verifies, and is closed to others."""
    assert append(file, 1, 2) == "first"
    assert append(file, 3) is None
    assert lines(path)[0]["event"] == "audit.begun"
    assert numbers(path) == [1, 2, 3]
    assert faults([path]) == []
    for name in (path, path.with_name("audit.jsonl.lock")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600


def test_several_writers_share_one_chain(path: Path, file: AuditFile) -> None:
    """Whoever writes goes on from what is there; nobody begins anew for that."""
    append(file, 1)
    other = another(path)
    assert [append(other, 2), append(file, 3), append(file, 4), append(other, 5)] == [None] * 4
    assert numbers(path) == [1, 2, 3, 4, 5]
    assert faults([path]) == []


def test_position_is_what_the_verifier_expects(path: Path, file: AuditFile) -> None:
    """The exported end of the chain is that of the last line."""
    position = file.append([note(1)], sync=True).position
    last = lines(path)[-1]
    assert position.last == f"{last['seq']}:{last['chain']}"


@pytest.mark.parametrize("create", [False, True])
def test_rotation(path: Path, file: AuditFile, create: bool) -> None:
    """After a rename the next group begins a file that follows the one before, made by us or by others."""
    append(file, 1)
    old = path.rename(path.with_suffix(".1"))
    if create:
        path.touch(mode=0o640)
    assert append(file, 2) == "rotated"
    assert append(file, 3) is None
    assert (numbers(old), numbers(path)) == ([1], [2, 3])
    assert faults([old, path]) == []
    assert faults([path]) == []


def test_rotation_that_nobody_saw(path: Path, file: AuditFile) -> None:
    """A process that starts after the rotation continues the chain of the file before."""
    append(file, 1)
    old = path.rename(path.with_suffix(".1"))
    assert append(another(path), 2) == "rotated"
    assert append(file, 3) is None
    assert faults([old, path]) == []


def test_writer_killed_before_a_rotation(path: Path, file: AuditFile) -> None:
    """Lines that nobody noted are continued from, wherever the file went within its folder."""
    append(file, 1)
    lock = path.with_name("audit.jsonl.lock")
    noted = lock.read_bytes()
    append(file, 2)
    lock.write_bytes(noted)
    with path.open("ab") as torn:
        torn.write(b'{"seq":4,"ev')
    file.close()
    old = path.rename(path.with_suffix(".1"))
    assert append(another(path), 3) == "rotated"
    assert lines(path)[0]["torn_bytes"] == 12
    assert faults([old, path]) == []


def test_writer_killed_before_it_noted_its_lines(path: Path, file: AuditFile) -> None:
    """Lines beyond the noted position are kept and continued from."""
    append(file, 1)
    lock = path.with_name("audit.jsonl.lock")
    noted = lock.read_bytes()
    append(file, 2)
    lock.write_bytes(noted)
    assert append(another(path), 3) == "resumed"
    assert numbers(path) == [1, 2, 3]
    assert faults([path]) == []


@pytest.mark.parametrize("size", [1, 20, 200_000])
@pytest.mark.parametrize("by_another", [False, True])
def test_torn_line(path: Path, file: AuditFile, size: int, by_another: bool) -> None:
    """What a writer left that died in the middle is cut off, and the next line says how much it was."""
    append(file, 1)
    with path.open("ab") as torn:
        torn.write(b'{"seq":3,"event":"'.ljust(size, b"\0")[:size])
    assert append(another(path) if by_another else file, 2) == "torn"
    assert [line["torn_bytes"] for line in lines(path) if "torn_bytes" in line] == [0, size]
    assert numbers(path) == [1, 2]
    assert faults([path]) == []


def test_torn_first_line(path: Path) -> None:
    """A log that never got its first line whole begins again."""
    path.write_bytes(b'{"seq":1,"for')
    assert append(another(path), 1) == "first"
    assert faults([path]) == []


def test_cut_tail(path: Path, file: AuditFile) -> None:
    """Lines cut off at the end are missed by the next writer, and the gap stays visible in the file."""
    for number in range(5):
        append(file, number)
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(text[:-2]))
    assert append(another(path), 5) == "tail_missing"
    assert append(file, 6) is None
    assert lines(path)[-3]["reason"] == "tail_missing"
    (fault,) = faults([path])
    assert (fault.line, fault.sequence) == (5, 7)


def test_changed_tail(path: Path, file: AuditFile) -> None:
    """A last line with another tag than the noted one does not become part of the chain."""
    append(file, 1)
    before = path.read_bytes()
    append(file, 2)
    path.write_bytes(before + another_line(before))
    assert append(another(path), 3) == "tail_missing"
    assert any(fault.line == 3 for fault in faults([path]))


def another_line(text: bytes) -> bytes:
    """The last line with another tag."""
    line = text.splitlines(keepends=True)[-1].replace(b'{"seq":2', b'{"seq":3')
    return line[:-46] + b"B" * 42 + b'A"}\n'


def test_emptied_file(path: Path, file: AuditFile) -> None:
    """copytruncate: the emptied file goes on where its copy ends."""
    append(file, 1)
    copy = path.with_suffix(".1")
    copy.write_bytes(path.read_bytes())
    os.truncate(path, 0)
    assert append(file, 2) == "emptied"
    os.truncate(path, 0)
    assert append(another(path), 3) == "emptied"
    assert numbers(copy, path) == [1, 3]
    assert faults([path]) == []
    assert faults([copy, path]) != []  # line 2 was in no copy


def test_change_of_key(path: Path, file: AuditFile) -> None:
    """Another secret continues the chain with a begin line; both are needed to check it."""
    append(file, 1)
    new = another(path, SECRET[::-1])
    assert [append(new, 2), append(new, 3), append(file, 4)] == ["key_changed", None, "key_changed"]
    assert faults([path], SECRET, SECRET[::-1]) == []
    assert faults([path]) != []


def test_position_lost(path: Path, file: AuditFile) -> None:
    """Without the lock's file, or with a damaged one, the log is continued from its last line."""
    append(file, 1)
    lock = path.with_name("audit.jsonl.lock")
    lock.unlink()
    assert append(another(path), 2) == "resumed"
    lock.write_bytes(b"nonsense")
    assert append(another(path), 3) == "resumed"
    assert append(file, 4) is None
    assert faults([path]) == []


def test_lock_replaced(path: Path, file: AuditFile) -> None:
    """A lock whose file was taken away excludes nobody: the next writer takes the new one."""
    append(file, 1)
    path.with_name("audit.jsonl.lock").rename(path.with_name("old.lock"))
    append(another(path), 2)
    append(file, 3)
    assert numbers(path) == [1, 2, 3]
    assert faults([path]) == []


@pytest.mark.parametrize("content", [b"root:x:0:0\n", b"no newline", b'{"event":"x"}\n', b"\n"])
def test_foreign_file(path: Path, content: bytes) -> None:
    """A file that is no audit log is not touched."""
    path.write_bytes(content)
    with pytest.raises(AuditUnavailableError, match="foreign"):
        append(another(path), 1)
    assert path.read_bytes() == content


def test_damaged_end(path: Path, file: AuditFile) -> None:
    """Behind a last line that is none the chain goes on from the noted one, if there is one."""
    append(file, 1)
    with path.open("ab") as damaged:
        damaged.write(b"nonsense\n")
    assert append(another(path), 2) == "damaged"
    assert [(fault.kind, fault.line) for fault in faults([path])] == [("malformed", 3)]
    with path.open("ab") as damaged:
        damaged.write(b"nonsense\n")
    path.with_name("audit.jsonl.lock").unlink()
    with pytest.raises(AuditUnavailableError, match="damaged"):
        append(another(path), 3)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "no folder"])
def test_what_is_no_file(path: Path, file: AuditFile, kind: str) -> None:
    """Only a plain file is written to, also while running; with it in place again all goes on."""
    append(file, 1)
    old = path.rename(path.with_suffix(".1"))
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(old)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path.parent / "none" / "audit.jsonl"
    for one in (file, another(path)) if kind != "no folder" else (another(path),):
        with pytest.raises(AuditUnavailableError, match=r"io|foreign"):
            append(one, 2)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    old.rename(old.with_suffix(".jsonl"))
    assert append(file, 3) is None or kind == "no folder"
    assert faults([old.with_suffix(".jsonl")]) == []


def test_folder_where_nothing_can_be_made() -> None:
    """A place where no file can be made is a clear error."""
    with pytest.raises(AuditUnavailableError, match="io"):
        append(another(Path("/proc/audit.jsonl")), 1)


@pytest.mark.parametrize("room", [0, 10, 150])
def test_full_disk(path: Path, file: AuditFile, room: int) -> None:
    """A group for which there is no room leaves nothing behind; the next one is whole."""
    append(file, 1)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
    try:
        with pytest.raises(AuditUnavailableError, match="full"):
            append(file, 2, 3, 4, 5)
        assert path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert append(file, 6) is None
    assert numbers(path) == [1, 6]
    assert faults([path]) == []


def test_a_group_is_all_or_nothing(path: Path, file: AuditFile) -> None:
    """A line that cannot be written keeps its whole group out of the file."""
    append(file, 1)
    with pytest.raises(ValueError, match="surrogate"):
        file.append([note(2), {"event": "\ud800"}], sync=False)
    append(file, 3)
    assert numbers(path) == [1, 3]
    assert faults([path]) == []


class Machine(RuleBasedStateMachine):
    """Writers come, go and die, files are rotated and torn: the chain holds, and no line is lost."""

    writers: Bundle[AuditFile] = Bundle("writers")

    @initialize()
    def begin(self) -> None:
        """An empty folder."""
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "audit.jsonl"
        self.lock = self.folder / "audit.jsonl.lock"
        self.old: list[Path] = []
        self.written: list[int] = []
        self.secrets = [SECRET, SECRET[::-1]]

    def teardown(self) -> None:
        """The folder goes."""
        shutil.rmtree(self.folder)

    @rule(target=writers, secret=st.sampled_from([0, 0, 0, 1]))
    def start(self, secret: int) -> AuditFile:
        """A process starts."""
        return another(self.path, self.secrets[secret])

    @rule(writer=consumes(writers))
    def end(self, writer: AuditFile) -> None:
        """A process ends."""
        writer.close()

    @rule(writer=writers, count=st.integers(0, 3))
    def append(self, writer: AuditFile, count: int) -> None:
        """A process writes a group."""
        group = list(range(len(self.written), len(self.written) + count))
        append(writer, *group)
        self.written += group

    @rule()
    def rotate(self) -> None:
        """The file is renamed."""
        if self.path.exists():
            self.old.append(self.path.rename(self.folder / f"audit.{len(self.old)}"))

    @rule(size=st.integers(1, 300))
    def tear(self, size: int) -> None:
        """A process is killed in the middle of a write."""
        if self.path.exists():
            with self.path.open("ab") as file:
                file.write((b'{"seq":1,' + b"x" * 300)[:size])

    @rule(writer=writers)
    def die_before_noting(self, writer: AuditFile) -> None:
        """A process is killed after it wrote a group and before it noted its position."""
        child = os.fork()
        if child == 0:
            note_position = writer._positions.write

            def die(position: Position) -> None:
                if self.path.stat().st_size:
                    os._exit(0)
                note_position(position)

            writer._positions.write = die  # type: ignore[method-assign]
            writer.close()  # a lock is shared with the parent's descriptor
            append(writer, len(self.written))
        assert os.waitpid(child, 0)[1] == 0
        self.written.append(len(self.written))

    @invariant()
    def holds(self) -> None:
        """Every line is there, in order, and the chain is whole but for what the next writer will cut."""
        files = [path for path in [*self.old, self.path] if path.exists() and path.stat().st_size]
        whole = b"".join(path.read_bytes() for path in files)
        found = [line for line in whole.split(b"\n") if b'"number":' in line]
        assert len(found) == len(self.written)
        kinds = [fault.kind for fault in faults(files, *self.secrets)] if files else []
        assert all(kind in {"torn", "malformed"} for kind in kinds), kinds


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=1000 if HEAVY else 10,
    stateful_step_count=25,
    deadline=None,
)
