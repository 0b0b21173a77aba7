"""What the service asks of whoever keeps count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from core.limits.quota import Quota
from sigil_native import Decision


class Limit(msgspec.Struct, frozen=True):
    """One limit that a request must keep.

    Attributes:
        name: of the kind of limit, for headers and logs: ``user``, ``tenant``, ``address``.
        key: whose; unique among the limits of one name.
        quota: how much that is.
    """

    name: str
    key: str
    quota: Quota


#: How those who keep count do: ``degraded`` while Redis, or a part of it, is left alone.
Condition = Literal["ok", "degraded"]
#: Who gave an answer: Redis, for all hosts; the buckets of this host; nobody, all is allowed.
Source = Literal["shared", "local", "allow"]


class Answer(tuple[Decision, ...]):
    """Decisions, and where they are from.

    Attributes:
        source: ``shared`` is the rule. ``local``: a share of the limits, kept by this host. ``allow``:
            nobody counts, and the decisions are those of full buckets, which is nothing to tell a client.
    """

    source: Source

    def __new__(cls, decisions: Iterable[Decision], source: Source) -> Answer:
        """Decisions of a source."""
        self = super().__new__(cls, decisions)
        self.source = source
        return self


class Limiter(Protocol):
    """Keeps count of what was asked for.

    A request that keeps all its limits is counted in all of them; one that does not is counted in none.
    """

    async def take(self, group: str, limits: Sequence[Limit], cost: int) -> Sequence[Decision]:
        """Count a request, if it may be.

        Args:
            group: what the limits have in common, like the tenant: they are kept in one place.
            limits: all of them must allow it.
            cost: how many tokens it takes from each; 0 only looks.

        Returns:
            A decision for each limit, in their order, about how things stand afterwards. The request
            is allowed if all of them say so.

        Raises:
            LimiterUnavailableError: nobody can tell now.
        """

    async def close(self) -> None:
        """Give up connections and files."""
