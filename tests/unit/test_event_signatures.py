"""``sign_event`` and ``verify_event``, and the text that JSON.stringify would give."""

from __future__ import annotations

import hashlib
import hmac
import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import (
    CanonicalizationError,
    DuplicateNameError,
    IntegerRangeError,
    InvalidOptionError,
    LoneSurrogateError,
    NestingTooDeepError,
    NonFiniteNumberError,
    UnsupportedTypeError,
    WeakSecretError,
)
from tests.unit import loud

SECRET = "0123456789abcdef0123456789abcdef"
EVENT = {"b": 1, "a": [1.50, "é"], "10": None, "9": True}
JCS = '{"10":null,"9":true,"a":[1.5,"é"],"b":1}'
STRINGIFIED = '{"9":true,"10":null,"b":1,"a":[1.5,"é"]}'


@pytest.fixture(params=["native", "pure"])
def library(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The names under test, once from each backend."""
    homes = {
        "native": ("_signature", "_canonical_values", "_hashing"),
        "pure": ("_pure.signature", "_pure.canonical", "_pure.hashing"),
    }[request.param]
    signature, values, hashing = (importlib.import_module(f"sigil_native.{home}") for home in homes)
    return SimpleNamespace(
        sign_event=signature.sign_event,
        verify_event=signature.verify_event,
        stringify=values.stringify,
        HmacKey=hashing.HmacKey,
    )


def _hex(text: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("text", "signed"), [("jcs", JCS), ("json-stringify", STRINGIFIED)])
@pytest.mark.parametrize("size", [0, 10_000])
def test_signatures(library: SimpleNamespace, text: str, signed: str, size: int) -> None:
    """A signature is the HMAC of the text, whatever form the key has."""
    event = {**EVENT, "z": "x" * size}
    expected = _hex(f'{signed[:-1]},"z":"{"x" * size}"}}')
    for key in (SECRET, SECRET.encode(), bytearray(SECRET.encode()), library.HmacKey(SECRET)):
        assert library.sign_event(event, key, text=text) == expected
        for signature in (expected, expected.encode(), memoryview(expected.encode())):
            assert library.verify_event(event, signature, key, text=text) is True


def test_the_canonical_text_is_the_default(library: SimpleNamespace) -> None:
    """Without ``text`` the canonical form is signed; names that are equal but another object will do."""
    assert library.sign_event(EVENT, SECRET) == _hex(JCS)
    assert library.sign_event(EVENT, SECRET, text="".join(("j", "cs"))) == _hex(JCS)
    assert library.sign_event(EVENT, SECRET, text="-".join(("json", "stringify"))) == _hex(STRINGIFIED)


@pytest.mark.parametrize("text", ["jcs", "json-stringify"])
def test_signing_within_signing(library: SimpleNamespace, text: str) -> None:
    """The text's name may be of a class that signs another event while it is compared."""

    class Odd(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            library.sign_event([1, 2, 3], SECRET)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    assert library.sign_event(EVENT, SECRET, text=Odd(text)) == library.sign_event(EVENT, SECRET, text=text)


def test_what_is_not_the_signature(library: SimpleNamespace) -> None:
    """Any other signature, text or secret is False."""
    right = _hex(JCS)
    wrong: list[Any] = [
        "",
        "0" * 64,
        right.upper(),
        right[:-1],
        right + "0",
        f" {right[1:]}",
        right[:-1] + "é",
    ]
    wrong += ["\ud800" * 64, b"\xff" * 64, b"", _hex(STRINGIFIED), bytes.fromhex(right)]
    wrong += [right[:i] + ("1" if right[i] != "1" else "2") + right[i + 1 :] for i in range(64)]
    for signature in wrong:
        assert library.verify_event(EVENT, signature, SECRET) is False
    assert library.verify_event(EVENT, right, SECRET[::-1]) is False
    assert library.verify_event({**EVENT, "b": 2}, right, SECRET) is False
    assert library.verify_event(EVENT, right, SECRET, text="json-stringify") is False


def test_arguments(library: SimpleNamespace) -> None:
    """Wrong arguments are told from wrong signatures."""
    with pytest.raises(TypeError, match=r"^signature must be str or bytes-like, not int$"):
        library.verify_event(EVENT, 1, SECRET)
    with pytest.raises(TypeError, match=r"^secret must be str or bytes-like, not NoneType$"):
        library.sign_event(EVENT, None)
    with pytest.raises(InvalidOptionError, match=r'^text must be "jcs" or "json-stringify"$'):
        library.sign_event(EVENT, SECRET, text="json")
    with pytest.raises(WeakSecretError, match=r"^a secret has at least 32 bytes, this one has 31$"):
        library.verify_event(EVENT, "", SECRET[1:])
    with pytest.raises(InvalidOptionError, match=r"^secret is not valid Unicode$"):
        library.sign_event(EVENT, "\ud800" * 40)
    with pytest.raises(UnsupportedTypeError):
        library.verify_event(object(), "", SECRET)


def test_lone_surrogates_are_signed_as_escapes(library: SimpleNamespace) -> None:
    """JSON.stringify escapes lone surrogates, the canonical form refuses them."""
    event = {"\udc00": "\ud800"}
    assert library.sign_event(event, SECRET, text="json-stringify") == _hex('{"\\udc00":"\\ud800"}')
    with pytest.raises(LoneSurrogateError):
        library.sign_event(event, SECRET)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ({"x": 0, "10": 1, "9": 2, "01": 3, "-1": 4, "0": 5}, '{"0":5,"9":2,"10":1,"x":0,"01":3,"-1":4}'),
        ({"4294967295": 1, "4294967294": 2, "²": 3, "٣": 4}, '{"4294967294":2,"4294967295":1,"²":3,"٣":4}'),
        ({loud.LoudStr("2"): 1, "1": 2}, '{"1":2,"2":1}'),
        ({"é": 1, "a": 2, "1": 3}, '{"1":3,"é":1,"a":2}'),
        ("\ud83d\ude00", '"😀"'),
        ("\ud83d\ud83d\ude00\ude00", '"\\ud83d😀\\ude00"'),
        ("😀\ud83d", '"😀\\ud83d"'),
        ("\u2028\u2029\x7f/", '"\u2028\u2029\x7f/"'),
        ([-0.0, 1e21, 10**20, -(2**53)], "[0,1e+21,100000000000000000000,-9007199254740992]"),
        ([], "[]"),
        ({}, "{}"),
    ],
    ids=map(str, range(12)),
)
def test_stringified(library: SimpleNamespace, value: object, text: str) -> None:
    """The text is that of ECMAScript's JSON.stringify."""
    assert library.stringify(value) == text.encode()


def test_pairs_of_surrogates_anywhere(library: SimpleNamespace) -> None:
    """A pair is one character wherever it lies in a long string."""
    for width in ("", "😀"):
        for before in (*range(40), 4094, 4095, 4096, 4097):
            text = "x" * before + "\ud83d\ude00" + width
            assert library.stringify(text) == ('"' + "x" * before + "😀" + width + '"').encode()


@pytest.mark.parametrize(
    ("value", "kind", "pointer"),
    [
        (float("nan"), NonFiniteNumberError, ""),
        ([1, float("inf")], NonFiniteNumberError, "/1"),
        ([2**53 + 1], IntegerRangeError, "/0"),
        (10**21, IntegerRangeError, ""),
        (2**60, IntegerRangeError, ""),  # Number::toString gives 1152921504606847000
        (10**400, IntegerRangeError, ""),
        ({"2": object(), "1": float("nan")}, NonFiniteNumberError, "/1"),
        ({"b": object(), "a": float("nan")}, UnsupportedTypeError, "/b"),
        ({"\ud800": {1: 2}}, UnsupportedTypeError, "/\ud800"),
        ({"\ud83d\ude00": {1: 2}}, UnsupportedTypeError, "/😀"),
        ({"a": {loud.Twin("x"): 1, "x": 2}}, DuplicateNameError, "/a/x"),
        ({"\ud83d\ude00": 1, "😀": 2}, DuplicateNameError, "/😀"),
    ],
)
def test_refused_by_stringify(
    library: SimpleNamespace, value: object, kind: type[CanonicalizationError], pointer: str
) -> None:
    """What ECMAScript could not hold, or would write as something else, is refused at its place."""
    for call in (library.stringify, lambda v: library.sign_event(v, SECRET, text="json-stringify")):
        with pytest.raises(kind) as caught:
            call(value)
        assert caught.value.pointer == pointer


def test_nesting(library: SimpleNamespace) -> None:
    """512 levels are signed, one more is not."""
    value: list[Any] = []
    for _ in range(511):
        value = [value]
    assert library.verify_event(value, library.sign_event(value, SECRET), SECRET)
    for text in ("jcs", "json-stringify"):
        with pytest.raises(NestingTooDeepError):
            library.sign_event([value], SECRET, text=text)
