"""Every problem that canonicalize_json names, with its exact place."""

from __future__ import annotations

import pytest

from sigil_native._problems import canonicalization_error
from sigil_native.errors import CanonicalizationError
from tests.text_backends import Canonicalize, implementations

IMPLEMENTATIONS = implementations()

# Text, the problem's name in csrc/problem.h, byte offset, JSON Pointer.
PROBLEMS: list[tuple[bytes, str, int, str]] = [
    (b"", "unexpected_end", 0, ""),
    (b" \n", "unexpected_end", 2, ""),
    (b"[", "unexpected_end", 1, "/0"),
    (b"[1", "unexpected_end", 2, ""),
    (b"[1,", "unexpected_end", 3, "/1"),
    (b"{", "unexpected_end", 1, ""),
    (b'{"a"', "unexpected_end", 4, "/a"),
    (b'{"a":', "unexpected_end", 5, "/a"),
    (b'{"a":1', "unexpected_end", 6, ""),
    (b'{"a":1,', "unexpected_end", 7, ""),
    (b'{"a', "unexpected_end", 3, ""),
    (b'["a', "unexpected_end", 3, "/0"),
    (b'"\\', "unexpected_end", 2, ""),
    (b"tru", "unexpected_end", 3, ""),
    (b"-", "unexpected_end", 1, ""),
    (b"[1.", "unexpected_end", 3, "/0"),
    (b"1e", "unexpected_end", 2, ""),
    (b"1e+", "unexpected_end", 3, ""),
    (b"]", "expected_value", 0, ""),
    (b"[1,]", "expected_value", 3, "/1"),
    (b"[,1]", "expected_value", 1, "/0"),
    (b'{"a":}', "expected_value", 5, "/a"),
    (b"+1", "expected_value", 0, ""),
    (b".5", "expected_value", 0, ""),
    (b"NaN", "expected_value", 0, ""),
    (b"'a'", "expected_value", 0, ""),
    (b"\\", "expected_value", 0, ""),
    (b"\x00", "expected_value", 0, ""),
    (b"\xc2\xa01", "expected_value", 0, ""),
    (b"{,}", "expected_name_or_end", 1, ""),
    (b"{a:1}", "expected_name_or_end", 1, ""),
    (b'{"a":1,}', "expected_name", 7, ""),
    (b'[0,{"a":1,2}]', "expected_name", 10, "/1"),
    (b'{"a" 1}', "expected_colon", 5, "/a"),
    (b'{"a/~":{"b"}}', "expected_colon", 11, "/a~1~0/b"),
    (b'{"a":1 "b":2}', "expected_comma_or_brace", 7, ""),
    (b'{"a":truex}', "expected_comma_or_brace", 9, ""),
    (b'{"a":[1}', "expected_comma_or_bracket", 7, "/a"),
    (b"[1 2]", "expected_comma_or_bracket", 3, ""),
    (b"[tr ue]", "invalid_literal", 3, "/0"),
    (b"[01]", "expected_comma_or_bracket", 2, ""),
    (b"[-00]", "expected_comma_or_bracket", 3, ""),
    (b"[1 .5]", "expected_comma_or_bracket", 3, ""),
    (b'"a\nb"', "control_character", 2, ""),
    (b'{"a":"\x1f"}', "control_character", 6, "/a"),
    (b'{"x":{"\x00":1}}', "control_character", 7, "/x"),
    (b'"\\x"', "invalid_escape", 1, ""),
    (b'"a\\u12g4"', "invalid_escape", 2, ""),
    (b'"\\u12"', "invalid_escape", 1, ""),
    (b'"\\u12', "invalid_escape", 1, ""),
    (b'"\\\xff"', "invalid_escape", 1, ""),
    (b'{"\\q":1}', "invalid_escape", 2, ""),
    (b"[-a]", "invalid_number", 2, "/0"),
    (b"[1.e5]", "invalid_number", 3, "/0"),
    (b"[1e]", "invalid_number", 3, "/0"),
    (b"[1e+]", "invalid_number", 4, "/0"),
    (b"[- 1]", "invalid_number", 2, "/0"),
    (b"[1.\xff]", "invalid_number", 3, "/0"),
    (b"nul1", "invalid_literal", 3, ""),
    (b"[fAlse]", "invalid_literal", 2, "/0"),
    (b"[nul\xff]", "invalid_literal", 4, "/0"),
    (b"1 2", "trailing_data", 2, ""),
    (b"{}}", "trailing_data", 2, ""),
    (b'"a""b"', "trailing_data", 3, ""),
    (b"truefalse", "trailing_data", 4, ""),
    (b"1\x00", "trailing_data", 1, ""),
    (b"1 \xc3\xa9", "trailing_data", 2, ""),
    (b'"\xff"', "invalid_utf8", 1, ""),
    (b'"\xc0\x80"', "invalid_utf8", 1, ""),
    (b'"a\x80"', "invalid_utf8", 2, ""),
    (b'"\xe0\x9f\xbf"', "invalid_utf8", 1, ""),
    (b'"\xed\xa0\x80"', "invalid_utf8", 1, ""),
    (b'"\xf0\x8f\xbf\xbf"', "invalid_utf8", 1, ""),
    (b'"\xf4\x90\x80\x80"', "invalid_utf8", 1, ""),
    (b'"\xe2\x82"', "invalid_utf8", 1, ""),
    (b'"\xe2\x82', "invalid_utf8", 1, ""),
    (b'["a",\xff]', "invalid_utf8", 5, "/1"),
    (b"1\xff", "invalid_utf8", 1, ""),
    (b'{"a\xff":1}', "invalid_utf8", 3, ""),
    (b"\xef\xbb\xbf{}", "byte_order_mark", 0, ""),
    (b"\xef\xbb{}", "invalid_utf8", 0, ""),
    (b" \xef\xbb\xbf{}", "expected_value", 1, ""),
    (b'"\\ud800"', "lone_surrogate", 1, ""),
    (b'"a\\udc00"', "lone_surrogate", 2, ""),
    (b'"\\ud800\\u0041"', "lone_surrogate", 1, ""),
    (b'"\\ud800\\ud800\\udc00"', "lone_surrogate", 1, ""),
    (b'"\\ud800\\u', "lone_surrogate", 1, ""),
    (b'{"\\udfff":1}', "lone_surrogate", 2, ""),
    (b'{"a":1,"b":2,"a":3}', "duplicate_name", 13, "/a"),
    (b'[{"x":{"a/":1,"a\\/":2}}]', "duplicate_name", 14, "/0/x/a~1"),
    (b'{"a":1,"a"', "duplicate_name", 7, "/a"),
    (b"[1e309]", "non_finite_number", 1, "/0"),
    (b"-1e99999999999999999999", "non_finite_number", 0, ""),
    (b"[1e999x]", "non_finite_number", 1, "/0"),
    (b"9007199254740992", "integer_range", 0, ""),
    (b'{"a":-9007199254740992}', "integer_range", 5, "/a"),
    (b"[123456789012345678901234567890x", "integer_range", 1, "/0"),
]


@pytest.fixture(params=IMPLEMENTATIONS)
def canonicalize(request: pytest.FixtureRequest) -> Canonicalize:
    """Each implementation in turn."""
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize("problem", sorted({problem for _, problem, *_ in PROBLEMS}))
def test_problem(canonicalize: Canonicalize, problem: str) -> None:
    """The first thing wrong in byte order is named, with class, message, offset and pointer."""
    for text, named, offset, pointer in PROBLEMS:
        if named != problem:
            continue
        expected = canonicalization_error(problem, offset=offset, pointer=pointer)
        with pytest.raises(CanonicalizationError) as caught:
            canonicalize(text)
        error = caught.value
        assert (text, type(error), str(error)) == (text, type(expected), str(expected))
        assert (text, error.offset, error.pointer, error.index) == (text, offset, pointer, None)


def test_the_first_of_several_problems_wins(canonicalize: Canonicalize) -> None:
    """Whatever comes later in the text, and however it would be found, does not matter."""
    late = b',"a":1,"\xff":\x00,"\\ud800":1e999}}}'
    for text, problem, offset, pointer in PROBLEMS:
        if problem in ("unexpected_end", "byte_order_mark") or text.startswith(b'"'):
            continue
        if not text.startswith((b"[", b"{")):
            continue
        expected = str(canonicalization_error(problem, offset=offset, pointer=pointer))
        if text.endswith((b"]", b"}")):
            with pytest.raises(CanonicalizationError) as caught:
                canonicalize(text + late)
            assert str(caught.value) == expected


def test_too_many_digits(canonicalize: Canonicalize) -> None:
    """Exact mode stops at 4300 digits."""
    with pytest.raises(CanonicalizationError) as caught:
        canonicalize(b"[" + b"1" * 4301 + b"]", integers="exact")
    assert str(caught.value) == 'integer out of range (byte 1, pointer "/0")'


def test_numbers_inside_long_documents(canonicalize: Canonicalize) -> None:
    """Offsets and item numbers are right beyond the first blocks of a text."""
    for count in (10, 63, 64, 65, 1000):
        text = b"[" + b'{"a": "b"}, ' * count + b"nil]"
        with pytest.raises(CanonicalizationError) as caught:
            canonicalize(text)
        assert (caught.value.offset, caught.value.pointer) == (len(text) - 3, f"/{count}")
