"""Input in blocks of complete lines, and output that appears whole or not at all."""

from __future__ import annotations

import argparse
import io
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.cli import values
from sigil_native.cli.lines import split_lines
from sigil_native.cli.output import json_line, open_output, printable, table
from sigil_native.cli.progress import Progress
from sigil_native.cli.streams import LongLine, Source, line_blocks


class Fragments(Source):
    """Input that comes in the given pieces, as from a pipe."""

    def __init__(self, fragments: list[bytes]) -> None:
        self.name = "fragments"
        self._ahead = b""
        self._fragments = [fragment for fragment in fragments if fragment]

    def read_into(self, target: memoryview) -> int:
        """At most one fragment at a time."""
        if not self._fragments:
            return 0
        fragment = self._fragments.pop(0)
        count = min(len(fragment), len(target))
        target[:count] = fragment[:count]
        if fragment[count:]:
            self._fragments.insert(0, fragment[count:])
        return count


def split(fragments: list[bytes], limit: int, block_size: int) -> tuple[list[bytes | None], int]:
    """The lines that come out (None: too long), and the bytes consumed."""
    lines: list[bytes | None] = []
    consumed = 0
    for block in line_blocks(Fragments(fragments), limit, block_size):
        if isinstance(block, LongLine):
            lines.append(None)
            consumed += block.consumed
        else:
            lines += split_lines(block)
            consumed += len(block)
    return lines, consumed


@given(
    st.lists(st.text("\r\nx", max_size=40).map(str.encode), max_size=20),
    st.integers(1, 30),
    st.integers(1, 50),
)
def test_blocks_hold_every_line_once_in_order(fragments: list[bytes], limit: int, block_size: int) -> None:
    """However input is cut, each line comes out once, and exactly those over the limit are refused.

    LF or CR LF, which ends it, does not count.
    """
    text = b"".join(fragments)
    expected = [line[1] for line in re.finditer(rb"(?!\Z)([^\n]*?)(?:\r?\n|\Z)", text)]
    lines, consumed = split(fragments, limit, block_size)
    assert lines == [line if len(line) <= limit else None for line in expected]
    assert consumed == len(text)


def test_the_buffer_shrinks_after_a_long_line() -> None:
    """One long line does not leave a large buffer behind."""
    fragments = [b"x" * 1000 + b"\n", b"a\n", b"b\n", b"c\n"]
    sizes = [
        len(block.obj)  # type: ignore[arg-type]
        for block in line_blocks(Fragments(fragments), 4000, 16)
        if isinstance(block, memoryview)
    ]
    assert sizes[0] >= 1001
    assert sizes[-1] == 16


def test_a_source_gives_back_what_was_peeked(tmp_path: Path) -> None:
    """Looking at the first byte takes nothing away, whichever way the rest is read."""
    path = tmp_path / "input"
    path.write_bytes(b"abcdef")
    with Source(str(path)) as source:
        assert source.peek() == source.peek() == b"a"
        assert source.remaining() == 6
        assert source.read_up_to(4) == b"abcd"
        assert source.peek() == b"e"
        assert source.read_all() == b"ef"
        assert source.peek() == b""


def test_input_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe in non-blocking mode, nothing in it yet, is not taken for the end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    source = Source("/dev/null")
    source._raw.close()
    source._raw = io.FileIO(reader, "rb")
    waits: list[bytes | None] = [b"one", b"two", None]

    def arrive(*_: object) -> None:
        data = waits.pop(0)
        os.close(writer) if data is None else os.write(writer, data)

    monkeypatch.setattr(source, "_wait", arrive)
    with source:
        assert source.read_all() == b"onetwo"


def test_output_to_a_file_appears_at_the_end(tmp_path: Path) -> None:
    """Nothing stands at the destination until all is written; then nothing else is left."""
    path = tmp_path / "out"
    with open_output(str(path)) as output:
        output.write(b"all ")
        assert not path.exists()
        output.write(b"of it")
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [RuntimeError, KeyboardInterrupt, None])
def test_failed_output_leaves_the_old_file(tmp_path: Path, ending: type[BaseException] | None) -> None:
    """An error, Ctrl-C or a refused document leaves what stood there before, and no other file."""
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def attempt() -> None:
        with open_output(str(path)) as output:
            output.write(b"new")
            if ending is None:
                output.abandon()
            else:
                raise ending

    if ending is None:
        attempt()
    else:
        with pytest.raises(ending):
            attempt()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replaced_output_keeps_mode_and_link(tmp_path: Path) -> None:
    """A destination that is a link stays one, and its file keeps its mode."""
    path, link = tmp_path / "out", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    with open_output(str(link)) as output:
        output.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("ways", ["/dev/fd/{fd}", "/proc/self/fd/{fd}", "/proc/{pid}/fd/{fd}", "link"])
def test_output_to_a_descriptor_goes_where_it_stands(tmp_path: Path, ways: str) -> None:
    """An open file reached through its descriptor is continued, neither replaced nor emptied."""
    path, link = tmp_path / "log", tmp_path / "link"
    with path.open("wb", buffering=0) as log:
        log.write(b"precious\n")
        name = ways.format(fd=log.fileno(), pid=os.getpid())
        if name == "link":
            link.symlink_to(f"/dev/fd/{log.fileno()}")
            name = str(link)
        with open_output(name) as output:
            output.write(b"new\n")
        log.write(b"after\n")
    assert path.read_bytes() == b"precious\nnew\nafter\n"
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        open_output("/dev/fd/987654")
    assert caught.value.filename == "/dev/fd/987654"


def test_output_to_a_device_is_direct() -> None:
    """A device is written to, not replaced."""
    with open_output("/dev/null") as output:
        output.write(b"gone")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600),
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2592000),
        ("1w", 604800),
        ("1.5h", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number and a unit; seconds without one."""
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "h", "1 h", "1y", "1e3", "inf", "nan", "٣", "1.", "0.0s"])
def test_wrong_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1782000000.5", 1782000000.5),
        ("1970-01-02T00:00:00Z", 86400),
        ("1970-01-01T02:00+01:00", 3600),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    """A moment is seconds since 1970, or a date and time with its zone."""
    assert values.moment(text) == seconds


@pytest.mark.parametrize("text", ["", "now", "nan", "inf", "2026-01-01T00:00:00", "2026-01-01"])
def test_wrong_moments(text: str) -> None:
    """A time without a zone could be any of two dozen; it is refused like anything else."""
    with pytest.raises(argparse.ArgumentTypeError):
        values.moment(text)


def test_sizes() -> None:
    """A size is bytes, or a number of binary units."""
    assert [values.size(text) for text in ("1", "64KiB", "64MiB", "2GiB")] == [1, 65536, 64 << 20, 2 << 30]
    for text in ("", "0", "-1", "1.5MiB", "64MB", "1e6"):
        with pytest.raises(argparse.ArgumentTypeError):
            values.size(text)


def test_small_helpers_of_output() -> None:
    """JSON survives half a surrogate pair, tables align, names cannot move the cursor."""
    assert json_line({"a": "é\ud800"}) == b'{"a":"\xc3\xa9\\ud800"}\n'
    assert table({"a": 1, "long": "b"}) == b"a     1\nlong  b\n"
    assert printable("a b.json") == "a b.json"
    assert printable("\x1b[2Jx") == r"'\x1b[2Jx'"


def test_progress_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Log files hold no bars."""
    progress = Progress("encode", 10)
    progress.advance(5)
    progress.clear()
    assert capfd.readouterr() == ("", "")
