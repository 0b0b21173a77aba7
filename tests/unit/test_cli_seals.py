"""The commands that read sigils and make signatures: what they print and the status they end with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from sigil_native import canonicalize, sign_event
from tests.unit.cli_harness import CANONICAL, DOCUMENT, SECRET, Run, codec, file, prepare, seal


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


# -- verify --------------------------------------------------------------------


def test_verify_a_sigil(run: Run, document: str) -> None:
    """A seal that holds shows its fields; operands may stand around the options."""
    sigil = seal()
    for arguments in (
        [sigil, document, "--tenant", "acme"],
        ["--tenant", "acme", sigil, document],
        [sigil, "--tenant", "acme", document],
    ):
        ended = run("verify", *arguments)
        assert (ended.status, ended.err) == (0, "")
        lines = ended.out.decode().splitlines()
        assert lines[0] == "valid"
        assert [line[:12].rstrip() for line in lines[1:]] == ["id", "key id", "issued at", "expires at"]
        assert lines[4] == "expires at  never"


@pytest.mark.parametrize("form", ["text", "strand", "token", "binary"])
def test_verify_a_sigil_from_a_file(run: Run, document: str, form: str) -> None:
    """--sigil-file takes every form, a text with its newline."""
    sigil = codec().encode_json(DOCUMENT, tenant="acme", form=form)
    path = file("sigil", sigil if isinstance(sigil, bytes) else sigil + "\n")
    ended = run("verify", "--sigil-file", path, document, "--tenant", "acme", "--json")
    assert ended.status == 0
    assert list(json.loads(ended.out)) == ["valid", "id", "key_id", "issued_at_ms", "expires_at_ms"]


def test_verify_a_sigil_file_without_an_end(run: Run, document: str) -> None:
    """A sigil's file is read up to a limit, beyond which nothing is a sigil."""
    base = ["verify", "--sigil-file", "/dev/zero", document, "--tenant", "acme"]
    assert run(*base) == (1, b"", "sigil: refused: /dev/zero: document too large (byte 67108864)\n")
    assert json.loads(run(*base, "--json").out)["error"] == "document_too_large"


def test_verify_a_token_by_itself(run: Run, document: str) -> None:
    """A token needs no payload, gives it on request, and must match one that is given."""
    token = seal("token")
    assert run("verify", token, "--tenant", "acme").status == 0
    assert run("verify", token, "--tenant", "acme", "--payload") == (0, CANONICAL, "")
    assert run("verify", token, document, "--tenant", "acme", "--payload") == (0, CANONICAL, "")
    other = file("other", "[1]")
    assert run("verify", token, other, "--tenant", "acme").status == 1
    assert run("verify", token, "--tenant", "other", "--payload", "-o", "out").status == 1
    assert not Path("out").exists()


def test_verify_refusals(run: Run, document: str) -> None:
    """Every way not to hold has status 1 and says its cause."""
    cases = [
        ([seal(), document, "--tenant", "other"], "tag_mismatch", "the tag does not match"),
        ([seal(), file("changed", "[]"), "--tenant", "acme"], "tag_mismatch", "the tag does not match"),
        (["sgl1_x", document, "--tenant", "acme"], "format", "not a sigil"),
        (["", document, "--tenant", "acme"], "format", "not a sigil"),
        ([seal(), file("bad", "{"), "--tenant", "acme"], "syntax", "bad: unexpected end of text (byte 1)"),
    ]
    for arguments, code, message in cases:
        ended = run("verify", *arguments)
        assert (ended.status, ended.out) == (1, b"")
        assert ended.err.startswith(f"sigil: refused: {message}")
        result = json.loads(run("verify", *arguments, "--json").out)
        assert (result["valid"], result["error"]) == (False, code)


def test_verify_at_another_time(run: Run, document: str) -> None:
    """--now judges expiry and the time of issue at that moment."""
    sigil = seal(expires_in=3600)
    base = [sigil, document, "--tenant", "acme", "--json"]
    assert run("verify", *base).status == 0
    late = json.loads(run("verify", *base, "--now", "2999-01-01T00:00:00Z").out)
    early = json.loads(run("verify", *base, "--now", "1000000000").out)
    assert (late["error"], early["error"]) == ("expired", "issued_in_future")
    assert run("verify", *base, "--now", "1000000000", "--max-future-skew", "1e10").status == 0


def test_verify_lines(run: Run) -> None:
    """A stream of sigils and data: a verdict for each line, and status 1 when one does not hold."""
    lines = [
        json.dumps({"sigil": seal(), "data": json.loads(DOCUMENT)}),
        json.dumps({"data": {"changed": 1}, "sigil": seal()}),
        "not json",
        json.dumps({"sigil": seal("strand"), "data": json.loads(DOCUMENT)}),
    ]
    ended = run("verify", file("lines", "\n".join(lines)), "--ndjson", "--tenant", "acme")
    verdicts = [json.loads(line) for line in ended.out.splitlines()]
    assert [verdict["valid"] for verdict in verdicts] == [True, False, False, True]
    assert ended.status == 1
    assert "line 2: the tag does not match" in ended.err
    assert ended.err.endswith("sigil: 2 of 4 lines refused\n")
    good = file("good", lines[0])
    assert run("verify", good, "--ndjson", "--tenant", "acme").status == 0


def test_verify_lines_of_tokens(run: Run) -> None:
    """What ``encode --form token --ndjson`` writes is verified as it is, among objects or alone."""
    documents = file("documents", b'{"a":1}\n{\n[2]\n')
    sealed = run("encode", documents, "--tenant", "acme", "--form", "token", "--ndjson").out
    first, refused, last = sealed.splitlines()
    whole = json.dumps({"sigil": seal(), "data": json.loads(DOCUMENT)}).encode()
    lines = [
        first + b"\r",
        refused,
        whole,
        b"",
        last[:-1] + b"_",
        seal().encode(),
        b"sgl1_.",
        last + b" \t",
        whole + b"\x0b",
    ]
    ended = run("verify", file("lines", b"\n".join([*lines, last])), "--ndjson", "--tenant", "acme")
    verdicts = [json.loads(line) for line in ended.out.splitlines()]
    errors = [verdict.get("error") for verdict in verdicts]
    assert errors == [
        None,
        "line",
        None,
        "syntax",
        "tag_mismatch",
        "syntax",
        "format",
        None,
        "trailing_data",
        None,
    ]
    assert list(verdicts[0]) == list(verdicts[2])
    assert verdicts[7] == verdicts[9]
    assert (verdicts[0]["id"], verdicts[0]["valid"]) == (codec().decode(first.decode()).id, True)
    assert ended.err.endswith("sigil: 6 of 10 lines refused\n")
    tokens = file("tokens", first + b"\n" + last + b"\n")
    assert run("verify", tokens, "--ndjson", "--tenant", "acme").status == 0
    assert run("verify", tokens, "--ndjson", "--tenant", "other").status == 1


def test_verify_a_line_over_the_limit(run: Run) -> None:
    """A line too long to be read has a verdict like the others."""
    path = file("lines", "x" * 200)
    ended = run("verify", path, "--ndjson", "--tenant", "acme", "--max-line-bytes", "100")
    assert ended.status == 1
    assert json.loads(ended.out) == {
        "valid": False,
        "error": "document_too_large",
        "message": "document too large (byte 100)",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tenant", "acme"],
        ["a", "b", "c", "--tenant", "acme"],
        ["--sigil-file", "a", "b", "c", "--tenant", "acme"],
        ["--sigil-file", "-", "-", "--tenant", "acme"],
        ["--ndjson", "--sigil-file", "a", "--tenant", "acme"],
        ["--ndjson", "--payload", "--tenant", "acme"],
        ["a", "--json", "--payload", "--tenant", "acme"],
        ["a", "--tenant", "acme", "--max-line-bytes", "1MiB"],
        ["a", "--tenant", "acme", "--now", "later"],
        ["a", "--tenant", "acme", "--now", "-1"],
        ["a", "--tenant", ""],
        ["a"],
    ],
)
def test_verify_used_wrongly(run: Run, arguments: list[str]) -> None:
    """Wrong usage has status 2 and one line, before any input is read."""
    ended = run("verify", *arguments)
    assert (ended.status, ended.out) == (2, b"")
    assert ended.err.startswith("sigil: ")


# -- decode and strand ---------------------------------------------------------


def test_decode_shows_fields(run: Run) -> None:
    """A table for people, an object for programs; no secret is needed."""
    sigil = codec().decode(seal(expires_in=60))
    ended = run("decode", sigil.text)
    assert ended.status == 0
    assert ended.out.decode().splitlines() == [
        "form        text",
        f"id          {sigil.id}",
        f"key id      {sigil.key_id:08x}",
        ended.out.decode().splitlines()[3],
        ended.out.decode().splitlines()[4],
        f"tag         {sigil.tag.hex()}",
    ]
    forms = [sigil.text, sigil.strand, seal("token")]
    results = [json.loads(line) for line in run("decode", "--json", *forms).out.splitlines()]
    assert [result["form"] for result in results] == ["text", "strand", "token"]
    assert results[0]["id"] == results[1]["id"] == sigil.id
    assert results[0]["expires_at_ms"] - results[0]["issued_at_ms"] == 60_000


def test_decode_shows_times_that_no_calendar_has(run: Run) -> None:
    """Whatever 64 bits claim is shown, not computed with."""
    raw = bytearray(bytes(codec().decode(seal())))
    raw[8:16] = b"\xff" * 8
    raw[16:22] = b"\xff" * 6
    ended = run("decode", "sgl1_" + base64.urlsafe_b64encode(raw).decode().rstrip("="))
    assert ended.status == 0
    assert "18446744073709551615 ms after 1970" in ended.out.decode()


def test_decode_goes_on_after_a_bad_one(run: Run) -> None:
    """One bad sigil among several is named by its place and stops no other."""
    ended = run("decode", "--json", seal(), "nonsense", "\ud800", seal())
    results = [json.loads(line) for line in ended.out.splitlines()]
    assert [result.get("error") for result in results] == [None, "format", "format", None]
    assert ended.status == 1
    assert ended.err.splitlines()[0].startswith("sigil: argument 2: not a sigil")
    assert ended.err.splitlines()[-1] == "sigil: 2 of 4 sigils refused"


def test_strand_goes_both_ways(run: Run) -> None:
    """Text becomes a strand, a strand text; --to says otherwise."""
    sigil = codec().decode(seal())
    assert run("strand", sigil.text).out.decode() == sigil.strand + "\n"
    assert run("strand", sigil.strand).out.decode() == sigil.text + "\n"
    assert run("strand", "--to", "text", sigil.text).out.decode() == sigil.text + "\n"
    assert run("strand", "--to", "strand", sigil.strand).out.decode() == sigil.strand + "\n"
    assert run("strand", "--to", "binary", sigil.strand, sigil.text).out == bytes(sigil) * 2
    assert json.loads(run("strand", "--json", sigil.text).out) == {"sigil": sigil.strand}
    assert run("strand", "--json", "--to", "binary", sigil.text).status == 2
    assert run("strand", sigil.strand.lower()).status == 1


# -- sign ----------------------------------------------------------------------


def test_sign_is_plain_hmac(run: Run, document: str) -> None:
    """A signature is HMAC-SHA-256 of the secret over the canonical text, as the library makes it."""
    expected = hmac.new(SECRET.encode(), CANONICAL, hashlib.sha256).hexdigest()
    assert sign_event(json.loads(DOCUMENT), SECRET) == expected
    assert run("sign", document).out.decode() == expected + "\n"
    assert json.loads(run("sign", document, "--json").out) == {"signature": expected, "text": "jcs"}


def test_sign_as_json_stringify(run: Run) -> None:
    """The other text keeps the members' order, indices first, and escapes lone surrogates."""
    path = file("d", r'{"z":1.0,"2":"\ud800","a":{"10":-0,"9":1e21},"é":"\u2028\n"}')
    text = '{"2":"\\ud800","z":1,"a":{"9":1e+21,"10":0},"é":"\u2028\\n"}'
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert run("sign", path, "--text", "json-stringify").out.decode() == expected + "\n"


def test_options_of_canonical_text(run: Run) -> None:
    """--integers and --max-depth count when canonical text is signed, and are refused for the other."""
    large = file("large", "[9007199254740993]")
    assert run("sign", large).status == 1
    expected = hmac.digest(SECRET.encode(), b"[9007199254740993]", hashlib.sha256).hex()
    assert run("sign", large, "--integers", "exact").out.decode() == expected + "\n"
    assert run("sign", file("deep", "[[1]]"), "--max-depth", "1").status == 1
    for options in (["--integers", "exact"], ["--max-depth", "1"]):
        ended = run("sign", large, "--text", "json-stringify", *options)
        assert (ended.status, ended.out) == (2, b"")
        assert "go with --text jcs only" in ended.err


def test_sign_checks_signatures(run: Run, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--verify accepts the one right spelling, under the current key and earlier ones."""
    signature = sign_event(json.loads(DOCUMENT), SECRET)
    assert run("sign", document, "--verify", signature) == (0, b"valid\n", "")
    for wrong in (signature.upper(), signature[:-1], "0" * 64, "", "é" * 64):
        ended = run("sign", document, "--verify", wrong)
        assert ended == (1, b"", "sigil: refused: the signature does not match\n")
    assert json.loads(run("sign", document, "--verify", "0", "--json").out) == {"valid": False}
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_PREVIOUS", SECRET)
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", "another secret that is long enough for it")
    assert run("sign", document, "--verify", signature).status == 0
    assert run("sign", document).out.decode() != signature + "\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"a":1,"\\u0061":2}', "duplicate_name"),
        (b"[NaN]", "non_finite_number"),
        (b"[-Infinity]", "non_finite_number"),
        (b"1e999", "non_finite_number"),
        (b'"\xff"', "invalid_utf8"),
        (b"\xef\xbb\xbf1", "byte_order_mark"),
        (b'"\n"', "syntax"),
        (b"[1,]", "syntax"),
        (b"1 2", "syntax"),
        (b"", "syntax"),
        (b"9" * 5000, "integer_range"),
        (b"[" * 100_000, "nesting_too_deep"),
        (canonicalize({"n": 1}) + b"\xc3", "invalid_utf8"),
    ],
)
def test_sign_as_json_stringify_is_strict(run: Run, text: bytes, code: str) -> None:
    """What Python's parser would let pass, or choke on, is refused like everywhere else."""
    ended = run("sign", file("d", text), "--text", "json-stringify", "--json")
    assert (ended.status, json.loads(ended.out)["error"]) == (1, code)
