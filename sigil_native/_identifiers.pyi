from collections.abc import Iterable
from typing import Final

# What the .pxd file gives to other compiled modules, and Cython's empty table of doctests.
__pyx_capi__: Final[dict[str, object]]
__test__: Final[dict[str, object]]

def uuid7() -> str: ...
def _uuid7_from_clock(
    clock_ms: Iterable[int], *, resume_after: tuple[int, int] | None = None, randomness: bool = True
) -> list[str]: ...
def _uuid7_batch(count: int, stride: int = 16) -> bytes: ...
