"""Where a token's key is looked up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from app.authentication.key_set import choose
from app.authentication.public_keys import PublicKey


class KeySource(Protocol):
    """Where a token's key is looked up."""

    def start(self) -> None:
        """Begin to keep the keys fresh. Needs a running event loop."""

    def on_withdrawal(self, listener: Callable[[Collection[PublicKey]], None]) -> None:
        """Have the listener called with keys that are not to be believed any more."""

    def is_fresh(self) -> bool:
        """Whether keys are known, and not so old that they must not be believed."""

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """The key, or None. Raises KeysUnavailableError if nobody can tell now."""

    async def check(self) -> None:
        """Raise KeysUnavailableError unless tokens can be checked."""

    async def close(self) -> None:
        """Give up connections."""


class FixedKeys:
    """A key source whose keys never change."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = tuple(keys)

    def start(self) -> None:
        """See KeySource.start."""

    def on_withdrawal(self, listener: Callable[[Collection[PublicKey]], None]) -> None:
        """See KeySource.on_withdrawal."""

    def is_fresh(self) -> bool:
        """See KeySource.is_fresh."""
        return True

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See KeySource.find."""
        return choose(self._keys, key_id, algorithm)

    async def check(self) -> None:
        """See KeySource.check."""

    async def close(self) -> None:
        """See KeySource.close."""
