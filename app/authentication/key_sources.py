"""Where public keys come from: fixed, or fetched from a provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import structlog
from joserfc.errors import JoseError

from app.authentication.public_keys import KeyRefusedError, PublicKey, choose, public_key
from core.errors import KeysUnavailableError

if TYPE_CHECKING:
    import aiohttp

_MOST_KEYS: Final = 100
_LARGEST_KEY_SET: Final = 256 << 10

_MAX_AGE: Final = 300.0
#: How long keys are trusted that could not be fetched again.
_HARD_LIMIT: Final = 24 * 3600.0
#: Pause between two fetches, whatever came of the first.
_COOLDOWN: Final = 10.0
_TIMEOUT: Final = 5.0

_log = structlog.get_logger("app.authentication")


class KeySource(Protocol):
    """Where a token's key is looked up.

    Attributes:
        generation: changes whenever keys do, so that what was verified with earlier keys can be
            told from what holds now.
    """

    generation: int

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """The key, or None. Raises KeysUnavailableError if nobody can tell now."""

    async def check(self) -> None:
        """Raise KeysUnavailableError unless tokens can be checked; renew keys that have grown old."""

    async def close(self) -> None:
        """Give up connections."""


class FixedKeys:
    """A key source whose keys never change."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self.generation = 0
        self._keys = tuple(keys)

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See KeySource.find."""
        return choose(self._keys, key_id, algorithm)

    async def check(self) -> None:
        """See KeySource.check."""

    async def close(self) -> None:
        """See KeySource.close."""


class RemoteKeys:
    """A key source behind a URL.

    Keys are fetched when they are first asked for, again in the background when they are older than
    five minutes, and at once for a key id that is not known; never two fetches at a time, and
    never one within the cooldown of the last, so that made-up key ids cannot flood the provider.
    """

    def __init__(self, uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self._uri = uri
        self._clock = clock
        self._keys: tuple[PublicKey, ...] | None = None
        self._raw = b""
        self._fetched_at = 0.0
        self._attempted_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See KeySource.find."""
        keys = await self._current()
        found = choose(keys, key_id, algorithm)
        if found is None and key_id is not None and key_id not in {key.key_id for key in keys}:
            await self._refresh()
            found = choose(self._keys or (), key_id, algorithm)
        return found

    async def check(self) -> None:
        """See KeySource.check."""
        await self._current()

    async def close(self) -> None:
        """See KeySource.close."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _current(self) -> tuple[PublicKey, ...]:
        age = self._clock() - self._fetched_at
        if self._keys is None or age > _HARD_LIMIT:
            await self._refresh()
            if self._keys is None or self._clock() - self._fetched_at > _HARD_LIMIT:
                raise KeysUnavailableError("the key set could not be fetched")
        elif age > _MAX_AGE:
            self._start_fetch()
        return self._keys

    async def _refresh(self) -> None:
        fetching = self._start_fetch()
        if fetching is not None:
            # Shielded: one caller that gives up must not take the others' fetch with it.
            await asyncio.shield(fetching)

    def _start_fetch(self) -> asyncio.Task[None] | None:
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = self._clock()
        if self._attempted_at is not None and now - self._attempted_at < _COOLDOWN:
            return None
        self._attempted_at = now
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            raw = await self._download()
            keys = _read_key_set(raw)
        except Exception as error:
            # Whatever the provider does, the service goes on.
            _log.warning("key set not fetched", cause=f"{type(error).__name__}: {error}")
            return
        if raw != self._raw:
            self._raw = raw
            self._keys = keys
            self.generation += 1
        self._fetched_at = self._clock()

    async def _download(self) -> bytes:
        import aiohttp  # noqa: PLC0415 - 180 ms, and not needed in development

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        async with self._session.get(self._uri, allow_redirects=False) as response:
            if response.status != 200:
                raise KeyRefusedError(f"the provider answered {response.status}")
            raw = bytearray()
            async for part in response.content.iter_chunked(16 << 10):
                raw += part
                if len(raw) > _LARGEST_KEY_SET:
                    raise KeyRefusedError("the key set is too large")
            return bytes(raw)


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def _read_key_set(raw: bytes) -> tuple[PublicKey, ...]:
    """Import a key set key by key, so that a bad one does not take the others with it."""
    keys = []
    for position, jwk in enumerate(msgspec.json.decode(raw, type=_KeySet).keys[:_MOST_KEYS]):
        try:
            keys.append(public_key(jwk))
        except (KeyRefusedError, JoseError) as error:
            _log.warning("key refused", position=position, cause=str(error))
    if not keys:
        raise KeyRefusedError("the key set has no usable key")
    return tuple(keys)
