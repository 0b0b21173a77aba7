"""canonicalize_json: what it accepts and writes, by every implementation."""

from __future__ import annotations

import array
import json
import random

import pytest

from sigil_native.errors import (
    CanonicalizationError,
    DocumentTooLargeError,
    DuplicateNameError,
    InvalidOptionError,
    LoneSurrogateError,
    NestingTooDeepError,
)
from tests.text_backends import Canonicalize, implementations

IMPLEMENTATIONS = implementations()


@pytest.fixture(params=IMPLEMENTATIONS)
def canonicalize(request: pytest.FixtureRequest) -> Canonicalize:
    """Each implementation in turn."""
    return IMPLEMENTATIONS[request.param]


FORMS: list[tuple[str, str]] = [
    ("null", "null"),
    (" [ ] ", "[]"),
    ('\t{\r\n"b" : 1 ,"a": [ true , false ] }\n', '{"a":[true,false],"b":1}'),
    ('{"a":{"z":1,"y":{"d":[{"n":1,"m":2}],"c":0}}}', '{"a":{"y":{"c":0,"d":[{"m":2,"n":1}]},"z":1}}'),
    ('["a b\tc"]'.replace("\t", "\\t"), '["a b\\tc"]'),
    ('"\\/\\u002f\\u0041\\u00e9\\u20AC\\uD83D\\uDE00"', '"//Aé€😀"'),
    ('"\\u0022\\u005C\\u0008\\u000c\\u000A\\u000d\\u0009"', '"\\"\\\\\\b\\f\\n\\r\\t"'),
    ('"\\u001F\\u0000\\u001f"', '"\\u001f\\u0000\\u001f"'),
    ('"\x7f\u2028\ufeff"', '"\x7f\u2028\ufeff"'),
    ('{"\\u0062":1,"a\\/":2}', '{"a/":2,"b":1}'),
    ('{"\ue000":1,"\U00010000":2,"é":3}', '{"é":3,"\U00010000":2,"\ue000":1}'),
    ('{"a\\u0000":1,"a":2}', '{"a":2,"a\\u0000":1}'),
    ('{"prefixed_b":1,"prefixed_a":2,"prefixed":3}', '{"prefixed":3,"prefixed_a":2,"prefixed_b":1}'),
    ('{"":1}', '{"":1}'),
    ('{"b":1,"":2}', '{"":2,"b":1}'),
]


def test_canonical_form(canonicalize: Canonicalize) -> None:
    """White space goes, members are sorted by UTF-16, strings have their one spelling."""
    for text, canonical in FORMS:
        assert canonicalize(text) == canonical.encode()
        assert canonicalize(text.encode()) == canonical.encode()


NUMBERS: list[tuple[str, str]] = [
    ("0", "0"),
    ("-0", "0"),
    ("-0.0", "0"),
    ("0e99999999999999999999", "0"),
    ("1.50", "1.5"),
    ("10.00", "10"),
    ("0.5", "0.5"),
    ("0.000001", "0.000001"),
    ("0.0000001", "1e-7"),
    ("-0.05", "-0.05"),
    ("1e0", "1"),
    ("1E+2", "100"),
    ("123456789012345", "123456789012345"),
    ("12345678901234.5", "12345678901234.5"),
    ("1234567890123456", "1234567890123456"),
    ("9007199254740991", "9007199254740991"),
    ("-9007199254740991", "-9007199254740991"),
    ("9007199254740993.0", "9007199254740992"),
    ("1e20", "100000000000000000000"),
    ("1e21", "1e+21"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("5e-324", "5e-324"),
    ("2e-324", "0"),
    ("-1e-99999999999999999999", "0"),
    ("0.1000000000000000055511151231257827", "0.1"),
    ("333333333.33333329", "333333333.3333333"),
]


def test_numbers(canonicalize: Canonicalize) -> None:
    """Numbers are correctly rounded and written by ECMAScript's Number::toString, wherever they stand."""
    for text, canonical in NUMBERS:
        assert canonicalize(text) == canonical.encode()
        assert canonicalize(f' [{text} , {{"a":{text}}}]') == f'[{canonical},{{"a":{canonical}}}]'.encode()


@pytest.mark.parametrize("digits", ["9007199254740992", "1" + "0" * 4299, "-" + "9" * 4300])
def test_exact_integers(canonicalize: Canonicalize, digits: str) -> None:
    """Exact mode keeps up to 4300 digits, whatever binary64 would make of them."""
    assert canonicalize(digits, integers="exact") == digits.encode()


def test_every_size_and_alignment(canonicalize: Canonicalize) -> None:
    """Texts of all lengths around those of vectors, with a quote, an escape or white space at every place."""
    for size in range(150):
        filler = "x" * size
        assert canonicalize(f'"{filler}"') == f'"{filler}"'.encode()
        assert canonicalize(f'"{filler}\\u0041"') == f'"{filler}A"'.encode()
        assert canonicalize(f'"{filler}\\\\"') == f'"{filler}\\\\"'.encode()
        assert canonicalize(f'["{filler}é", 1 ]') == f'["{filler}é",1]'.encode()
        assert canonicalize(" " * size + "12" + " " * size) == b"12"
        assert canonicalize(f'{{"{filler}b":1,"{filler}a":2}}') == f'{{"{filler}a":2,"{filler}b":1}}'.encode()
        for broken in (f'["{filler}",1 2]', "[1 " + " " * size + "2]", f'"{filler}', f'"{filler}\\'):
            with pytest.raises(CanonicalizationError):
                canonicalize(broken)


def test_bytes_like_and_str_give_the_same(canonicalize: Canonicalize) -> None:
    """Every buffer of bytes, and str and its subclasses, hold the same text."""

    class Text(str):
        """A str with another type."""

        __slots__ = ()

    source = '{"b":"é","a":1}'
    raw = source.encode()
    expected = '{"a":1,"b":"é"}'.encode()
    inputs = [source, Text(source), raw, bytearray(raw), memoryview(b"  " + raw)[2:], array.array("B", raw)]
    assert [canonicalize(text) for text in inputs] == [expected] * len(inputs)


@pytest.mark.parametrize("text", [None, 1, ["{}"], {"a": 1}])
def test_other_types(canonicalize: Canonicalize, text: object) -> None:
    """What is neither text nor bytes is the caller's mistake."""
    with pytest.raises(TypeError, match=f"^text must be str or bytes-like, not {type(text).__name__}$"):
        canonicalize(text)


def test_strided_buffers_are_refused(canonicalize: Canonicalize) -> None:
    """A view that skips bytes is not a text."""
    with pytest.raises(TypeError, match=r"^text must be contiguous$"):
        canonicalize(memoryview(b"1 2 3 ")[::2])


def test_options_are_checked(canonicalize: Canonicalize) -> None:
    """Unknown, unfit and mistyped options are refused before the text is looked at."""
    cases: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"integers": "big"}, InvalidOptionError, 'integers must be "safe" or "exact"'),
        ({"max_depth": 0}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": 2049}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": True}, TypeError, "max_depth must be int, not bool"),
        ({"max_bytes": -1}, InvalidOptionError, "max_bytes must not be negative"),
        ({"max_bytes": 1.0}, TypeError, "max_bytes must be int or None, not float"),
    ]
    for options, kind, message in cases:
        with pytest.raises(kind) as caught:
            canonicalize("{", **options)
        assert str(caught.value) == message
    assert canonicalize("{}", max_bytes=2**80) == b"{}"


def test_depth(canonicalize: Canonicalize) -> None:
    """The limit is on containers, the outermost counted as 1, up to 2048."""
    for limit in (1, 2, 512, 2048):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            fits = opening * (limit - 1) + ("[]" if opening == "[" else "{}") + closing * (limit - 1)
            assert canonicalize(fits, max_depth=limit) == fits.encode()
            with pytest.raises(NestingTooDeepError) as caught:
                canonicalize(opening + fits + closing, max_depth=limit)
            assert caught.value.offset == len(opening) * limit
            assert caught.value.pointer == ("/0" if opening == "[" else "/a") * limit
    assert canonicalize("[" * 512 + "]" * 512) == b"[" * 512 + b"]" * 512


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":1,"a":'])
def test_a_million_brackets(canonicalize: Canonicalize, opening: str) -> None:
    """Hostile nesting is refused at the limit, without a crash."""
    with pytest.raises(NestingTooDeepError) as caught:
        canonicalize(opening * 1_000_000)
    assert caught.value.pointer.count("/") == 512


def test_deep_unsorted_objects(canonicalize: Canonicalize) -> None:
    """Objects out of order inside one another, down to the limit, are each sorted."""
    text = '{"b":1,"a":' * 2048 + "0" + "}" * 2048
    assert canonicalize(text, max_depth=2048) == b'{"a":' * 2048 + b"0" + b',"b":1}' * 2048


def test_max_bytes(canonicalize: Canonicalize) -> None:
    """The limit is on the text's size in UTF-8, and comes before any other problem."""
    assert canonicalize("é1"[1:], max_bytes=1) == b"1"
    for text, size in (('"é"', 3), (b"\xef\xbb\xbf1", 2), ("[" * 1000, 999), ("\ud800", 2), ("", 0)):
        if size == len(text) == 0:
            continue
        with pytest.raises(DocumentTooLargeError) as caught:
            canonicalize(text, max_bytes=size)
        assert (caught.value.offset, caught.value.pointer) == (size, "")
    assert canonicalize('"é"', max_bytes=4) == '"é"'.encode()


def test_large_objects(canonicalize: Canonicalize) -> None:
    """Many members, in any order and with names that begin alike, are sorted by UTF-16 units."""
    rng = random.Random(20260101)
    for count in (2, 3, 8, 9, 16, 17, 63, 64, 65, 2000):
        for prefix in ("", "the same beginning ", "\ue000", "\U0001f600", "\\u0041"):
            names = [f"{prefix}{rng.randrange(10**6)}{suffix}" for suffix in "ab" for _ in range(count)]
            names = list(dict.fromkeys(names))[:count]
            plain = [json.loads(f'"{name}"') for name in names]
            members = sorted(
                zip(plain, range(count), strict=True), key=lambda pair: pair[0].encode("utf-16-be")
            )
            expected = ",".join(f'"{name}":{value}' for name, value in members)
            text = ",".join(f'"{name}":{value}' for value, name in enumerate(names))
            assert canonicalize(f"{{{text}}}") == f"{{{expected}}}".encode()


def test_duplicates_among_many(canonicalize: Canonicalize) -> None:
    """One duplicate is found wherever it stands, in small and in large objects."""
    for count in (2, 5, 20, 64, 65, 300):
        for first in (0, count // 2):
            names = [f"member number {i:04}" for i in range(count)]
            names.append(names[first])
            text = "{" + ",".join(f'"{name}":0' for name in names) + "}"
            with pytest.raises(DuplicateNameError) as caught:
                canonicalize(text)
            assert caught.value.pointer == f"/{names[first]}"
            assert caught.value.offset == text.rindex('"member')


def test_surrogates_in_a_str(canonicalize: Canonicalize) -> None:
    """Half of a surrogate pair in a str is called by that name, with its place in UTF-8."""
    with pytest.raises(LoneSurrogateError) as caught:
        canonicalize('{"é":["\ud800"]}')
    assert (caught.value.offset, caught.value.pointer) == (8, "/é/0")
    with pytest.raises(LoneSurrogateError):
        canonicalize("\udc00")


def test_canonical_texts_are_kept(canonicalize: Canonicalize) -> None:
    """A canonical text is its own canonical form."""
    for text in ('{"a":[1,"\\u0001",{"b":1.5}],"prefixed1":2,"prefixed2":3}', "[]", '"\\\\"'):
        assert canonicalize(text) == text.encode()


def test_large_texts_leave_nothing_behind(canonicalize: Canonicalize) -> None:
    """After a text of a megabyte, and after a refused one, small ones are as before."""
    large = json.dumps([{"name": f"n{i}" * 100, "a": [i, i / 8, None]} for i in range(3_000)])
    assert len(canonicalize(large)) > 2**20
    with pytest.raises(CanonicalizationError):
        canonicalize(large[:-1])
    assert canonicalize('{"b":1,"a":2}') == b'{"a":2,"b":1}'
