"""Inputs that come close to the edges of JSON."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any, NamedTuple

from hypothesis import strategies as st

CORNERS = [
    "0", "-0", "-0.0", "1E400", "-1e400", "1e-400", "4.9e-324", "2.2250738585072014e-308",
    "9007199254740991", "-9007199254740991", "9007199254740992", "-9007199254740993",
    "9007199254740993.0", "1e21", "123456789012345678901", "1e-7", "0.000001", "333333333.33333329",
    "01", "-", "+1", "1.", ".5", "1.e5", "1e", "1e+", "0x1", "1_0", "NaN", "Infinity", "-Infinity",
    "1" * 4300, "1" * 4301, "-" + "9" * 4300, "0." + "0" * 400 + "1", "1" * 400 + ".0", "1" * 310 + "e-5",
    "true", "false", "null", "tru", "True", "nul", "nullx", "fals\u00e9",
    '"', '""', '"\\', '"\\u', '"\\u12', '"\\u12g4"', '"\\x"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"',
    '"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\\ud83d\\ud83d\\ude00"', '"\\ud83dx"',
    '"\\ud83d\\u0041"', '"\\ud83d\\', '"\\u0000\\u001f\\u007f\\u2028"', '"\t"',
    '"\x7f"', '"\u2028\ufffe\uffff"',
    "[", "]", "{", "}", ",", ":", " ", "\t", "\n", "\r", "\x0c", "\xa0", "\ufeff", "\x00",
    "[]", "{}", "[1,]", "[,1]", '{"a":1,}', '{"a"}', '{"a":}', '{,}', '{"a" 1}', '{"a":1 "b":2}', "{1:2}",
    '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"~/":[{"":[0,01]}]}', '{"\ue000":1,"\U0001f600":2,"\ufb33":3}',
]  # fmt: skip
_BAD_UTF8 = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x80\x80", b"\xe2\x82", b"\xed\xa0\x80",
    b"\xed\xbf\xbf", b"\xef\xbb\xbf", b"\xf0\x80\x80\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80",
    b"\xf5", b"\xff", b"\xf4\x8f\xbf\xbf", b"\xc3\xa9", b"\xe2\x82\xac",
]  # fmt: skip

corners = st.sampled_from(CORNERS)
any_text = st.text(st.characters(exclude_categories=[]), max_size=12)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=25,
)


@st.composite
def json_documents(draw: st.DrawFn) -> str:
    """A JSON text with white space, escapes and corner cases at random."""
    value = draw(json_values)
    return json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 1, "\t"])),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
    )


@st.composite
def nearly_json(draw: st.DrawFn) -> bytes:
    """A JSON text after a few cuts, repetitions and insertions."""
    text = draw(json_documents() | corners).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 3)))
        piece = draw(
            st.just(b"")
            | st.binary(max_size=3)
            | st.sampled_from(_BAD_UTF8)
            | corners.map(lambda corner: corner.encode("utf-8", "surrogatepass"))
            | st.just(text[start : start + 8])
        )
        text = text[:start] + piece + text[end:]
    return text


def wrapped(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A text inside of many brackets, some of them open."""
    return st.builds(
        lambda before, text, after: before * (len(after) // 2 + 1) + text + after,
        st.sampled_from([b"[", b'{"a":', b'[{"k":']),
        inner,
        st.sampled_from([b"", b"]", b"}", b"]]]]", b"}}}}", b"}]}]}]}]", b"]" * 600]),
    )


class Number(IntEnum):
    """An int by another name."""

    ONE = 1


class Pair(NamedTuple):
    """A tuple by another name."""

    left: object
    right: object


class LoudStr(str):
    """A str whose own methods must never be called, and that equals nothing but itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __str__(self) -> str:
        raise AssertionError

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Not to be called."""
        raise AssertionError


class LoudDict(dict[Any, Any]):
    """A dict whose own methods must never be called."""

    def __iter__(self) -> Any:
        raise AssertionError

    def items(self) -> Any:
        """Not to be called."""
        raise AssertionError

    def keys(self) -> Any:
        """Not to be called."""
        raise AssertionError


class LoudList(list[Any]):
    """A list whose own methods must never be called."""

    def __iter__(self) -> Any:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError


class FalseFloat(float):
    """A float that lies about itself."""

    def __repr__(self) -> str:
        return "0"

    def __float__(self) -> float:
        return 0.0


class FalseInt(int):
    """An int that lies about itself."""

    def __str__(self) -> str:
        return "0"

    def __int__(self) -> int:
        return 0


_EDGE_INTEGERS = [2**53 - 1, 2**53, 2**53 + 1, 2**60, 2**62, 2**63, 2**64, 2**70, 2**90, 10**309, 10**4299]
_EDGE_INTEGERS += [10**21 - 1, 10**21, 10**22, 999_999_999_999_999_868_928]
integers = st.integers() | st.sampled_from(_EDGE_INTEGERS + [-number for number in _EDGE_INTEGERS])
_scalars = (
    st.none()
    | st.booleans()
    | integers
    | st.floats()
    | any_text
    | st.sampled_from(CORNERS)
    | st.builds(LoudStr, any_text)
    | st.builds(FalseFloat, st.floats())
    | st.builds(FalseInt, integers)
    | st.just(Number.ONE)
    | st.sampled_from([b"x", {1}, object, 1j, bytearray(b""), range(3), memoryview(b"")])
)
_INDEX_LIKE = [
    "0",
    "1",
    "10",
    "01",
    "-1",
    "4294967294",
    "4294967295",
    "4294967296",
    "1.0",
    "00",
    "9",
    "٣",
    "",
]
_names = (
    any_text
    | st.sampled_from(_INDEX_LIKE)
    | st.builds(LoudStr, st.sampled_from(["a", "b", "0", "\ud83d", "\ud83d\ude00", "😀", "\ue000"]))
    | st.sampled_from(["\ud83d\ude00", "😀", "\ue000", "~/"])
)
_bad_names = st.sampled_from([1, None, b"a", True, 1.5, ("a",)])
python_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(LoudList)
        | st.builds(Pair, inner, inner)
        | st.dictionaries(_names, inner, max_size=6)
        | st.dictionaries(_names | _bad_names, inner, max_size=4)
        | st.dictionaries(_names, inner, max_size=4).map(LoudDict)
    ),
    max_leaves=15,
)


@st.composite
def deep_values(draw: st.DrawFn) -> Any:
    """A value under many containers, around the limits of depth."""
    value: Any = draw(st.sampled_from([1, None, [], {}, "x", float("nan"), b"x"]))
    kinds = draw(st.lists(st.sampled_from("ltdm"), min_size=1, max_size=4))
    inner = draw(st.sampled_from([1, [], {"z": {}, "a": [True]}, {"\ud800": 1}, {1: 1}]))
    for level in range(
        draw(st.sampled_from([1, 2, 3, 5, 509, 510, 511, 512, 513, 2046, 2047, 2048, 2049, 5000]))
    ):
        kind = kinds[level % len(kinds)]
        if kind == "m":
            value = {"z": [], "k": value, "é": inner}
        else:
            value = [value] if kind == "l" else (value,) if kind == "t" else {"k": value}
    return value


options = st.fixed_dictionaries(
    {},
    optional={
        "integers": st.sampled_from(["safe", "exact"]),
        "max_depth": st.sampled_from([1, 2, 3, 10, 511, 512, 513, 2047, 2048]),
        "max_bytes": st.none() | st.integers(0, 60) | st.sampled_from([10**6, 2**64, 10**30]),
    },
)
_anything: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1, 2049, 2**31, 2**64, 1.0, float("nan"), "safe", "exact", b"safe", "", []]
)
bad_options = st.fixed_dictionaries(
    {}, optional={"integers": _anything, "max_depth": _anything, "max_bytes": _anything}
)
