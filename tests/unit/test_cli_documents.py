"""The commands that read documents: what they print and the status they end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli_harness import CANONICAL, DOCUMENT, SECRET, Run, codec, file, prepare


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder, with a secret in the environment."""
    return prepare(capfdbinary, monkeypatch, tmp_path)


@pytest.fixture
def document(tmp_path: Path) -> str:
    """A file with a document."""
    path = tmp_path / "document.json"
    path.write_text(DOCUMENT)
    return str(path)


# -- canon ---------------------------------------------------------------------


def test_canon_writes_exactly_the_canonical_bytes(run: Run, document: str) -> None:
    """No newline is added: the output can be hashed."""
    assert run("canon", document) == (0, CANONICAL, "")


def test_canon_as_json(run: Run, document: str) -> None:
    """With --json the canonical text is a member of an object."""
    assert json.loads(run("canon", "--json", document).out) == {"canonical": CANONICAL.decode()}


def test_canon_of_a_bad_document(run: Run) -> None:
    """A bad document has status 1, its place on standard error and no output at all."""
    path = file("bad.json", '{"a":1,"a":2}')
    assert run("canon", path) == (
        1,
        b"",
        'sigil: bad.json: duplicate member name (byte 7, pointer "/a")\n',
    )
    assert run("canon", path, "-o", "out").status == 1
    assert not Path("out").exists()
    ended = run("canon", "--json", path)
    assert ended.status == 1
    assert json.loads(ended.out) == {
        "error": "duplicate_name",
        "message": 'duplicate member name (byte 7, pointer "/a")',
        "pointer": "/a",
        "offset": 7,
    }


def test_canon_of_lines_keeps_their_places(run: Run) -> None:
    """A bad line becomes an empty one, which no canonical text is; the others go on."""
    path = file("lines", b'{"b":1, "a":2}\r\n\nnope\n[1,\t2]')
    ended = run("canon", "--ndjson", path)
    assert (ended.status, ended.out) == (1, b'{"a":2,"b":1}\n\n\n[1,2]\n')
    assert ended.err.splitlines() == [
        "sigil: lines, line 2: unexpected end of text (byte 0)",
        "sigil: lines, line 3: invalid literal (byte 1)",
        "sigil: 2 of 4 lines refused",
    ]
    results = [json.loads(line) for line in run("canon", "--ndjson", "--json", path).out.splitlines()]
    assert [result.get("canonical", result.get("error")) for result in results] == [
        '{"a":2,"b":1}',
        "syntax",
        "syntax",
        "[1,2]",
    ]


def test_canon_options_reach_the_library(run: Run) -> None:
    """Big integers only on request, and nesting as deep as asked."""
    path = file("big", "[[9007199254740993]]")
    assert run("canon", path).status == 1
    assert run("canon", "--integers", "exact", path).out == b"[[9007199254740993]]"
    assert run("canon", "--integers", "exact", "--max-depth", "1", path).status == 1
    assert run("canon", "--max-depth", "0", path).status == 2


# -- encode --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "strand", "token", "binary"])
def test_encode_makes_sigils_that_hold(run: Run, document: str, form: str) -> None:
    """The library verifies what the command sealed, in every form."""
    ended = run("encode", document, "--tenant", "acme", "--form", form)
    assert ended.status == 0
    sigil = ended.out if form == "binary" else ended.out.removesuffix(b"\n")
    assert codec().verify_json(sigil, DOCUMENT, tenant="acme").expires_at is None


def test_encode_with_an_expiry(run: Run, document: str) -> None:
    """--expires-in takes a unit; --json tells the fields."""
    ended = run("encode", document, "--tenant", "acme", "--expires-in", "15m", "--json")
    fields = json.loads(ended.out)
    assert list(fields) == ["sigil", "id", "key_id", "issued_at_ms", "expires_at_ms"]
    sigil = codec().verify_json(fields["sigil"], DOCUMENT, tenant="acme")
    assert fields["expires_at_ms"] - fields["issued_at_ms"] == 900_000
    assert (fields["id"], fields["key_id"]) == (sigil.id, f"{sigil.key_id:08x}")


def test_encode_beyond_the_calendar(run: Run, document: str) -> None:
    """A lifetime out of range is complained of by the option's name."""
    for lifetime in ("1000000w", "0.0001s"):
        assert run("encode", document, "--tenant", "acme", "--expires-in", lifetime) == (
            2,
            b"",
            "sigil: encode: --expires-in is out of range: under a millisecond, or beyond the year 9999\n",
        )


def test_encode_of_a_bad_document(run: Run) -> None:
    """A bad document makes no sigil and no file."""
    path = file("bad.json", "{")
    ended = run("encode", path, "--tenant", "acme", "-o", "out")
    assert ended == (1, b"", "sigil: bad.json: unexpected end of text (byte 1)\n")
    assert not Path("out").exists()
    assert json.loads(run("encode", path, "--tenant", "acme", "--json").out)["error"] == "syntax"


def test_encode_of_lines(run: Run) -> None:
    """A result for each line; bad ones in the middle, CR LF and a missing last newline disturb nothing."""
    path = file("lines", b'{"a":1}\r\n\n{"a":}\n{"a":2}')
    ended = run("encode", path, "--tenant", "acme", "--ndjson")
    assert ended.status == 1
    first, blank, bad, last = ended.out.splitlines()
    codec().verify_json(first, '{"a":1}', tenant="acme")
    codec().verify_json(last, '{"a":2}', tenant="acme")
    assert json.loads(blank)["error"] == "syntax"
    assert json.loads(bad) == {
        "error": "syntax",
        "message": 'expected a value (byte 5, pointer "/a")',
        "pointer": "/a",
        "offset": 5,
    }
    assert ended.err.splitlines()[1:] == [
        'sigil: lines, line 3: expected a value (byte 5, pointer "/a")',
        "sigil: 2 of 4 lines refused",
    ]


def test_encode_of_lines_as_json(run: Run) -> None:
    """With --json a good line's result is an object too."""
    path = file("lines", b'{"a":1}\n{\n')
    good, bad = run("encode", path, "--tenant", "acme", "--ndjson", "--json").out.splitlines()
    codec().verify_json(json.loads(good)["sigil"], '{"a":1}', tenant="acme")
    assert json.loads(bad)["error"] == "syntax"


def test_encode_refuses_long_lines_alone(run: Run) -> None:
    """A line over the limit is refused, in words like the library's; its neighbours are sealed."""
    path = file("lines", b'"%s"\n"%s"\n1\n"%s"' % (b"x" * 62, b"x" * 63, b"x" * 100_000))
    ended = run("encode", path, "--tenant", "acme", "--ndjson", "--max-line-bytes", "64")
    assert ended.status == 1
    kinds = [line.startswith(b"sgl1_") or json.loads(line) for line in ended.out.splitlines()]
    refused = {
        "error": "document_too_large",
        "message": "document too large (byte 64)",
        "pointer": "",
        "offset": 64,
    }
    assert kinds == [True, refused, True, refused]


def test_encode_names_the_first_bad_lines_and_counts_all(run: Run) -> None:
    """Standard error does not grow with the input."""
    ended = run("encode", file("lines", b"\n" * 5000), "--tenant", "acme", "--ndjson")
    lines = ended.err.splitlines()
    assert len(lines) == 11
    assert lines[9].startswith("sigil: lines, line 10: ")
    assert lines[10] == "sigil: 5000 of 5000 lines refused"


def test_encode_of_nothing(run: Run) -> None:
    """An empty stream has no lines and gives an empty file; an empty document is a bad one."""
    path = file("empty", b"")
    assert run("encode", path, "--tenant", "acme", "--ndjson", "-o", "out") == (0, b"", "")
    assert Path("out").read_bytes() == b""
    assert run("encode", path, "--tenant", "acme").status == 1


def test_encode_can_replace_its_input(run: Run) -> None:
    """Output appears after input was read, so one file can be both."""
    path = file("lines", b"1\n2\n3\n")
    assert run("encode", path, "--tenant", "acme", "--ndjson", "-o", path).status == 0
    assert Path(path).read_bytes().count(b"sgl1_") == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tenant", ""],
        ["--tenant", "é" * 65],
        ["--tenant", "acme", "--expires-in", "soon"],
        ["--tenant", "acme", "--expires-in", "0"],
        ["--tenant", "acme", "--expires-in", "100000w", "--expires-in", "1000000w"],
        ["--tenant", "acme", "--form", "xml"],
        ["--tenant", "acme", "--ndjson", "--form", "binary"],
        ["--tenant", "acme", "--json", "--form", "binary"],
        ["--tenant", "acme", "--max-line-bytes", "0"],
        ["--tenant", "acme", "--max-depth", "9999"],
        ["--tenant", "acme", "one", "two"],
        ["--ten", "acme"],
    ],
)
def test_encode_used_wrongly(run: Run, document: str, arguments: list[str]) -> None:
    """Wrong usage has status 2, one line of explanation and no output, whatever the input."""
    for extra in ([document], ["--ndjson", document]):
        ended = run("encode", *arguments, *extra)
        assert (ended.status, ended.out) == (2, b"")
        assert ended.err.startswith("sigil: ")
        assert ended.err.count("\n") == 1


# -- all -----------------------------------------------------------------------


def test_help_and_version(run: Run) -> None:
    """Help tells the exit statuses and where secrets come from."""
    assert run("--version").out.startswith(b"sigil 0.")
    for command in ("keygen", "canon", "encode", "verify", "decode", "sign", "strand"):
        ended = run(command, "--help")
        assert (ended.status, ended.err) == (0, "")
        assert b"78   configuration" in ended.out
    assert b"SPIRAL_EVENT_SECRET_FILE" in run("encode", "--help").out
    assert run().status == 2
    assert run("nonsense").status == 2


def test_a_secret_in_the_wrong_place_is_not_repeated(run: Run, document: str) -> None:
    """Options that do not exist are named without their values."""
    for arguments in (
        ["--secret", SECRET],
        [f"--secret={SECRET}"],
        ["--secret", SECRET, f"-s{SECRET}"],
        [f"-{SECRET}"],
        [SECRET],
    ):
        ended = run("encode", "--tenant", "acme", document, *arguments)
        assert ended.status == 2
        assert "horse" not in ended.err


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("-x.json", " -x; a file whose name begins with - is written ./-NAME"),
        ("-é", "; a file whose name begins with - is written ./-NAME"),
        ("--x.json", "; a file whose name begins with - is written ./-NAME"),
        ("--frobnicate=1", " --frobnicate"),
    ],
)
def test_an_unknown_option_is_named(run: Run, argument: str, shown: str) -> None:
    """The option's own part is shown, and what a file of such a name needs."""
    assert run("canon", argument) == (2, b"", f"sigil: canon: unknown option{shown}\n")


def test_a_limit_of_lines_needs_lines(run: Run, document: str) -> None:
    """--max-line-bytes without --ndjson would limit nothing: wrong usage."""
    ended = run("canon", document, "--max-line-bytes", "1")
    assert ended == (2, b"", "sigil: canon: --max-line-bytes goes with --ndjson\n")


def test_output_that_is_no_file(run: Run, document: str) -> None:
    """A folder, there or not, is named and takes no file's place."""
    Path("sub").mkdir()
    for name, cause in (
        (".", "Is a directory"),
        ("sub", "Is a directory"),
        ("sub/", "Is a directory"),
        ("missing/", "No such file or directory"),
        (f"{document}/", "Not a directory"),
    ):
        assert run("canon", document, "-o", name) == (74, b"", f"sigil: {name}: {cause}\n")
    assert run("canon", document, "-o", "").err == "sigil: '': No such file or directory\n"
    assert sorted(path.name for path in Path().iterdir()) == ["document.json", "sub"]


def test_unusable_files(run: Run, document: str) -> None:
    """Input that cannot be read and output that cannot be written have status 74 and name the file."""
    assert run("canon", "missing") == (74, b"", "sigil: missing: No such file or directory\n")
    assert run("canon", ".").status == 74
    assert run("canon", document, "-o", "missing/out").status == 74
    assert run("canon", document, "-o", ".").status == 74
    assert run("canon", document, "-o", "/dev/full") == (
        74,
        b"",
        "sigil: /dev/full: No space left on device\n",
    )
    assert run("canon", "new\nline") == (74, b"", "sigil: 'new\\nline': No such file or directory\n")
