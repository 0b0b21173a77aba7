"""The keys of a provider, kept fresh without ever letting callers drive how often it is asked."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

import msgspec
import structlog

from app.authentication.key_set import ReadKeySet, choose, read_key_set
from app.authentication.public_keys import PublicKey
from core.errors import KeysUnavailableError

#: Of unknown key ids that are remembered. Each has at most 256 characters.
_MOST_MISSING: Final = 1024
#: Failures in a row double the cooldown up to so many of it: who asks often wants to hear soon of a recovery.
_MOST_COOLDOWNS: Final = 6
#: Of a failure's text in the log.
_LONGEST_CAUSE: Final = 300

_log = structlog.get_logger("app.authentication")


class Download(Protocol):
    """Where a key set's document comes from."""

    async def fetch(self) -> bytes:
        """The document. Whatever it raises counts as a failure of the provider."""

    async def close(self) -> None:
        """Give up connections."""


class Pace(msgspec.Struct, frozen=True):
    """How often a provider is asked, and for how long its last answer holds, in seconds.

    Attributes:
        refresh: at the latest after this a set is fetched again.
        cooldown: at least, between the end of a fetch and the next one, whatever came of it; more after
            failures in a row.
        max_stale: keys that were not fetched again for so long are not believed any more.
    """

    refresh: float = 300.0
    cooldown: float = 10.0
    max_stale: float = 24 * 3600.0


_PACE: Final = Pace()


class RemoteKeys:
    """A key source behind a URL.

    Keys are fetched when the service starts or when they are first asked for, again and again by a timer,
    whether tokens come or not, and at once for a key id that is not known. There are never two
    fetches at a time and never one within the cooldown of the last, so that made-up key ids cannot
    flood the provider; an id that a fetch did not find causes no other one until the time
    of a refresh has passed. While the provider fails, the last keys are believed, for ``max_stale``.
    """

    def __init__(
        self,
        download: Download,
        *,
        issuer: str,
        pace: Pace = _PACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._download = download
        self._pace = pace
        self._clock = clock
        self._log = _log.bind(issuer=issuer)
        self._set = ReadKeySet((), ())
        #: Fetches that have begun, and which of them has brought the set.
        self._begun = 0
        self._brought_by = 0
        self._fetched_at: float | None = None
        self._refresh_at = clock()
        self._allowed_at = clock()
        self._failures = 0
        #: Fetches that brought a set, and others.
        self.done = 0
        self.failed = 0
        self._trouble: str | None = None
        self._missing: dict[str, float] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Collection[PublicKey]], None]] = []

    def start(self) -> None:
        """See KeySource.start."""
        self._timer = asyncio.create_task(self._keep_fresh())

    def on_withdrawal(self, listener: Callable[[Collection[PublicKey]], None]) -> None:
        """See KeySource.on_withdrawal."""
        self._listeners.append(listener)

    @property
    def age(self) -> float | None:
        """Seconds since the set was fetched; None before the first time."""
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    def is_fresh(self) -> bool:
        """See KeySource.is_fresh."""
        return self._fetched_at is not None and self._clock() - self._fetched_at <= self._pace.max_stale

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See KeySource.find."""
        await self.check()
        if key_id is not None and self._may_be_new(key_id):
            begun = self._begun
            await self._refresh()
            # A fetch that had begun before says nothing: the key may have been published since.
            if self._brought_by > begun and not self._has(key_id):
                self._remember_missing(key_id)
        return choose(self._set.keys, key_id, algorithm)

    async def check(self) -> None:
        """See KeySource.check."""
        if self.is_fresh():
            return
        await self._refresh()
        if not self.is_fresh():
            wait = max(1, round(self._allowed_at - self._clock()))
            raise KeysUnavailableError("the key set could not be fetched", retry_after=wait)

    async def close(self) -> None:
        """See KeySource.close."""
        tasks = [task for task in (self._timer, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._download.close()

    def _has(self, key_id: str) -> bool:
        return any(key.key_id == key_id for key in self._set.keys)

    def _may_be_new(self, key_id: str) -> bool:
        missing_since = self._missing.get(key_id)
        remembered = missing_since is not None and self._clock() - missing_since < self._pace.refresh
        return not remembered and not self._has(key_id)

    def _remember_missing(self, key_id: str) -> None:
        self._missing.pop(key_id, None)
        if len(self._missing) >= _MOST_MISSING:
            del self._missing[next(iter(self._missing))]  # the oldest
        self._missing[key_id] = self._clock()

    async def _keep_fresh(self) -> None:
        while True:
            wait = max(self._refresh_at, self._allowed_at) - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self._refresh()

    async def _refresh(self) -> None:
        """Fetch, join the fetch that runs, or do nothing during the cooldown."""
        if self._fetching is None or self._fetching.done():
            if self._clock() < self._allowed_at:
                return
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: one caller that gives up must not take the others' fetch with it.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._begun += 1
        try:
            fetched = read_key_set(await self._download.fetch(), self._set.keys)
        except Exception as error:
            # Whatever the provider does, the service goes on.
            text = str(error) or "no whole answer in time"
            self._note_failure(f"{type(error).__name__}: {text}"[:_LONGEST_CAUSE])
        else:
            self._take(fetched)

    def _note_failure(self, cause: str) -> None:
        self._failures += 1
        self.failed += 1
        cooldown = self._pace.cooldown * min(2 ** min(self._failures - 1, 16), _MOST_COOLDOWNS)
        self._allowed_at = self._refresh_at = self._clock() + cooldown * _between(1.0, 1.25)
        if cause != self._trouble:
            self._log.warning("key set not fetched", cause=cause)
        self._trouble = cause

    def _take(self, fetched: ReadKeySet) -> None:
        now = self._clock()
        self.done += 1
        before, self._set = self._set, fetched
        is_first, self._brought_by = not self._brought_by, self._begun
        self._fetched_at = now
        self._allowed_at = now + self._pace.cooldown
        self._refresh_at = now + self._pace.refresh * _between(0.8, 1.0)
        self._failures = 0
        added = [key for key in fetched.keys if key not in before.keys]
        withdrawn = [key for key in before.keys if key not in fetched.keys]
        if withdrawn:
            for listener in self._listeners:
                listener(withdrawn)
        if is_first or self._trouble is not None:
            self._log.info("key set fetched", keys=_names(fetched.keys))
        elif added or withdrawn:
            self._log.info("key set changed", added=_names(added), withdrawn=_names(withdrawn))
        self._trouble = None
        if fetched.refused != before.refused:
            for position, cause in fetched.refused:
                self._log.warning("key refused", position=position, cause=cause)


def _names(keys: Collection[PublicKey]) -> list[str | None]:
    return [key.key_id for key in keys]


def _between(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, hides nothing
