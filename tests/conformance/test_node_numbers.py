"""Numbers are written as a real ECMAScript engine writes them."""

from __future__ import annotations

import importlib
import random
import struct
from collections.abc import Iterator
from math import isfinite, nextafter
from pathlib import Path

import pytest

from tests.conformance.node_process import run_node
from tests.heavy import HEAVY

COUNT = 1_000_000 if HEAVY else 30_000


def _any_pattern(source: random.Random) -> float:
    return float(struct.unpack(">d", source.randbytes(8))[0])


def _decimal(source: random.Random) -> float:
    digits, places = source.randrange(1, 18), source.randrange(0, 9)
    return source.randrange(int(10**digits)) / int(10**places)


def _near_decimal(source: random.Random) -> float:
    return nextafter(_decimal(source), source.choice((0.0, float("inf"))))


def _whole(source: random.Random) -> float:
    return float(source.getrandbits(source.randrange(1, 80)))


def _near_whole(source: random.Random) -> float:
    return nextafter(_whole(source), source.choice((0.0, float("inf"))))


def _power(source: random.Random) -> float:
    base, exponents = source.choice(((2.0, 1023), (10.0, 308)))
    return source.randrange(1, 10) * 0.5 * base ** source.randrange(-exponents, exponents)


KINDS = (_any_pattern, _decimal, _near_decimal, _whole, _near_whole, _power)


def _numbers(seed: int) -> Iterator[float]:
    yield from (0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308)
    yield from (1e21, 1e-6, 1e-7, 123456789012345680000.0, 0.01, 0.005, 9999999999999.99, 1e13, 2.0**53)
    for number in (1e21, 1e-6, 1e13, 0.01, 2.0**53):
        yield nextafter(number, 0)
        yield nextafter(number, float("inf"))
    source = random.Random(seed)
    for i in range(COUNT):
        number = KINDS[i % len(KINDS)](source)
        yield -number if source.random() < 0.2 else number


def test_numbers_as_node(tmp_path: Path) -> None:
    """Doubles of all kinds have the same text from both backends as from Node."""
    seed = random.randrange(2**32)
    numbers = [number for number in _numbers(seed) if isfinite(number)]
    answers = run_node("numbers.mjs", [struct.pack(">d", number).hex() for number in numbers], tmp_path)
    assert len(answers) == len(numbers)
    expected = ("[" + ",".join(answers) + "]").encode()
    for home in ("sigil_native._canonical_values", "sigil_native._pure.canonical"):
        module = importlib.import_module(home)
        for write in (module.canonicalize, module.stringify):
            if write(numbers) != expected:
                first = next(i for i, n in enumerate(numbers) if write(n) != answers[i].encode())
                pytest.fail(
                    f"seed {seed}: {numbers[first].hex()} is {answers[first]}, not {write(numbers[first])!r}"
                )


def test_every_amount(tmp_path: Path) -> None:
    """All amounts up to a bound in hundredths, and to a lower one in ten-thousandths, are as Node's."""
    numbers = [i / 100 for i in range(2_000_000 if COUNT == 1_000_000 else 30_000)]
    numbers += [i / 10_000 for i in range(100_000 if COUNT == 1_000_000 else 30_000)]
    answers = run_node("numbers.mjs", [struct.pack(">d", number).hex() for number in numbers], tmp_path)
    canonicalize = importlib.import_module("sigil_native._canonical_values").canonicalize
    assert canonicalize(numbers) == ("[" + ",".join(answers) + "]").encode()
