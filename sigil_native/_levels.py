"""Which instructions the compiled modules use: the best of this machine, or those of a named level.

``SIGIL_NATIVE_LEVEL`` in the environment asks for a level. It is read once, when the modules are imported.
"""

from __future__ import annotations

import os

from sigil_native.errors import UnusableLevelError

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import Final

#: Each level, best first, with its SHA-256 kernel and its vector level of the transcoder.
LEVELS: Final = {
    "avx-512": ("avx-512", "avx512"),
    "avx2+sha-ni": ("sha-ni", "avx2"),
    "sha-ni": ("sha-ni", "sse2"),
    "avx2": ("portable", "avx2"),
    "armv8": ("armv8-sha2", "neon"),
    "neon": ("portable", "neon"),
    "portable": ("portable", "portable"),
}
VARIABLE: Final = "SIGIL_NATIVE_LEVEL"


def _asked_for(part: int, what: str, usable: tuple[str, ...]) -> str | None:
    level = os.environ.get(VARIABLE)
    if not level:
        return None
    if level not in LEVELS:
        raise UnusableLevelError(level, f"the levels are {', '.join(LEVELS)}")
    if LEVELS[level][part] not in usable:
        raise UnusableLevelError(
            level, f"its {what} is {LEVELS[level][part]}, and this machine can run {', '.join(usable)}"
        )
    return LEVELS[level][part]


def asked_for_kernel(usable: tuple[str, ...]) -> str | None:
    """The SHA-256 kernel that the environment's level means; ``None`` where it names none.

    Raises:
        UnusableLevelError: no such level, or its kernel is not among ``usable``.
    """
    return _asked_for(0, "SHA-256 kernel", usable)


def asked_for_vectors(usable: tuple[str, ...]) -> str | None:
    """The transcoder's vector level in the same way.

    Raises:
        UnusableLevelError: no such level, or this machine cannot run it.
    """
    return _asked_for(1, "vector level", usable)


def usable_levels() -> tuple[str, ...]:
    """The levels that this machine can be forced to, best first."""
    from sigil_native._canonical_text import vector_levels  # noqa: PLC0415 (both import this module)
    from sigil_native._hashing import kernels  # noqa: PLC0415

    return tuple(
        name
        for name, (kernel, vectors) in LEVELS.items()
        if kernel in kernels() and vectors in vector_levels()
    )


def level_in_use() -> str:
    """The level in use; of a kernel and vectors that make none, both names."""
    from sigil_native._canonical_text import vector_level  # noqa: PLC0415 (both import this module)
    from sigil_native._hashing import kernel  # noqa: PLC0415

    parts = (kernel(), vector_level())
    return next((name for name, both in LEVELS.items() if both == parts), "/".join(parts))
