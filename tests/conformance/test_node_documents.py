"""Documents and event signatures agree with those of a real Node.js."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from sigil_native.errors import IntegerRangeError
from tests.conformance.node_process import run_node
from tests.heavy import HEAVY

COUNT = 20_000 if HEAVY else 400
SECRET = "a secret that Node and Python share, ß"

NAMES = [
    *(
        "id",
        "type",
        "amount",
        "__proto__",
        "constructor",
        "toString",
        "length",
        "",
        " ",
        "a b",
        "-1",
        "-0",
        "1.5",
    ),
    *(
        "0",
        "1",
        "00",
        "01",
        "9",
        "10",
        "4294967294",
        "4294967295",
        "4294967296",
        "9007199254740991",
        "1e3",
        "+1",
    ),
    *(
        "é",
        "ÿ",
        "Ā",
        "€",
        "\ue000",
        "\uffff",
        "😀",
        "\U0010ffff",
        "\u2028",
        "\x7f",
        "\x80",
        '"',
        "\\",
        "\n",
        "\0",
    ),
]
LONE = ["\ud800", "\udc00", "a\udfffb", "\ude00\ud83d", "\ud83dx\ude00", "\udbff\udbff\udfff"]
CHARACTERS = 'abcXYZ019 \t\n\r\b\f\0\x1f"\\/é€ÿĀ\u2028\u2029\ufeff\uffff😀𝄞\x7f\x80'


class Documents:
    """Draws random documents, some of them with lone surrogates."""

    def __init__(self, seed: int, lone: bool) -> None:
        self.source = random.Random(seed)
        self.lone = lone

    def text(self) -> str:
        """A string, at times with a lone surrogate."""
        if self.lone and self.source.random() < 0.3:
            return self.source.choice(LONE) + self.source.choice(("", "x", "😀"))
        return "".join(self.source.choices(CHARACTERS, k=self.source.choice((0, 1, 3, 8, 17, 40, 200))))

    def name(self) -> str:
        """A member name, often one that ECMAScript orders by its value."""
        draw = self.source.random()
        if draw < 0.6:
            return self.source.choice(NAMES)
        return str(self.source.getrandbits(self.source.randrange(1, 40))) if draw < 0.8 else self.text()

    def number(self) -> int | float:
        """A number that both sides hold exactly."""
        source = self.source
        match source.randrange(5):
            case 0:
                return source.randrange(-20, 200)
            case 1:
                return source.randrange(-(2**53) + 1, 2**53)
            case 2:
                return source.randrange(10**7) / 100
            case 3:
                return source.choice((-0.0, 1e21, 1e300, 5e-324, 1e-7, 0.1 + 0.2, 123456789012345680000.0))
            case _:
                return source.uniform(-1, 1) * 10.0 ** source.randrange(-300, 300)

    def value(self, depth: int = 0) -> Any:
        """Any value."""
        draw = self.source.random()
        if depth < 3 and draw < 0.35:
            size = self.source.choice((0, 1, 2, 5, 12))
            return {self.name(): self.value(depth + 1) for _ in range(size)}
        if depth < 3 and draw < 0.5:
            return [self.value(depth + 1) for _ in range(self.source.choice((0, 1, 3, 10)))]
        if draw < 0.75:
            return self.text()
        return self.source.choice((None, True, False)) if draw < 0.82 else self.number()


def _ask_node(items: list[dict[str, Any]], directory: Path) -> list[list[Any]]:
    # ASCII between the two, so that lone surrogates survive the way.
    answers = run_node("documents.mjs", [json.dumps(item) for item in items], directory, SECRET)
    return [json.loads(answer) for answer in answers]


class Drawn(NamedTuple):
    """Documents, and what Node makes of them."""

    seed: int
    documents: list[Any]
    answers: list[list[Any]]


def _drawn(directory: Path, *, lone: bool) -> Drawn:
    seed = random.randrange(2**32)
    source = Documents(seed, lone)
    documents = [{source.name(): source.value() for _ in range(2)} for _ in range(COUNT)]
    return Drawn(seed, documents, _ask_node([{"document": document} for document in documents], directory))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Documents of whole characters."""
    return _drawn(tmp_path_factory.mktemp("plain"), lone=False)


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Documents with lone surrogates."""
    return _drawn(tmp_path_factory.mktemp("lone"), lone=True)


def _utf8(text: str) -> bytes:
    # Node's strings come back with each pair of surrogates as one character.
    return text.encode()


@pytest.fixture(params=["native", "pure"])
def backend(request: pytest.FixtureRequest) -> tuple[ModuleType, ModuleType]:
    """The modules of values and of signatures, of each backend."""
    homes = {
        "native": ("sigil_native._canonical_values", "sigil_native._signature"),
        "pure": ("sigil_native._pure.canonical", "sigil_native._pure.signature"),
    }[request.param]
    return importlib.import_module(homes[0]), importlib.import_module(homes[1])


def test_canonical_form_as_node(backend: tuple[ModuleType, ModuleType], plain: Drawn) -> None:
    """The canonical form is what Node writes when it sorts the members of every object."""
    seed, documents, answers = plain
    for i, (document, (ordered, _, _)) in enumerate(zip(documents, answers, strict=True)):
        assert backend[0].canonicalize(document) == _utf8(ordered), f"seed {seed}, document {i}"


def test_signatures_of_node_verify(backend: tuple[ModuleType, ModuleType], lone: Drawn) -> None:
    """What Node writes and signs, lone surrogates included, is what we write and verify."""
    seed, documents, answers = lone
    values, signatures = backend
    for i, (document, (_, text, signature)) in enumerate(zip(documents, answers, strict=True)):
        place = f"seed {seed}, document {i}"
        assert values.stringify(document) == _utf8(text), place
        assert signatures.verify_event(document, signature, SECRET, text="json-stringify"), place
        assert not signatures.verify_event([document], signature, SECRET, text="json-stringify"), place


def test_node_verifies_our_signatures(
    backend: tuple[ModuleType, ModuleType], lone: Drawn, tmp_path: Path
) -> None:
    """What we sign verifies in Node."""
    seed, documents, _ = lone
    sign = backend[1].sign_event
    items = [
        {"document": document, "signature": sign(document, SECRET, text="json-stringify")}
        for document in documents
    ]
    answers = _ask_node(items, tmp_path)
    assert [answer[2] for answer in answers] == [True] * len(documents), f"seed {seed}"


def test_whole_numbers_beyond_the_safe_range(backend: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    """An int is written if, and only if, Node reads and writes its digits unchanged."""
    source = random.Random(7)
    numbers = [source.getrandbits(bits) | 1 << bits - 1 for bits in range(50, 80) for _ in range(30)]
    numbers += [int(float(number)) for number in numbers]
    numbers += [10**power for power in range(15, 25)] + [2**53 - 1, 2**53, 2**53 + 1, 10**21 - 1]
    numbers += [-number for number in numbers]
    answers = _ask_node([{"document": number} for number in numbers], tmp_path)
    for number, (_, text, _) in zip(numbers, answers, strict=True):
        if text == str(number):
            assert backend[0].stringify(number) == text.encode()
        else:
            with pytest.raises(IntegerRangeError):
                backend[0].stringify(number)
