"""Where this process's chains stand, and what comes next in them."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from core.history.statements import seal_entry
from core.records import Entry, Place, Step
from core.seals import Seals
from core.time_slices import TimeSlices

#: Tenants whose chains go on. One that is forgotten begins another chain when it writes again.
MOST_TENANTS: Final = 10_000


class Wanted(NamedTuple):
    """A step that needs an entry, see ``Entry``; ``about`` is what the entry is about."""

    tenant: str
    step: Step
    record_id: str
    about: dict[str, object]


class _Head(NamedTuple):
    """The last entry of a tenant's chain, and how many the chain has; the seal may be of an earlier chain's."""

    chain: str
    number: int
    seal: str


class Linked(NamedTuple):
    """Entries that follow those acknowledged, and where the chains stand once these are, too."""

    entries: Sequence[Entry]
    heads: Mapping[str, _Head]


class Heads:
    """The last acknowledged entry of each tenant.

    What is linked must be acknowledged or given up before anything else is linked. When nobody knows whether
    entries were kept, their chains end there: a later entry must not follow one that may be missing, nor take the
    place of one that may be there. The next chain follows the last entry that is known to be kept.
    """

    def __init__(self, seals: Seals, *, most_tenants: int = MOST_TENANTS) -> None:
        self._seals = seals
        self._most_tenants = most_tenants
        self._heads: OrderedDict[str, _Head] = OrderedDict()

    async def link(self, wanted: Iterable[Wanted]) -> Linked:
        """Make the entries, in their order, all with one key ring.

        Raises:
            SigilError: no key may sign now, or something has no canonical JSON.
        """
        codec = self._seals.keys.codec
        slices = TimeSlices()
        at_ms = time.time_ns() // 1_000_000
        entries: list[Entry] = []
        heads: dict[str, _Head] = {}
        for tenant, step, record_id, about in wanted:
            chain, number, previous = heads.get(tenant) or self._heads.get(tenant) or _new(previous="")
            entry = seal_entry(
                codec,
                Place(chain, number + 1),
                previous,
                tenant=tenant,
                step=step,
                record_id=record_id,
                about=about,
                at_ms=at_ms,
            )
            entries.append(entry)
            heads[tenant] = _Head(chain, number + 1, entry.seal)
            await slices.pause()
        return Linked(entries, heads)

    def acknowledge(self, linked: Linked) -> None:
        """The entries are kept."""
        for tenant, head in linked.heads.items():
            self._set(tenant, head)

    def give_up(self, linked: Linked) -> None:
        """The entries may be kept or not."""
        for tenant in linked.heads:
            last = self._heads.get(tenant)
            self._set(tenant, _new(previous="" if last is None else last.seal))

    def _set(self, tenant: str, head: _Head) -> None:
        self._heads[tenant] = head
        self._heads.move_to_end(tenant)
        if len(self._heads) > self._most_tenants:
            self._heads.popitem(last=False)


def _new(*, previous: str) -> _Head:
    return _Head(secrets.token_hex(16), 0, previous)
