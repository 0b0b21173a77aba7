"""Reads callgrind's files: how many instructions each function took itself.

Source of the format: "Callgrind Format Specification", Valgrind's user manual. An instruction that was
inlined belongs to the function around it; callgrind_annotate parts them by file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_NAMED: Final = re.compile(r"(ob|fl|fi|fe|fn|cob|cfi|cfl|cfn)=\((\d+)\)(?: (.*))?")
#: Names are given once for each of these kinds, and by their number from then on.
_KINDS: Final = {"cob": "ob", "fi": "fl", "fe": "fl", "cfi": "fl", "cfl": "fl", "cfn": "fn"}
#: Sources of the kernels, which differ from processor to processor; see :func:`hashing`.
_KERNEL: Final = re.compile(r"sha256_\w+\.cpp")
_NAMELESS: Final = "(anonymous namespace)::"


class Function(NamedTuple):
    """Where instructions were spent.

    Attributes:
        file: the source, or ``???``.
        module: the file that it was loaded from.
    """

    name: str
    file: str
    module: str

    @property
    def short(self) -> str:
        """The name without what it is called with, and the module without its folder."""
        name = self.name.replace(_NAMELESS, "").partition("(")[0]
        return f"{name}  [{Path(self.module).name.partition('.')[0]}]"


def functions(lines: Iterable[str]) -> Counter[Function]:
    """Instructions of each function, without those of the functions that it called."""
    names: dict[tuple[str, str], str] = {}
    now = {"ob": "???", "fl": "???", "fn": "???"}
    function = Function("???", "???", "???")
    spent: Counter[Function] = Counter()
    called = False
    for line in lines:
        if line[:1].isdigit() or line[:1] in {"+", "-", "*"}:
            # The line after a call has what the callee took, which its own lines have too.
            if not called:
                spent[function] += int(line.split()[1])
            called = False
        elif line.startswith("calls="):
            called = True
        elif found := _NAMED.match(line):
            key, number, name = found.groups()
            kind = _KINDS.get(key, key)
            if name is not None:
                names[kind, number] = name
            if key in {"ob", "fl", "fi", "fe", "fn"}:
                now[kind] = names[kind, number]
            if key == "fn":
                function = Function(now["fn"], now["fl"], now["ob"])
    return spent


def functions_of(path: Path) -> Counter[Function]:
    """What a file has.

    Raises:
        OSError: it cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        return functions(file)


def hashing(spent: Counter[Function]) -> int:
    """Instructions of the SHA-256 kernels alone."""
    return sum(count for function, count in spent.items() if _KERNEL.fullmatch(Path(function.file).name))
