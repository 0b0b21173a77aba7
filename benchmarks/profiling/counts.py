"""The counts of a run, and the file that keeps them: the baseline is such a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

BASELINE: Final = Path(__file__).with_name("baseline.json")


class CountsError(Exception):
    """A file of counts cannot be read, or is none."""


class Count(NamedTuple):
    """Instructions of an item.

    Attributes:
        hashing: those of them that the SHA-256 kernel took.
    """

    instructions: float
    hashing: float

    @property
    def besides(self) -> float:
        """All but the SHA-256 kernel's."""
        return self.instructions - self.hashing


class Level(NamedTuple):
    """What was counted with one choice of kernels.

    Attributes:
        kernel: of SHA-256.
        operations: by name, in the order of the table.
    """

    kernel: str
    operations: dict[str, Count]


class Counts(NamedTuple):
    """A run.

    Attributes:
        toolchain: what compiled and ran it, by the names of ``toolchain.py``.
        levels: by the name of the transcoder's vector level, best first.
    """

    toolchain: dict[str, str]
    levels: dict[str, Level]


def _level(document: Mapping[str, Any]) -> Level:
    operations = {
        str(name): Count(float(count["instructions"]), float(count["hashing"]))
        for name, count in document["operations"].items()
    }
    return Level(str(document["kernel"]), operations)


def read(path: Path) -> Counts:
    """The counts in a file.

    Raises:
        CountsError: there are none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        toolchain = {str(name): str(value) for name, value in document["toolchain"].items()}
        return Counts(toolchain, {name: _level(level) for name, level in document["levels"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CountsError(f"{path}: no counts: {type(error).__name__}: {error}") from error


def write(counts: Counts, path: Path) -> None:
    """Write counts, to a tenth of an instruction."""
    levels = {
        name: {
            "kernel": level.kernel,
            "operations": {
                operation: {"instructions": round(count.instructions, 1), "hashing": round(count.hashing, 1)}
                for operation, count in level.operations.items()
            },
        }
        for name, level in counts.levels.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"toolchain": counts.toolchain, "levels": levels}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
