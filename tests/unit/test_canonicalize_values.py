"""``canonicalize`` on Python values: what is written, what is refused and where."""

from __future__ import annotations

import collections
import enum
import importlib
import random
import sys
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from sigil_native.errors import (
    CanonicalizationError,
    DocumentTooLargeError,
    DuplicateNameError,
    IntegerRangeError,
    InvalidOptionError,
    LoneSurrogateError,
    NestingTooDeepError,
    NonFiniteNumberError,
    UnsupportedTypeError,
)
from tests.heavy import HEAVY
from tests.unit import loud


@pytest.fixture(params=["sigil_native._canonical_values", "sigil_native._pure.canonical"])
def values(request: pytest.FixtureRequest) -> ModuleType:
    """The module that has ``canonicalize``, once from each backend."""
    return importlib.import_module(request.param)


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    HIGH = 3


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-0.0, "0"),
        (-1, "-1"),
        (2**53 - 1, "9007199254740991"),
        (-(2**53) + 1, "-9007199254740991"),
        (2**30, "1073741824"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (123456789012.25, "123456789012.25"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (333333333.33333329, "333333333.3333333"),
        ("", '""'),
        ('a"\\\b\f\n\r\t\0\x1f\x7f', '"a\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("é\u2028ﬃ😀\uffff", '"é\u2028ﬃ😀\uffff"'),
        ([], "[]"),
        ((), "[]"),
        ({}, "{}"),
        ([1, [2, (3,)], {}], "[1,[2,[3]],{}]"),
        ({"b": 1, "a": {"d": [], "c": None}}, '{"a":{"c":null,"d":[]},"b":1}'),
        ({"": 1, "\0": 2, "aaaaaaaa": 3, "aaaaaaa": 4, "aaaaaaaab": 5}, None),
        ({"\ufb33": 1, "😀": 2, "é": 3, "€": 4, "1": 5, "\x80": 6, "\r": 7, "ÿ": 8, "ÿz": 9, "Ā": 0}, None),
    ],
)
def test_forms(values: ModuleType, value: object, expected: str | None) -> None:
    """Each kind of value has the form of RFC 8785, by itself and inside of others."""
    form = rfc8785.dumps(value) if expected is None else expected.encode()  # type: ignore[arg-type]
    assert values.canonicalize(value) == form
    assert values.canonicalize([value]) == b"[" + form + b"]"
    assert values.canonicalize({"a": value, "b": value}) == b'{"a":' + form + b',"b":' + form + b"}"


def test_string_lengths(values: ModuleType) -> None:
    """Strings of every length are whole, wherever a character stands that needs an escape."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    for length in (*range(70), 127, 128, 4095, 4096, 4097, 70_000):
        plain = (letters * (length // 36 + 1))[:length]
        assert values.canonicalize({plain: plain}) == f'{{"{plain}":"{plain}"}}'.encode()
        for place in {0, length // 2, length - 1} if length else ():
            for special in ('"', "\\", "\x1f", "é", "€", "😀", "ÿ", "\u8000"):
                text = plain[:place] + special + plain[place + 1 :]
                assert values.canonicalize(text) == rfc8785.dumps(text)


def test_every_code_point(values: ModuleType) -> None:
    """Each code point but the surrogates is written as it is, or as its escape."""
    for first in range(0, 0x110000, 0x800):
        if first != 0xD800:
            text = "".join(map(chr, range(first, first + 0x800)))
            assert values.canonicalize(text) == rfc8785.dumps(text)


@pytest.mark.parametrize(
    "alphabet",
    ["ab", "abcdefghijklmnopqrstuvwxyz", "a\0é", "aÿĀ\ud7ff\ue000\uffff\U00010000😀\U0010ffff"],
)
def test_member_order(values: ModuleType, alphabet: str) -> None:
    """Members come in the order of UTF-16 code units, whatever order they were added in."""
    for count in (*range(1, 40), 1000):
        random_source = random.Random(count)
        for _ in range((20 if HEAVY else 5) if count < 1000 else 1):
            names = {
                "".join(random_source.choices(alphabet, k=random_source.randrange(12))) for _ in range(count)
            }
            shuffled = random_source.sample(sorted(names), len(names))
            event = {name: i for i, name in enumerate(shuffled)}
            assert values.canonicalize(event) == rfc8785.dumps(event)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (loud.LoudStr("text"), b'"text"'),
        (loud.LoudStr('é"'), '"é\\""'.encode()),
        (loud.LoudInt(-7), b"-7"),
        (loud.LoudFloat(2.5), b"2.5"),
        (loud.LoudList([1, loud.LoudTuple((2,))]), b"[1,[2]]"),
        (Point(1, 2.0), b"[1,2]"),
        (Level.HIGH, b"3"),
        (collections.OrderedDict(b=1, a=2), b'{"a":2,"b":1}'),
        (collections.Counter("aab"), b'{"a":2,"b":1}'),
        ({loud.Twin("b"): 1, "a": 2}, b'{"a":2,"b":1}'),
        ({Level.HIGH.name: Level.HIGH}, b'{"HIGH":3}'),
    ],
    ids=map(str, range(11)),
)
def test_subclasses(values: ModuleType, value: object, expected: bytes) -> None:
    """A subclass counts by its underlying value; what it overrides is not called."""
    assert values.canonicalize(value) == expected


def test_dict_subclass_is_read_by_its_members(values: ModuleType) -> None:
    """A dict's methods are not called, not even to walk it."""
    value = loud.LoudDict()
    dict.__setitem__(value, "a", loud.LoudDict())
    assert values.canonicalize(value) == b'{"a":{}}'


class Pretender:
    """Says of itself that it is a dict."""

    @property
    def __class__(self) -> Any:
        return dict

    @__class__.setter
    def __class__(self, _: object) -> None:
        raise AssertionError


REFUSED: list[tuple[object, type[CanonicalizationError], str, str]] = [
    (float("nan"), NonFiniteNumberError, "", "number is not finite"),
    ([0, float("inf")], NonFiniteNumberError, "/1", 'number is not finite (pointer "/1")'),
    ({"a/b~c": [{"": loud.LoudFloat("-inf")}]}, NonFiniteNumberError, "/a~1b~0c/0/", ""),
    ([2**53], IntegerRangeError, "/0", 'integer out of range (pointer "/0")'),
    (-(2**53), IntegerRangeError, "", "integer out of range"),
    (2**60, IntegerRangeError, "", ""),
    (loud.LoudInt(10**30), IntegerRangeError, "", ""),
    ("\ud800", LoneSurrogateError, "", "lone surrogate"),
    (["a" * 40 + "\udfff"], LoneSurrogateError, "/0", ""),
    ("\ud83d\ude00", LoneSurrogateError, "", ""),
    ("😀\ude00", LoneSurrogateError, "", ""),
    ({"a": {"\udc00": 1}}, LoneSurrogateError, "/a", ""),
    ({"a": {"😀\udc00": 1}}, LoneSurrogateError, "/a", ""),
    ({1: 2}, UnsupportedTypeError, "", "member names must be str: int"),
    ({"é": {None: 2}}, UnsupportedTypeError, "/é", 'member names must be str: NoneType (pointer "/\\u00e9")'),
    ({"a": {1, 2}}, UnsupportedTypeError, "/a", 'not a JSON type: set (pointer "/a")'),
    (b"bytes", UnsupportedTypeError, "", "not a JSON type: bytes"),
    (1j, UnsupportedTypeError, "", "not a JSON type: complex"),
    (Pretender(), UnsupportedTypeError, "", "not a JSON type: Pretender"),
    (collections.UserDict(), UnsupportedTypeError, "", ""),
    ({loud.LoudStr("a"): object()}, UnsupportedTypeError, "/a", ""),
    (
        {loud.Twin("a"): 1, loud.Twin("a"): 2},
        DuplicateNameError,
        "/a",
        'duplicate member name (pointer "/a")',
    ),
    ({"x": {"a": 1, loud.Twin("a"): 2}}, DuplicateNameError, "/x/a", ""),
    # The order of discovery.
    ({"b": float("nan"), "a": 2**53}, IntegerRangeError, "/a", ""),
    ({"b": float("nan"), 1: 2}, UnsupportedTypeError, "", ""),
    ({"\ud800": 1, 1: 2}, LoneSurrogateError, "", ""),
    ({1: 2, "\ud800": 1}, UnsupportedTypeError, "", ""),
    ({loud.Twin("b"): 1, loud.Twin("b"): 2, "a": object()}, DuplicateNameError, "/b", ""),
    (
        {loud.Twin("b"): 1, loud.Twin("b"): 2, "é": 3, loud.Twin("a"): 4, loud.Twin("a"): 5},
        DuplicateNameError,
        "/a",
        "",
    ),
    ({loud.Twin("b"): 1, loud.Twin("b"): 2, 1: 3}, UnsupportedTypeError, "", ""),
    (
        {loud.Twin("\ue000"): 1, loud.Twin("\ue000"): 2, loud.Twin("😀"): 4, loud.Twin("😀"): 5},
        DuplicateNameError,
        "/😀",
        "",
    ),
]


@pytest.mark.parametrize(("value", "kind", "pointer", "message"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_refusals(
    values: ModuleType, value: object, kind: type[CanonicalizationError], pointer: str, message: str
) -> None:
    """Whatever has no canonical form is refused with its class and place."""
    with pytest.raises(kind) as caught:
        values.canonicalize(value)
    error = caught.value
    assert type(error) is kind
    assert (error.pointer, error.offset, error.index) == (pointer, None, None)
    assert not message or str(error) == message


def test_nesting(values: ModuleType) -> None:
    """The limit counts containers, lists and dicts alike; one more is refused at its place."""
    for limit in (1, 2, 512, 2048):
        value: Any = []
        for i in range(limit - 1):
            value = {"a": value} if i % 2 else [value]
        text = values.canonicalize(value, max_depth=limit)
        assert text.count(b"[") + text.count(b"{") == limit
        with pytest.raises(NestingTooDeepError) as caught:
            values.canonicalize([value], max_depth=limit)
        assert caught.value.pointer.count("/") == limit
    with pytest.raises(NestingTooDeepError):
        values.canonicalize([[]] * 3, max_depth=1)


def test_circular_values(values: ModuleType) -> None:
    """A value that holds itself is nested too deep; nothing crashes."""
    items: list[object] = [1]
    items.append(items)
    members: dict[str, object] = {}
    members["self"] = [members]
    for value, pointer in ((items, "/1" * 512), (members, "/self/0" * 256)):
        with pytest.raises(NestingTooDeepError) as caught:
            values.canonicalize(value)
        assert caught.value.pointer == pointer


def test_nesting_is_judged_before_names(values: ModuleType) -> None:
    """A dict that is too deep is not looked into."""
    with pytest.raises(NestingTooDeepError):
        values.canonicalize([{1: 2}], max_depth=1)


def test_largest_documents(values: ModuleType) -> None:
    """A result may have exactly as many bytes as the limit says."""
    for value in (None, 12345, "text", [1, 2, 3], {"a": [1, {"b": "é"}]}, [], {}):
        size = len(values.canonicalize(value))
        assert len(values.canonicalize(value, max_bytes=size)) == size
        for limit in range(size):
            with pytest.raises(DocumentTooLargeError) as caught:
                values.canonicalize(value, max_bytes=limit)
            assert caught.value.pointer == ""
    assert values.canonicalize(1, max_bytes=2**200) == b"1"


def test_size_is_judged_after_each_value(values: ModuleType) -> None:
    """Of a problem and the size, that which comes first is reported."""
    with pytest.raises(DocumentTooLargeError):
        values.canonicalize([111, 222, object()], max_bytes=7)
    with pytest.raises(UnsupportedTypeError):
        values.canonicalize([111, 222, object()], max_bytes=8)
    with pytest.raises(UnsupportedTypeError):
        values.canonicalize({"a long name": object()}, max_bytes=3)


@pytest.mark.parametrize("digits", [16, 17, 18, 19, 20, 27, 28, 29, 100, 4299, 4300])
def test_exact_integers(values: ModuleType, digits: int) -> None:
    """``integers="exact"`` writes all digits, up to 4300 of them."""
    limit = sys.get_int_max_str_digits()
    for number in (10 ** (digits - 1), 10**digits - 1, 10**digits // 7):
        sys.set_int_max_str_digits(640)  # an interpreter's own limit must not matter
        try:
            texts = values.canonicalize([number, -number], integers="exact")
        finally:
            sys.set_int_max_str_digits(limit)
        assert texts == f"[{number},{-number}]".encode()


@pytest.mark.parametrize("number", [10**4300, -(10**4300), 2**14285, 2**50_000], ids="abcd")
def test_longest_exact_integers(values: ModuleType, number: int) -> None:
    """An integer of more than 4300 digits is refused."""
    with pytest.raises(IntegerRangeError):
        values.canonicalize({"n": number}, integers="exact")


def test_exact_integers_around_powers_of_two(values: ModuleType) -> None:
    """Digits are right wherever an inner word of the integer overflows."""
    for power in (*range(0, 200), 1000, 14_284):
        for number in {2**power - 1, 2**power, 2**power + 1}:
            assert values.canonicalize(number, integers="exact") == b"%d" % number


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"integers": "other"}, InvalidOptionError, 'integers must be "safe" or "exact"'),
        ({"max_depth": 0}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": 2049}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": True}, TypeError, "max_depth must be int, not bool"),
        ({"max_bytes": -1}, InvalidOptionError, "max_bytes must not be negative"),
        ({"max_bytes": "1"}, TypeError, "max_bytes must be int or None, not str"),
    ],
)
def test_options(values: ModuleType, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    """A wrong option is refused before the value is looked at."""
    with pytest.raises(kind) as caught:
        values.canonicalize(object(), **options)
    assert str(caught.value) == message


def test_large_documents_after_small_ones(values: ModuleType) -> None:
    """Documents of any size follow each other; none sees what another left."""
    # More bytes and members than are kept between calls.
    large = {f"name {i}": ["é" * 100, i, {"x": None}] for i in range(9_000)}
    expected = rfc8785.dumps(large)  # type: ignore[arg-type]
    assert len(expected) > 2**20
    for value, form in (([1], b"[1]"), (large, expected), ({"b": 1, "a": 2}, b'{"a":2,"b":1}')):
        assert values.canonicalize(value) == form
    assert values.canonicalize(large) == expected
    assert values.canonicalize("x") == b'"x"'


TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=40
)


@pytest.mark.parametrize("home", ["sigil_native._canonical_values", "sigil_native._pure.canonical"])
@settings(deadline=None)
@given(value=JSON_VALUES)
def test_as_another_implementation(home: str, value: Any) -> None:
    """Any value has the same form as by another implementation of RFC 8785."""
    assert importlib.import_module(home).canonicalize(value) == rfc8785.dumps(value)


class Record:
    """An object whose attributes share their names with those of others."""

    def __init__(self, b: int, a: str) -> None:
        self.b = b
        self.a = a


def test_dicts_of_every_layout(values: ModuleType) -> None:
    """Python lays dicts out in several ways; what is written depends on the members alone."""
    deleted = dict.fromkeys("zyxba", 0) | {"b": 1, "a": "c"}
    for name in "zyx":
        del deleted[name]
    general: dict[Any, Any] = {7: None, "b": 1, "a": "c"}
    del general[7]
    layouts = [
        deleted,
        general,
        vars(Record(1, "c")),
        {"b": 1, "a": "c"},
        collections.OrderedDict(b=1, a="c"),
    ]
    for members in layouts:
        assert values.canonicalize(members) == b'{"a":"c","b":1}'
    deleted.clear()
    assert values.canonicalize([deleted, {}]) == b"[{},{}]"
