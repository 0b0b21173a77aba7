"""``sigil audit verify``: what it prints and the status it ends with."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from sigil_native import AuditChain
from tests.audit_logs import make_lines, spelled
from tests.unit.cli_harness import SECRET, Ended, Run, file, prepare

OTHER = "the quick brown fox jumps over the lazy dog"


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in a folder with three files of one log, the third under another secret."""
    run_command = prepare(capfdbinary, monkeypatch, tmp_path)
    monkeypatch.setenv("SIGIL_AUDIT_SECRET", SECRET)
    monkeypatch.delenv("SIGIL_AUDIT_SECRET_FILE", raising=False)
    file("secret", SECRET + "\n")
    file("other", OTHER)
    chain = AuditChain(SECRET)
    for name in ("log.2", "log.1", "log"):
        if name == "log":
            chain = AuditChain(OTHER, chain.sequence, chain.tag)
        file(name, b"".join([chain.begin({"file": name}), *(chain.append({"n": n}) for n in range(9))]))
    file("end", f"{chain.sequence}:{spelled(chain.tag)}")

    def verify(*arguments: str) -> Ended:
        return run_command("audit", "verify", *arguments)

    return verify


def lines_of(name: str) -> list[bytes]:
    """The lines of a file."""
    return Path(name).read_bytes().splitlines(keepends=True)


def test_a_whole_log(run: Run) -> None:
    """Files in their order are valid; the end is told as --last takes it."""
    both = ("--secret-file", "secret", "--secret-file", "other", "--secret-file", "secret")
    end = Path("end").read_text()
    expected = f"valid\nfiles  3\nlines  30\nseq    1 to 30\nlast   {end}\n"
    assert run("log.2", "log.1", "log", *both) == (0, expected.encode(), "")
    assert run("log.2", "log.1", "log", *both, "--last", end).status == 0
    summary = {
        "valid": True,
        "files": 3,
        "lines": 30,
        "first_sequence": 1,
        "last_sequence": 30,
        "last": end,
        "faults": 0,
    }
    assert json.loads(run("log.2", "log.1", "log", *both, "--json").out) == summary
    assert run("log.2", "log.1", "log", *both, "-o", "report").out == b""
    assert Path("report").read_text() == expected


def test_secrets_come_from_files_or_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--secret-file wins; then SIGIL_AUDIT_SECRET, or the file of SIGIL_AUDIT_SECRET_FILE."""
    assert run("log.2", "log.1").status == 0
    assert run("log.2", "log.1", "--secret-file", "other").status == 1
    monkeypatch.delenv("SIGIL_AUDIT_SECRET")
    assert run("log.2") == (
        78,
        b"",
        "sigil: no secret: give --secret-file FILE, or set SIGIL_AUDIT_SECRET or SIGIL_AUDIT_SECRET_FILE\n",
    )
    monkeypatch.setenv("SIGIL_AUDIT_SECRET_FILE", "secret")
    assert run("log.2").status == 0
    file("weak", "short")
    for name, words in (
        ("weak", "at least 32 bytes"),
        ("nowhere", "nowhere: No such file"),
        (".", "directory"),
    ):
        ended = run("log.2", "--secret-file", name)
        assert ended.status == 78
        assert words in ended.err


def test_a_log_that_starts_later(run: Run) -> None:
    """What was not seen is said, unless --after says what the log follows."""
    assert b"not seen  seq 1 to 10\n" in run("log.1").out
    verified = json.loads(run("log.2", "--json").out)
    continued = run("log.1", "--after", verified["last"])
    assert continued.status == 0
    assert b"not seen" not in continued.out
    assert run("log.1", "--after", "3" + verified["last"]).status == 1


def test_faults_are_named(run: Run) -> None:
    """Each fault is told with its file, line and number; all are counted."""
    lines = lines_of("log.1")
    changed = b"".join([*lines[:4], lines[4].replace(b'"n":3', b'"n":4'), *lines[5:8], *lines[9:]])
    file("log.1", changed)
    ended = run("log.2", "log.1")
    assert (ended.status, ended.out) == (1, b"")
    assert ended.err.splitlines() == [
        "sigil: log.1, line 5, seq 15: changed: it is not what was written",
        "sigil: log.1, line 9, seq 19: missing: "
        "seq 19 is missing before this line, which cannot be checked itself",
        "sigil: 2 faults in 19 lines",
    ]
    ended = run("log.2", "log.1", "--json")
    assert ended.status == 1
    first, second, summary = map(json.loads, ended.out.splitlines())
    assert (first["file"], first["kind"], first["line"], first["sequence"]) == ("log.1", "changed", 5, 15)
    assert changed[first["offset"] :].startswith(b'{"seq":15,')
    assert (second["kind"], second["line"], second["sequence"]) == ("missing", 9, 19)
    assert (summary["valid"], summary["faults"]) == (False, 2)
    ended = run("log.2", "log.1", "--max-faults", "1")
    assert ended.err.splitlines()[1:] == ["sigil: 2 faults in 19 lines, 1 of them not named"]
    assert len(run("log.1", "--json", "--max-faults", "0").out.splitlines()) == 1


def test_files_out_of_order(run: Run) -> None:
    """Files that do not follow each other are found at the first line of the file that does not."""
    assert "log.2, line 1, seq 1: discontinuity" in run("log.1", "log.2").err
    ended = run("log.2", "log", "--secret-file", "secret", "--secret-file", "other")
    assert ended.err.startswith(
        "sigil: log, line 1, seq 21: discontinuity: this begin line follows seq 20, and not"
    )
    assert ended.err.endswith("sigil: 1 fault in 20 lines\n")


def test_a_cut_tail(run: Run) -> None:
    """--last finds what is missing at the end."""
    end = Path("end").read_text()
    file("log", b"".join(lines_of("log")[:-3]))
    files = ("log.2", "log.1", "log", "--secret-file", "secret", "--secret-file", "other")
    assert run(*files).status == 0
    ended = run(*files, "--last", end)
    assert ended.status == 1
    assert "log, line 7, seq 30: tail_missing: seq 30 with the expected tag is not there" in ended.err


def test_damage_between_files_is_told_with_the_right_one(run: Run) -> None:
    """A fault that shows only at a file's end belongs to that file."""
    lines = lines_of("log.2")
    file("log.2", b"".join(lines[:-1]) + lines[-1].replace(b'"n":8', b'"n":9'))
    assert run("log.2", "log.1").err.splitlines()[0].startswith("sigil: log.2, line 10, seq 10: changed")


def test_wrong_usage(run: Run) -> None:
    """Places and counts that cannot be are wrong usage; a file that cannot be read is another status."""
    for wrong in (
        "30",
        "30:",
        ":AAAA",
        "x:" + "A" * 43,
        "1:" + "A" * 42,
        "1:" + "A" * 42 + "B",
        "1:" + "A" * 44,
    ):
        for option in ("--last", "--after"):
            ended = run("log.2", option, wrong)
            assert (ended.status, ended.out) == (2, b"")
            assert ended.err.startswith(f"sigil: audit verify: argument {option}: not a line's place")
    assert run("log.2", "--last", "0:" + spelled(b"x" * 32)).status == 2
    assert run("log.2", "--max-faults", "-1").status == 2
    assert run("-", "-").err == "sigil: audit verify: standard input can be given only once\n"
    assert run("log.2", "--secret=x").err == "sigil: audit verify: unknown option --secret\n"
    assert run("nowhere").status == 74
    ended = run("log.2", "nowhere")
    assert (ended.status, ended.out) == (74, b"")
    assert "nowhere" in ended.err


def test_audit_needs_an_action(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The group alone is wrong usage; help tells the actions, the secrets and the statuses."""
    command = prepare(capfdbinary, monkeypatch, tmp_path)
    assert command("audit").status == 2
    assert b"verify" in command("audit", "--help").out
    helped = command("audit", "verify", "--help")
    assert helped.status == 0
    for words in (b"SIGIL_AUDIT_SECRET_FILE", b"--last SEQ:TAG", b"78   configuration"):
        assert words in helped.out


def test_memory_does_not_grow_with_the_faults(run: Run) -> None:
    """A file that is one fault a byte takes no more memory than a block of it."""
    faults = 15_000  # which take more than a MiB, if they are kept
    file("newlines", b"\n" * faults)
    tracemalloc.start()
    try:
        ended = run("newlines", "--max-faults", "1")
        assert tracemalloc.get_traced_memory()[1] < 5 << 20  # of which a block is four
    finally:
        tracemalloc.stop()
    assert ended.err.splitlines()[-1] == (
        f"sigil: {faults + 1} faults in {faults} lines, {faults} of them not named"
    )


def test_names_cannot_move_the_cursor(run: Run) -> None:
    """A file's name is shown so that a terminal only shows it."""
    file("a\x1b[2Jb", b"".join(make_lines(3)))
    assert "\x1b" not in run("a\x1b[2Jb").err
