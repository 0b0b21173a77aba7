"""Both backends on as many documents as a busy service sees in minutes."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import pytest

from tests.parity.outcomes import NATIVE, PURE

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

_DOCUMENTS: Final = 200_000
_NAMES: Final = ("id", "type", "amount", "ä", "€", "\U0001f600", "a\nb", "items", "", "at", "Id", "id\x7f")
_LETTERS: Final = '"\\/\t€\U0001f600abcdefghijklmnopqrstuvwxyz'
_SECRET: Final = "correct horse battery staple, thrice"


def _number(chance: random.Random) -> float | int:
    kind = chance.randrange(5)
    if kind == 0:
        return chance.randrange(-(2**53) + 1, 2**53)
    if kind == 1:
        return chance.randrange(1000)
    if kind == 2:
        return chance.randrange(100_000) / 100
    if kind == 3:
        return chance.uniform(-1, 1) * 10.0 ** chance.randrange(-320, 300)
    return float(chance.randrange(10**15, 10**22))


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 5)
    if kind == 0:
        return chance.choice((True, False, None))
    if kind <= 2:
        return _number(chance)
    if kind <= 4:
        return "".join(chance.choices(_LETTERS, k=8))
    if kind == 5:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return _object(chance, depth - 1)


def _object(chance: random.Random, depth: int) -> dict[str, Any]:
    return {name: _value(chance, depth) for name in chance.sample(_NAMES, chance.randrange(6))}


def _codec(backend: Any) -> Any:
    ring = backend.KeyRing()
    ring.add(_SECRET)
    return backend.SigilCodec(ring)


def test_many_documents() -> None:
    """Whatever way a document comes in, both write it alike, and each verifies what the other sealed."""
    chance = random.Random(8785)
    native, pure = _codec(NATIVE), _codec(PURE)
    for number in range(_DOCUMENTS):
        value = _object(chance, 2)
        text = json.dumps(value, ensure_ascii=number % 2 == 0, indent=number % 3 or None).encode()
        canonical = NATIVE.canonicalize_json(text)
        assert canonical == NATIVE.canonicalize(value) == PURE.canonicalize_json(text), text
        if number % 2:
            pure.verify_json(native.encode(value, tenant="acme"), text, tenant="acme")
        else:
            native.verify(pure.encode_json(text, tenant="acme"), value, tenant="acme")
