"""canonicalize_json on random documents, against other libraries and between implementations."""

from __future__ import annotations

import json
import random
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.text_backends import implementations, verdict

IMPLEMENTATIONS = implementations()
SAFE = 2**53 - 1

# Short alphabets, so that names share beginnings and meet again after unescaping.
WORDS = st.text(alphabet='ab"\\/\n\x00\x1f é€\ue000\uffff😀', max_size=20) | st.text(
    alphabet=st.characters(exclude_categories=["Cs"]), max_size=80
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-1000, 1000, places=3).map(float)
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(WORDS, inner, max_size=12),
    max_leaves=60,
)

DAMAGE = [
    b"",
    *(bytes([byte]) for byte in b'"\\{]}[,:0.eE- \x01\xff'),
    b"\\u",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A value as JSON text, with escapes and white space in one of several manners."""
    value = draw(VALUES)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")]))
    indent = draw(st.sampled_from([None, None, 1, 4]))
    ascii_only = draw(st.booleans())
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
    return draw(st.sampled_from(["", " ", "\n\n"])) + text + draw(st.sampled_from(["", " \t", "\r\n"]))


@given(VALUES, st.booleans())
def test_agrees_with_rfc8785(value: Any, ascii_only: bool) -> None:
    """The canonical form is the one of the rfc8785 package, and stands for the same value."""
    expected = rfc8785.dumps(value)
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    for name, canonicalize in IMPLEMENTATIONS.items():
        assert canonicalize(text) == expected, name
    assert json.loads(expected, parse_int=float) == value


@given(texts())
def test_canonical_form_is_a_fixed_point(text: str) -> None:
    """Canonicalizing again changes nothing; big fractions need exact mode, for they look like integers."""
    for canonicalize in IMPLEMENTATIONS.values():
        once = canonicalize(text)
        assert canonicalize(once, integers="exact") == once


@given(
    texts(), st.randoms(use_true_random=False), st.sampled_from([{}, {"integers": "exact"}, {"max_depth": 2}])
)
def test_damaged_texts(text: str, rng: random.Random, options: dict[str, Any]) -> None:
    """Whatever is done to a text, all implementations say the same of it, to the last detail."""
    damaged = bytearray(text.encode())
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(damaged) + 1)
        damaged[place : place + rng.randrange(3)] = rng.choice(DAMAGE)
    verdicts = {
        name: verdict(function, bytes(damaged), **options) for name, function in IMPLEMENTATIONS.items()
    }
    assert len(set(verdicts.values())) == 1, verdicts


@given(texts())
def test_every_prefix_of_a_text(text: str) -> None:
    """A text cut short is refused within its length, unless it is a whole value by chance."""
    raw = text.encode()[:200]
    native = IMPLEMENTATIONS["native"]
    for size in range(len(raw)):
        outcome = verdict(native, raw[:size])
        if isinstance(outcome, tuple):
            assert 0 <= outcome[4] <= size


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are mostly no JSON at all are judged alike."""
    assert len({verdict(function, data) for function in IMPLEMENTATIONS.values()}) == 1


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_str(text: str) -> None:
    """A str, surrogates and all, is judged alike, alone and as a JSON string."""
    for source in (text, f'"{text}"', f'{{"{text}":0}}'):
        assert len({verdict(function, source) for function in IMPLEMENTATIONS.values()}) == 1
