"""Both backends give the same canonical JSON, or the same error at the same place."""

from __future__ import annotations

import array
import ctypes
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.parity.outcomes import NATIVE, PURE, assert_same
from tests.parity.strategies import (
    CORNERS,
    any_text,
    bad_options,
    corners,
    deep_values,
    integers,
    json_documents,
    json_values,
    nearly_json,
    options,
    python_values,
    wrapped,
)

# -- text --------------------------------------------------------------------------


@given(text=st.binary(max_size=60), settings=options)
def test_arbitrary_bytes(text: bytes, settings: dict[str, Any]) -> None:
    """Arbitrary bytes come to the same."""
    assert_same("canonicalize_json", text, **settings)


@given(text=json_documents(), settings=options)
def test_documents(text: str, settings: dict[str, Any]) -> None:
    """Valid documents come to the same, as str and as bytes."""
    assert assert_same("canonicalize_json", text, **settings) == assert_same(
        "canonicalize_json", text.encode(), **settings
    )


@given(text=nearly_json(), settings=options)
def test_damaged_documents(text: bytes, settings: dict[str, Any]) -> None:
    """A document after a few changes comes to the same; the first problem is the same one."""
    assert_same("canonicalize_json", text, **settings)


@given(text=wrapped(nearly_json()), padding=st.integers(0, 200))
def test_damaged_documents_at_any_alignment(text: bytes, padding: int) -> None:
    """White space before a document moves the problem, and changes nothing else."""
    assert_same("canonicalize_json", b" " * padding + text)


@given(pieces=st.lists(corners, max_size=6), separator=st.sampled_from(["", " ", ","]), settings=options)
def test_corners_put_together(pieces: list[str], separator: str, settings: dict[str, Any]) -> None:
    """Pieces of JSON in any order come to the same, as str and as bytes."""
    text = separator.join(pieces)
    for form in (text, text.encode("utf-8", "surrogatepass"), f"[{text}]", f'{{"k":[{text}]}}'):
        assert_same("canonicalize_json", form, **settings)


@given(text=any_text, settings=options)
def test_str_with_surrogates(text: str, settings: dict[str, Any]) -> None:
    """A surrogate in a str is found in the same place, bare, in a string and in a name."""
    for form in (text, f'"{text}"', f'{{"{text}":1}}', f'["é{text}"]'):
        assert_same("canonicalize_json", form, **settings)


@given(
    kind=st.sampled_from([b"[", b'{"a":', b'[{"k":']),
    count=st.sampled_from([1, 2, 511, 512, 513, 1024, 2047, 2048, 2049, 100_000]),
    closed=st.booleans(),
    depth=st.sampled_from([1, 511, 512, 513, 2048]),
)
def test_depth(kind: bytes, count: int, closed: bool, depth: int) -> None:
    """Nesting is refused at the same bracket, however deep it goes."""
    closing = b"".join({91: b"]", 123: b"}"}.get(byte, b"") for byte in reversed(kind))
    text = kind * count + b"1" + (closing * count if closed else b"")
    assert_same("canonicalize_json", text, max_depth=depth)


@pytest.mark.parametrize("bracket", ["[", '{"":', "]", "}"])
def test_million_brackets(bracket: str) -> None:
    """A million brackets are an error like any other."""
    assert_same("canonicalize_json", bracket * 1_000_000, max_depth=2048)


@given(names=st.lists(any_text | st.sampled_from(["a", "~", "/", "\ue000", "😀", "é"]), max_size=12))
def test_names_are_sorted_and_compared_alike(names: list[str]) -> None:
    """Order and duplicates of names are the same, whatever their spelling."""
    for ascii_only in (True, False):
        members = ",".join(f"{json.dumps(name, ensure_ascii=ascii_only)}:{n}" for n, name in enumerate(names))
        assert_same("canonicalize_json", "{" + members + "}")


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1.7976931348623157e308)
@example(9007199254740993.0)
@example(1e23)
def test_floats(value: float) -> None:
    """Every binary64 is written alike, from text and from a value."""
    text = f"[{value!r},{value:.25e},{value:.17g}]"
    by_text = assert_same("canonicalize_json", text, integers="exact")
    by_value = assert_same("canonicalize", value)
    assert by_text[1].startswith(b"[" + by_value[1] + b",") or abs(value) >= 1e16


@given(
    text=st.from_regex(r"-?[0-9]{0,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{0,4})?", fullmatch=True),
    settings=options,
)
def test_numbers(text: str, settings: dict[str, Any]) -> None:
    """Digits in any number come to the same, rounding included."""
    assert_same("canonicalize_json", text, **settings)
    assert_same("canonicalize_json", f"[0,{text}]", **settings)


@given(
    size=st.sampled_from([1000, 16_383, 16_384, 20_000, 70_000]),
    tail=nearly_json(),
    document=json_documents(),
)
def test_large_texts(size: int, tail: bytes, document: str) -> None:
    """Large texts, for which the GIL is released, come to the same."""
    text = b"[" + (document.encode() + b",") * (size // (len(document) + 1)) + tail + b"]"
    assert_same("canonicalize_json", text)


@pytest.mark.parametrize(
    "text",
    [
        None, 1, [b"1"], memoryview(b"[1]"), bytearray(b"[1]"), array.array("B", b"[1]"),
        array.array("H", b"[1] "), memoryview(b"[12]").cast("B", (2, 2)), memoryview(b"[x1x]x")[::2],
        (ctypes.c_uint16 * 2)(0x315B, 0x205D), type("Text", (str,), {})("[1]"),
        type("Text", (bytes,), {})(b"[1]"),
    ],
    ids=lambda text: type(text).__name__,
)  # fmt: skip
def test_kinds_of_text(text: object) -> None:
    """What counts as text is the same for both."""
    assert_same("canonicalize_json", text)


@given(text=st.sampled_from([b"[1]", "[1]", b"[", None, 1]), settings=bad_options)
def test_options_of_text(text: Any, settings: dict[str, Any]) -> None:
    """Bad options have the same errors, in the same order with other mistakes."""
    assert_same("canonicalize_json", text, **settings)


# -- values ------------------------------------------------------------------------


@given(value=python_values, settings=options)
def test_python_values(value: object, settings: dict[str, Any]) -> None:
    """Any Python value comes to the same, or to the same error at the same place."""
    assert_same("canonicalize", value, **settings)


@given(value=deep_values(), depth=st.sampled_from([1, 3, 511, 512, 513, 2047, 2048]))
def test_deep_values(value: object, depth: int) -> None:
    """Depth counts alike for lists, tuples and dicts."""
    assert_same("canonicalize", value, max_depth=depth)


def test_value_that_holds_itself() -> None:
    """A circle is too deep, not endless."""
    circle: list[object] = []
    circle.append({"a": (circle,)})
    for depth in (1, 7, 512, 2048):
        assert_same("canonicalize", circle, max_depth=depth)
    assert_same("stringify", circle)


@given(value=integers, settings=options)
def test_integers(value: int, settings: dict[str, Any]) -> None:
    """Integers of any size come to the same."""
    assert_same("canonicalize", [value], **settings)
    assert_same("stringify", value)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("exponent", [308, 309, 400, 4299, 4300, 4301, 5000, 100_000])
def test_long_integers(sign: int, exponent: int) -> None:
    """Integers around the limits of binary64 and of 4300 digits come to the same."""
    for value in (sign * 10**exponent, sign * (10**exponent - 1), sign * 2 ** (3 * exponent)):
        for integer_mode in ("safe", "exact"):
            assert_same("canonicalize", [value], integers=integer_mode)
        assert_same("stringify", [value])


@given(value=python_values, settings=bad_options)
def test_options_of_values(value: object, settings: dict[str, Any]) -> None:
    """Bad options have the same errors."""
    assert_same("canonicalize", value, **settings)


@given(value=python_values)
def test_stringify(value: object) -> None:
    """JSON.stringify's bytes are the same."""
    assert_same("stringify", value)


@given(value=deep_values())
def test_stringify_of_deep_values(value: object) -> None:
    """Depth counts alike for JSON.stringify."""
    assert_same("stringify", value)


# -- between the doors -------------------------------------------------------------


@given(value=json_values)
def test_doors_agree(value: object) -> None:
    """A value and its text have one canonical form, which is its own canonical form."""
    outcomes = {
        repr(assert_same("canonicalize", value, integers="exact")),
        repr(assert_same("canonicalize_json", json.dumps(value), integers="exact")),
    }
    assert len(outcomes) == 1
    canonical = PURE.canonicalize(value, integers="exact")
    assert NATIVE.canonicalize_json(canonical, integers="exact") == canonical


@pytest.mark.parametrize("text", CORNERS)
def test_each_corner(text: str) -> None:
    """Each corner case comes to the same, at the root, in an array and in an object."""
    for form in (
        text,
        f" {text} ",
        f"[{text}]",
        f"[0,{text}",
        f'{{"a":{text}}}',
        f'{{"a":{text}',
        f"{text}{text}",
    ):
        for integer_mode in ("safe", "exact"):
            assert_same("canonicalize_json", form, integers=integer_mode)
