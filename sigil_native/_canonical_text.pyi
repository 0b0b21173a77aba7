from typing import Final, Literal

from typing_extensions import Buffer

__pyx_capi__: Final[dict[str, object]]
__test__: Final[dict[str, object]]

def canonicalize_json(
    text: str | Buffer,
    *,
    integers: Literal["safe", "exact"] = "safe",
    max_depth: int = 512,
    max_bytes: int | None = None,
) -> bytes: ...
def canonicalize_json_at(
    level: str,
    text: str | Buffer,
    *,
    integers: Literal["safe", "exact"] = "safe",
    max_depth: int = 512,
    max_bytes: int | None = None,
) -> bytes: ...
def vector_levels() -> tuple[str, ...]: ...
def vector_level() -> str: ...
