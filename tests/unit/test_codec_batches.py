"""Sealing and verifying many payloads a call."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.errors import (
    IntegerRangeError,
    InvalidOptionError,
    NoActiveKeyError,
    SigilFormatError,
    TagMismatchError,
    UnsupportedTypeError,
)
from tests.backends import BACKENDS, load_backend
from tests.sigils import NOW, SECRET, TENANT, as_text, as_token, key_id_of, make_sigil
from tests.threads import ticks_meanwhile

LINE_RULE = 'a line holds the members "sigil" and "data" and no others'


def codec_of(library: SimpleNamespace, **options: Any) -> Any:
    """A codec with the one key of these tests."""
    ring = library.KeyRing()
    ring.add(SECRET)
    return library.SigilCodec(ring, **options)


@pytest.fixture
def codec(library: SimpleNamespace) -> Any:
    """A codec with the one key of these tests."""
    return codec_of(library)


# -- values ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 300])
@pytest.mark.parametrize("form", ["text", "strand", "token", "binary"])
def test_many_are_sealed_in_order(codec: Any, count: int, form: str) -> None:
    """Each sigil seals its payload; ids ascend."""
    payloads = [{"n": number, "pad": "x" * (number % 300)} for number in range(count)]
    sigils = codec.encode_many(iter(payloads), tenant=TENANT, form=form, expires_in=60)
    assert len(sigils) == count
    outcomes = codec.verify_many(sigils, payloads, tenant=TENANT)
    assert [bytes(outcome) for outcome in outcomes] == [bytes(codec.decode(sigil)) for sigil in sigils]
    assert sorted({outcome.id for outcome in outcomes}) == [outcome.id for outcome in outcomes]
    assert all(outcome.expires_at_ms == outcome.issued_at_ms + 60_000 for outcome in outcomes)


@pytest.mark.parametrize("bad", [0, 5, 127, 128, 200])
def test_first_bad_payload_refuses_all(codec: Any, bad: int) -> None:
    """The error says which payload, and where in it."""
    payloads: list[object] = [{"n": number} for number in range(201)]
    payloads[bad] = {"n": [2**53]}
    with pytest.raises(IntegerRangeError) as caught:
        codec.encode_many(payloads, tenant=TENANT)
    assert (caught.value.index, caught.value.pointer) == (bad, "/n/0")
    assert str(caught.value) == f'integer out of range (item {bad}, pointer "/n/0")'


@pytest.mark.parametrize("payload", ["ab", b"ab", {"a": 1}])
def test_one_payload_is_no_batch(codec: Any, payload: object) -> None:
    """One payload where several are meant is refused: it would come apart into letters or names."""
    with pytest.raises(TypeError, match="iterable of payloads"):
        codec.encode_many(payload, tenant=TENANT)


def test_payloads_come_before_the_key(library: SimpleNamespace) -> None:
    """Without a key the bad payload is still told; an empty batch needs no key."""
    codec = library.SigilCodec(library.KeyRing())
    with pytest.raises(UnsupportedTypeError) as caught:
        codec.encode_many([1, object()], tenant="t")
    assert caught.value.index == 1
    with pytest.raises(NoActiveKeyError):
        codec.encode_many([1, 2], tenant="t")
    assert codec.encode_many([], tenant="t") == []


def test_outcomes_of_verify_many_are_values(codec: Any) -> None:
    """A refused pair stops no other: its error stands in its place."""
    sigils = [make_sigil(b"0"), make_sigil(b"1"), "x", make_sigil(b"3"), as_token(make_sigil(b"4"), b"4")]
    outcomes = codec.verify_many(sigils, [0, 2, 2, 2**53, 4], tenant=TENANT, now=NOW)
    assert bytes(outcomes[0]) == sigils[0]
    assert isinstance(outcomes[1], TagMismatchError)
    assert isinstance(outcomes[2], SigilFormatError)
    assert isinstance(outcomes[3], IntegerRangeError)
    assert outcomes[3].index == 3
    assert bytes(outcomes[4]) == make_sigil(b"4")


def test_verify_many_pairs_up(codec: Any) -> None:
    """As many sigils as payloads; a sigil of another type is the caller's mistake."""
    with pytest.raises(InvalidOptionError, match="sigils and payloads differ in number"):
        codec.verify_many([make_sigil(b"0")], [], tenant=TENANT)
    assert codec.verify_many(iter([]), iter([]), tenant=TENANT) == []
    with pytest.raises(TypeError, match="sigil must be Sigil, str or bytes-like, not NoneType"):
        codec.verify_many([None], [1], tenant=TENANT)


# -- lines -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (b"", 0),
        (b"1", 1),
        (b"1\n", 1),
        (b"1\n2", 2),
        (b"1\r\n2\r\n", 2),
        (b"\n", 1),
        (b"1\n\n", 2),
        ("1\n2\n", 2),
    ],
)
def test_lines_are_counted(codec: Any, lines: str | bytes, count: int) -> None:
    """A result a line; the last line feed may lack; a blank line is a bad one."""
    results = codec.encode_ndjson(lines, tenant=TENANT)
    assert results.count(b"\n") == count
    assert results == b"" or results.endswith(b"\n")
    blank = b'{"error":"syntax","message":"unexpected end of text (byte 0)","pointer":"","offset":0}'
    is_blank = [line == blank for line in results.splitlines()]
    source = lines.encode() if isinstance(lines, str) else lines
    assert is_blank == [not line for line in source.split(b"\n")][:count]


def test_carriage_returns(library: SimpleNamespace) -> None:
    """CR LF ends a line as LF does, and is no part of it; a CR without LF is white space."""
    codec = codec_of(library, max_bytes=3)
    results = codec.encode_ndjson(b"[1\r\n\r\n[1]\r\n[1]\r\r\n[1\r", tenant=TENANT).splitlines()
    offsets = [None if line.startswith(b"sgl1_") else json.loads(line)["offset"] for line in results]
    assert offsets == [2, 0, None, 3, 3]


@pytest.mark.parametrize("form", ["text", "strand", "token"])
def test_lines_are_sealed_in_order(codec: Any, form: str) -> None:
    """Each line of a large text gets its seal, in the form asked for."""
    payloads = [{"n": number, "pad": "é" * (number * 7 % 500)} for number in range(150)]
    lines = "".join(json.dumps(payload, ensure_ascii=False) + "\n" for payload in payloads)
    for given_lines in (lines, lines.encode(), bytearray(lines.encode()), memoryview(lines.encode())):
        sigils = (
            codec.encode_ndjson(given_lines, tenant=TENANT, form=form, expires_in=9).decode().splitlines()
        )
        outcomes = codec.verify_many(sigils, payloads, tenant=TENANT)
        assert [outcome.text for outcome in outcomes] == [codec.decode(sigil).text for sigil in sigils]
        assert ("." in sigils[0]) == (form == "token")


def test_bad_line_stops_no_other(codec: Any) -> None:
    """A bad line's result says what is wrong and where, in compact JSON."""
    lines = b'{"a":1}\n{"\xc3\xa9~/":[1,]}\n[1,2]\n\xff\n9007199254740993\n"x"'
    results = codec.encode_ndjson(lines, tenant=TENANT).split(b"\n")
    assert [result[:5] for result in results] == [
        b"sgl1_",
        b'{"err',
        b"sgl1_",
        b'{"err',
        b'{"err',
        b"sgl1_",
        b"",
    ]
    assert (
        results[1]
        == (
            '{"error":"syntax","message":"expected a value (byte 11, pointer \\"/\\\\u00e9~0~1/1\\")",'
            '"pointer":"/é~0~1/1","offset":11}'
        ).encode()
    )
    assert (
        results[3] == b'{"error":"invalid_utf8","message":"invalid UTF-8 (byte 0)","pointer":"","offset":0}'
    )
    assert json.loads(results[4])["error"] == "integer_range"


def test_lone_surrogate_of_a_str_is_a_bad_line(codec: Any) -> None:
    """What a str holds and UTF-8 cannot is told of its line alone."""
    results = codec.encode_ndjson('1\n"\ud800"\n2', tenant=TENANT).splitlines()
    assert json.loads(results[1]) == {
        "error": "lone_surrogate",
        "message": "lone surrogate (byte 1)",
        "pointer": "",
        "offset": 1,
    }
    assert len(results) == 3


def test_limits_concern_each_line(library: SimpleNamespace) -> None:
    """max_bytes is the longest line, without its line feed."""
    codec = codec_of(library, max_bytes=4)
    results = codec.encode_ndjson(b"1234\n12345\n1234\n", tenant=TENANT).splitlines()
    assert [result[:5] == b"sgl1_" for result in results] == [True, False, True]
    assert json.loads(results[1])["offset"] == 4


def test_binary_form_fits_no_line(codec: Any) -> None:
    """Lines are text."""
    with pytest.raises(InvalidOptionError, match='form must be "text", "strand" or "token"'):
        codec.encode_ndjson(b"1", tenant=TENANT, form="binary")


def test_lines_need_a_key_if_one_is_good(library: SimpleNamespace) -> None:
    """Without a key bad lines are still told of, and good ones raise."""
    codec = library.SigilCodec(library.KeyRing())
    assert codec.encode_ndjson(b"", tenant="t") == b""
    assert codec.encode_ndjson(b"{\n[", tenant="t").count(b'{"error"') == 2
    with pytest.raises(NoActiveKeyError):
        codec.encode_ndjson(b"{\n1", tenant="t")


@pytest.mark.parametrize("lines", [None, 1, [b"1"]])
def test_lines_are_text(codec: Any, lines: Any) -> None:
    """Other types are the caller's mistake."""
    for call in (codec.encode_ndjson, codec.verify_ndjson):
        with pytest.raises(TypeError, match=f"lines must be str or bytes-like, not {type(lines).__name__}"):
            call(lines, tenant=TENANT)


# -- lines to verify ---------------------------------------------------------------


def verdict(codec: Any, line: str | bytes) -> dict[str, Any]:
    """What is said about one line."""
    result = codec.verify_ndjson(line, tenant=TENANT, now=NOW)
    assert result.endswith(b"\n")
    assert result.count(b"\n") == 1
    verdict: dict[str, Any] = json.loads(result)
    return verdict


def test_good_line_tells_the_fields(codec: Any) -> None:
    """Members may come in any order and spelling; the sigil in any form of text."""
    raw = make_sigil(b'{"a":1,"sigil":"x"}', expires_ms=1_800_000_000_000)
    sigil = codec.decode(raw)
    expected = {
        "valid": True,
        "id": sigil.id,
        "key_id": f"{key_id_of(SECRET):08x}",
        "issued_at_ms": sigil.issued_at_ms,
        "expires_at_ms": 1_800_000_000_000,
    }
    data = '{"sigil":"x", "a":1e0}'
    assert verdict(codec, f'{{"sigil":"{sigil.text}","data":{data}}}') == expected
    assert verdict(codec, f' {{"data" : {data} , "sigil":"{sigil.strand}"}} \r\n') == expected
    escaped = "".join(f"\\u{ord(character):04x}" for character in sigil.text)
    assert verdict(codec, f'{{"d\\u0061ta":{data},"sigil":"{escaped}"}}') == expected
    token = as_token(raw, b'{"a":1,"sigil":"x"}')
    assert verdict(codec, f'{{"data":{data},"sigil":"{token}"}}') == expected
    line = codec.verify_ndjson(f'{{"data":{data},"sigil":"{token}"}}', tenant=TENANT, now=NOW)
    assert line == json.dumps(expected, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "syntax"),
        ("{", "syntax"),
        ('{"sigil":"%s","data":1', "syntax"),
        ('{"sigil":"%s","sigil":"%s","data":1}', "duplicate_name"),
        ('{"sigil":"%s","data":9007199254740992}', "integer_range"),
        ('{"sigil":"x","data":1}', "format"),
        ('{"sigil":"","data":1}', "format"),
        ('{"sigil":"\\"","data":1}', "format"),
        ('{"sigil":"\\ud83d\\ude00","data":1}', "format"),
        ('{"sigil":"%s","data":2}', "tag_mismatch"),
        ('{"sigil":"%s.MQ","data":2}', "tag_mismatch"),
        ('{"sigil":"%s.Mg","data":1}', "tag_mismatch"),
    ],
)
def test_bad_line_tells_why(codec: Any, line: str, code: str) -> None:
    """A refused line has the error's code and message."""
    answer = verdict(codec, line.replace("%s", as_text(make_sigil(b"1"))) + "\n")
    assert list(answer) == ["valid", "error", "message"]
    assert (answer["valid"], answer["error"]) == (False, code)


@pytest.mark.parametrize(
    "line",
    [
        "1",
        "[]",
        "{}",
        '"x"',
        '{"sigil":"%s"}',
        '{"data":1}',
        '{"data":"%s"}',
        '{"sigil":1,"data":1}',
        '{"sigil":null,"data":1}',
        '{"sigil":{"sigil":"%s"},"data":1}',
        '{"sigil":"%s","data":1,"a":1}',
        '{"sigil":"%s","data":1,"e":1}',
        '{"sigil":"x","data":1,"e":1}',
        '{"sigil":"%s","data":1,"z":1}',
        '{"sigil":"%s","data":1,"z":"z"}',
        '{"sigil":"%s","data":1,"z":",\\"sigil\\":\\"%s"}',
        '{"data":{"a":1,"sigil":"%s"}}',
        '{"data":{"a":1,"sigil":"%s"},"z":"z"}',
        '{"data":[{"a":1,"sigil":"%s"}],"sigill":"%s"}',
        '{"Sigil":"%s","data":1}',
        '[{"data":1,"sigil":"%s"}]',
    ],
)
def test_line_has_two_members(codec: Any, line: str) -> None:
    """A line that is JSON but not a sigil and its data says so."""
    answer = verdict(codec, line.replace("%s", as_text(make_sigil(b"1"))))
    assert answer == {"valid": False, "error": "line", "message": LINE_RULE}


def test_lines_to_verify_may_nest_as_deep_as_sealed_ones(library: SimpleNamespace) -> None:
    """The line's own object is no level of the data."""
    codec = codec_of(library, max_depth=2)
    sealed = codec.encode_json("[[1]]", tenant=TENANT)
    lines = f'{{"sigil":"{sealed}","data":[[1]]}}\n{{"sigil":"{sealed}","data":[[[1]]]}}'
    answers = [json.loads(line) for line in codec.verify_ndjson(lines, tenant=TENANT).splitlines()]
    assert [answer["valid"] for answer in answers] == [True, False]
    assert answers[1]["error"] == "nesting_too_deep"


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    payloads=st.lists(
        st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=5), st.lists, max_leaves=5)
    )
)
def test_sealed_lines_verify(backend: str, payloads: list[Any]) -> None:
    """Whatever was sealed line by line verifies line by line."""
    codec = codec_of(load_backend(backend))
    lines = "\n".join(map(json.dumps, payloads))
    sigils = codec.encode_ndjson(lines, tenant=TENANT).decode().splitlines()
    pairs = "\n".join(
        json.dumps({"sigil": sigil, "data": payload}) for sigil, payload in zip(sigils, payloads, strict=True)
    )
    answers = codec.verify_ndjson(pairs, tenant=TENANT).splitlines()
    assert all(json.loads(answer)["valid"] for answer in answers)
    assert len(answers) == len(payloads)


def test_other_threads_run_while_a_long_line_is_verified() -> None:
    """The compiled backend holds nobody up; the key is unknown, so that no time goes into the tag."""
    codec = codec_of(load_backend("native"))
    data = json.dumps([{"b": i, "a": "x" * 50} for i in range(200_000)]).encode()
    line = b'{"sigil":"%s","data":%s}' % (as_text(make_sigil(b"", secret=b"B" * 32)).encode(), data)
    outcomes: list[bytes] = []
    seen = ticks_meanwhile(
        lambda: outcomes.extend(codec.verify_ndjson(line, tenant=TENANT) for _ in range(3))
    )
    assert all(b'"unknown_key"' in outcome for outcome in outcomes)
    assert seen >= 10
