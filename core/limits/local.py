"""Rate limits that this host keeps by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from core.errors import LimiterUnavailableError
from core.limits.interface import Limit
from core.limits.quota import Quota
from sigil_native import Allowance, BucketFileError, Decision, TokenBucket
from sigil_native.asgi import RateHeaders

#: Quotas come from settings, so there are few. This is for whoever writes them by the thousand.
_MOST_TABLES: Final = 64


@lru_cache(1 << 14)
def bucket_key(group: str, key: str) -> bytes:
    """What a key is called in the table of its limit; no two pairs have one name."""
    # Whatever text is in them, odd surrogates too: one name must not break, nor become another.
    prefix = group.encode("utf-8", "surrogatepass")
    return b"%d:%b%b" % (len(prefix), prefix, key.encode("utf-8", "surrogatepass"))


@lru_cache(1 << 12)
def _table_name(name: str, quota: Quota) -> str:
    """Texts know their hashes, quotas work them out each time."""
    return f"{quota.limit}/{quota.window}/{quota.burst} {name}"


def table_file(folder: Path, name: str, quota: Quota, capacity: int) -> Path:
    """Where the table of a limit is shared, so that tables with other parameters are elsewhere."""
    # "quote" leaves no slash, and dots only in front of others.
    parts = (quote(name, safe="", errors="surrogatepass"), quota.limit, quota.window, quota.burst, capacity)
    return folder / ("-".join(map(str, parts)) + ".buckets")


class LocalLimiter:
    """A limiter over token buckets: a table for each kind of limit and quota.

    Several limits are taken together: see ``sigil_native.Allowance``.

    Of many tables, the one that was used last the longest ago is given up. Its buckets are full again if it
    was in memory; a file keeps them.

    For use on one event loop.
    """

    def __init__(
        self,
        folder: Path | None = None,
        capacity: int = 1 << 20,
        *,
        when_full: Literal["refuse", "allow"] = "refuse",
        tables: int = _MOST_TABLES,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Keep count.

        Args:
            folder: where all workers of a host share the tables, best in shared memory; None for this
                process alone. A file is named after what it holds, so other quotas get other files.
            capacity: keys for which each table has room at once.
            when_full: what becomes of new keys while a table has no room.
            tables: that are kept at once, at most.
            clock: nanoseconds from any moment on; the system's monotonic clock by default.
        """
        self._folder = folder
        self._capacity = capacity
        self._when_full = when_full
        self._most_tables = max(tables, 1)
        self._clock = clock
        self._tables: OrderedDict[str, TokenBucket] = OrderedDict()
        #: Changes when a table is given up: allowances made before may be of other tables than those now.
        self.generation = 0

    @property
    def full(self) -> int:
        """How often a new key found no room in one of the tables that are open now."""
        return sum(table.full for table in self._open())

    @property
    def capacity(self) -> int:
        """Keys for which the tables that are open now have room."""
        return sum(table.capacity for table in self._open())

    def live_keys(self) -> int:
        """Keys whose buckets are not full now. Looks at all of them."""
        return sum(table.live_keys() for table in self._open())

    async def take(self, group: str, limits: Sequence[Limit], cost: int) -> Sequence[Decision]:
        """Count a request, if it may be: see ``Limiter``.

        Raises:
            LimiterUnavailableError: a file of the folder cannot be used; the cause tells why.
            InvalidOptionError: a quota that no bucket can have, or a negative cost.
        """
        return self.take_now(group, limits, cost)

    def take_now(self, group: str, limits: Sequence[Limit], cost: int) -> list[Decision]:
        """The same without an event loop."""
        return self.allowance(group, limits).check(cost)

    def allowance(self, group: str, limits: Sequence[Limit], headers: RateHeaders | None = None) -> Allowance:
        """The limits of a group, for many requests: until ``generation`` is another.

        Raises:
            LimiterUnavailableError, InvalidOptionError: see ``take``.
        """
        # Every table first: where one cannot be used, nothing is taken from the others.
        places = [(self._table(limit), bucket_key(group, limit.key)) for limit in limits]
        return Allowance(places, headers)

    def charge(self, group: str, limits: Sequence[Limit], cost: int) -> None:
        """Count a request that somebody else has granted: take its tokens, or as many as are there."""
        for limit in limits:
            table, key = self._table(limit), bucket_key(group, limit.key)
            decision = table.check(key, cost)
            if not decision.allowed and decision.remaining > 0:
                table.acquire(key, decision.remaining)

    async def close(self) -> None:
        """Give up the tables. Files stay, for the other workers and the next start."""
        self._tables.clear()
        self.generation += 1

    def _open(self) -> list[TokenBucket]:
        # In one step, as metrics are read by a thread while requests move tables about.
        return list(self._tables.values())

    def _table(self, limit: Limit) -> TokenBucket:
        name = _table_name(limit.name, limit.quota)
        table = self._tables.get(name)
        if table is not None:
            self._tables.move_to_end(name)
            return table
        quota = limit.quota
        path = None if self._folder is None else table_file(self._folder, limit.name, quota, self._capacity)
        try:
            table = TokenBucket(
                quota.rate,
                quota.burst,
                capacity=self._capacity,
                path=path,
                when_full=self._when_full,
                clock=self._clock,
            )
        except (BucketFileError, OSError) as error:
            raise LimiterUnavailableError("file") from error
        self._tables[name] = table
        if len(self._tables) > self._most_tables:
            self._tables.popitem(last=False)
            self.generation += 1
        return table
