import os
from typing import Self, final

from sigil_native._keyinfo import KeyInfo

_Secret = str | bytes | bytearray | memoryview

@final
class KeyRing:
    def __init__(self, *, tenant_cache_size: int = 4096) -> None: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...
    def add(
        self,
        secret: _Secret,
        state: str = "active",
        not_before: float | None = None,
        retire_at: float | None = None,
    ) -> int: ...
    def rotate(
        self, secret: _Secret, *, not_before: float | None = None, retire_previous_at: float | None = None
    ) -> int: ...
    def revoke(self, key_id: int) -> None: ...
    def keys(self) -> list[KeyInfo]: ...
    def __len__(self) -> int: ...
