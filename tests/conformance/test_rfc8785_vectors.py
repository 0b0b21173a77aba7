"""The test data that RFC 8785 refers to (its appendices B and D)."""

from __future__ import annotations

import struct

import pytest

from tests.shared_data import shared
from tests.text_backends import Canonicalize, implementations

IMPLEMENTATIONS = implementations()


@pytest.fixture(params=IMPLEMENTATIONS)
def canonicalize(request: pytest.FixtureRequest) -> Canonicalize:
    """Each implementation in turn."""
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize("name", ["arrays", "french", "unicode", "values"])
def test_documents(canonicalize: Canonicalize, name: str) -> None:
    """Each input document becomes the output document, byte for byte."""
    text = shared("jcs", "input", f"{name}.json").read_bytes()
    assert canonicalize(text) == shared("jcs", "output", f"{name}.json").read_bytes()


def number_lines() -> list[tuple[float, str]]:
    """Each number of the ECMAScript sample, by its bits, and how it is written."""
    lines = shared("jcs", "es6-numbers", "es6testfile1k.txt").read_text().splitlines()
    pairs = (line.split(",") for line in lines)
    return [(struct.unpack(">d", bytes.fromhex(bits.zfill(16)))[0], text) for bits, text in pairs]


def test_numbers_are_written_as_ecmascript_writes_them(canonicalize: Canonicalize) -> None:
    """Other spellings of a number become the one of ECMAScript; that one is kept in exact mode."""
    for value, text in number_lines():
        spellings = {f"{value:.17e}", f"{value:.25E}"}
        if "e" in repr(value) or value != int(value):
            spellings.add(repr(value))
        for spelling in spellings:
            assert canonicalize(spelling) == text.encode(), spelling
        assert canonicalize(text, integers="exact") == text.encode()


def test_the_fixed_part_of_the_sample_is_complete() -> None:
    """The sample begins with the fixed bit patterns that every generated sample begins with."""
    fixed = shared("jcs", "es6-numbers", "static-u64.txt").read_text().split()
    values = [struct.unpack(">d", bytes.fromhex(bits))[0] for bits in fixed]
    assert [struct.pack(">d", value) for value, _ in number_lines()[: len(fixed)]] == [
        struct.pack(">d", value) for value in values
    ]
