from typing import Literal

def canonicalize(
    value: object,
    *,
    integers: Literal["safe", "exact"] = "safe",
    max_depth: int = 512,
    max_bytes: int | None = None,
) -> bytes: ...
def stringify(value: object) -> bytes: ...
