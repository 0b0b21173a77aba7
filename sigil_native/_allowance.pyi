from collections.abc import Iterable
from typing import Final, NoReturn, final

from sigil_native._bucket import TokenBucket
from sigil_native._decision import Decision
from sigil_native._rate_headers import RateHeaders

__test__: Final[dict[str, object]]

@final
class Allowance:
    def __new__(
        cls, places: Iterable[tuple[TokenBucket, str | bytes]], headers: RateHeaders | None = None
    ) -> Allowance: ...
    def __reduce__(self) -> NoReturn: ...
    def check(self, cost: int = 1) -> list[Decision]: ...
    def take(self, cost: int = 1) -> bytes | list[Decision]: ...
