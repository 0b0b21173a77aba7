"""A store that may be away, with a spool that takes its writes meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import structlog

from core.dnastore.wire import Revoke
from core.errors import (
    IdempotencyKeyReusedError,
    RecordCorruptError,
    StoreOverloadedError,
    StorePartlyUnavailableError,
    StoreUnavailableError,
)
from core.idempotency import Claim, KeyLimits
from core.records import Damage, Entry, Listing, Record, Status
from core.spool.delivery import is_final
from core.spool.forwarder import Forwarder, Pace
from core.spool.known import as_shown, shown
from core.spool.merging import Question, merged_list, overlaid
from core.spool.spool import Spool
from core.spool.writes import Held
from core.store.interface import Store
from core.store.observation import StoreObserver
from core.store.passing import PassingStore

_log = structlog.get_logger(__name__)

#: Seconds for which a new write waits for the last ones in the spool, so that it need not go behind them.
_DRAIN: Final = 1.0
_DRAIN_STEP: Final = 0.01
#: Writes that are the last ones.
_LAST_WRITES: Final = 1000
#: The spool drains if its first write has changed within so many seconds.
_MOVING: Final = 2.0
_ATTEMPTS: Final = 5

SpoolCondition = Literal["empty", "waiting", "forwarding", "full", "failing"]


class SpooledStore(PassingStore):
    """The Store protocol over a store that may be away; see docs/dnastore.md for what each call does then.

    Writes go to the store as long as nothing of this process waits in the spool, behind it otherwise, so that
    a tenant's order is kept. What is in the spool is as durable as what is in the store, and readers of this
    host see it; entries, counts and purges are the store's alone.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        observer: StoreObserver,
        *,
        key_limits: KeyLimits = KeyLimits(),  # noqa: B008 - immutable
        pace: Pace = Pace(),  # noqa: B008 - immutable
    ) -> None:
        """Wrap.

        Args:
            store: that may be away.
            spool: that takes its writes then. Both are closed with this.
            observer: is told what waits, and what became of it.
            key_limits: how long idempotency keys are remembered.
            pace: of the attempts to forward.
        """
        super().__init__(store)
        self._spool = spool
        self._lifetime_ms = key_limits.seconds * 1000
        #: Called at the beginning of an outage with its reason, and with None when nothing waits any more.
        self.on_change: Callable[[str | None], object] = lambda _: None
        self._forwarder = Forwarder(
            spool,
            store,
            observer,
            pace=pace,
            on_look=self._looked,
            on_failure=self._failed,
            on_success=self._answered,
        )
        self._first = 0
        self._moved_at = float("-inf")
        # What a process before this one has left is waited for as if it were ours.
        self._last_own = spool.state().last
        self._outage = False
        #: Whether the store has answered lately, as far as writes have tried.
        self._there = True

    @property
    def spool_room(self) -> int:
        """Bytes that more writes may take in the spool, about."""
        return self._spool.left

    @property
    def condition(self) -> SpoolCondition:
        """How the spool is; ``full``: it would take nothing more; ``failing``: its file cannot be used."""
        try:
            state = self._spool.state()
        except StoreUnavailableError:
            return "failing"
        if self._spool.is_failing:
            return "failing"
        if self._spool.is_full:
            return "full"
        if not state.writes:
            return "empty"
        return "forwarding" if self._forwarder.is_forwarding or self._moves() else "waiting"

    @property
    def rejected(self) -> int:
        """Writes that were set aside, as far as is known."""
        return self._spool.seen.rejected

    def start(self) -> None:
        """See Store.start."""
        self._store.start()
        self._forwarder.start()

    def forward(self) -> None:
        """Forward what waits now: the store answers again, as somebody has found out."""
        self._forwarder.wake()

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put. While the store is away, into the spool.

        A record that the store would refuse is refused when it is forwarded, and set aside then.
        """
        if not records and not entries:
            return
        reason: str | None = None
        if await self._goes_direct():
            try:
                await self._store.put(records, entries)
            except StoreUnavailableError as error:
                if not is_away(error):
                    raise
                reason = error.reason
            else:
                self._answers()
                return
        self._spooled(await self._spool.append(records, entries), reason)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once. While the store is away, the keys that records in the spool have are known.

        The store is asked even if others wait: it alone knows the keys that were used before. If it turns out
        later that an earlier record has the key, this one, which was promised, is kept without it.
        """
        for _ in range(_ATTEMPTS):
            held = await self._spool.claimed(
                record.tenant, claim, now_ms=record.created_at_ms, lifetime_ms=self._lifetime_ms
            )
            if held is None:
                kept = await self._put_new_key(record, claim)
                if not isinstance(kept, Held):
                    return kept
                held = kept
            if held.request_digest != claim.request_digest:
                raise IdempotencyKeyReusedError("the key was used for another request")
            if held.record_id == record.id:
                return record
            try:
                earlier = await self.get(record.tenant, held.record_id, with_payload=False)
            except StoreUnavailableError as error:
                # It was forwarded in between: now nobody here knows the key.
                if not is_away(error):
                    raise
                continue
            if earlier is None:
                raise RecordCorruptError(held.record_id, "spool: lost")
            return earlier
        raise StoreUnavailableError("overloaded", retry_after=1)

    async def _put_new_key(self, record: Record, claim: Claim) -> Record | Held:
        """Keep a record under a key that nothing in the spool has; or tell what has come to have it."""
        reason: str | None = None
        if self._there:
            waits = not self._spool.state().is_empty
            try:
                kept = await self._store.put_once(record, claim)
            except StoreUnavailableError as error:
                if not is_away(error):
                    raise
                reason = error.reason
            else:
                self._answers()
                return await self._as_it_stands(kept) if waits and kept.id != record.id else kept
        outcome = await self._spool.append_once(record, claim, self._lifetime_ms)
        if isinstance(outcome, Held):
            return outcome
        self._spooled(outcome, reason)
        return record

    async def _as_it_stands(self, kept: Record) -> Record:
        """A record as the store has just told it; its revocation may wait here, or be forwarded since."""
        try:
            found = await self.get(kept.tenant, kept.id, with_payload=False)
        except StoreUnavailableError:
            return shown(kept, with_payload=False, stale=True)
        return kept if found is None else found

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get. While the store is away, what waits here is found, and marked stale."""
        # The spool first: what is taken out of it meanwhile, the store has by then.
        known = (await self._spool.find(tenant, [record_id])).get(record_id)
        try:
            kept = await self._store.get(tenant, record_id, with_payload=with_payload)
        except StoreUnavailableError:
            if known is None:
                raise
            return shown(_readable(known.record), with_payload=with_payload, stale=True)
        self._answers()
        record = overlaid(known, kept)
        return None if record is None else shown(_readable(record), with_payload=with_payload)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | Damage]:
        """See Store.get_many. While the store is away, what waits here is found, and marked stale.

        Raises:
            StorePartlyUnavailableError: the store is away, and not all of them wait here.
        """
        known = await self._spool.find(tenant, record_ids)
        try:
            kept = await self._store.get_many(tenant, record_ids, with_payload=with_payload)
        except StoreUnavailableError as error:
            if not known:
                raise
            here = {
                one: as_shown(each.record, with_payload=with_payload, stale=True)
                for one, each in known.items()
            }
            if all(one in here for one in record_ids):
                return here
            raise StorePartlyUnavailableError(error, here) from None
        self._answers()
        if not known:
            return kept
        return {
            one: as_shown(record, with_payload=with_payload)
            for one in dict.fromkeys(record_ids)
            if (record := overlaid(known.get(one), kept.get(one))) is not None
        }

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """See Store.list. While the store is away, what waits here is listed, and all is marked stale."""
        question = Question(tenant, limit, before, status, now_ms, with_payload)
        listing = await merged_list(self._spool, self._store, question)
        if not listing.stale:
            self._answers()
        return listing

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke. While the store is away, records that wait here can be revoked, and no others."""
        revocation = Revoke(tenant, record_id, reason, revoked_by, now_ms)
        for _ in range(_ATTEMPTS):
            known = (await self._spool.find(tenant, [record_id])).get(record_id)
            if known is not None and known.revocation is not None:
                return await self.get(tenant, record_id, with_payload=False)
            try:
                kept = await self._store.revoke(
                    tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms
                )
            except StoreUnavailableError as error:
                if known is None or not is_away(error):
                    raise
                away: str | None = error.reason
            else:
                self._answers()
                if known is None:
                    return kept
                if kept is not None:
                    await self._note_revoked(kept)
                    return kept
                away = None
            # It waits here, and so does the revocation then; unless it has just been forwarded.
            waits = await self._spool.append_revocation(revocation)
            if waits is not None:
                self._spooled(0, away)
                return shown(_readable(waits.record), with_payload=False, stale=away is not None)
        raise StoreUnavailableError("overloaded", retry_after=1)

    async def _note_revoked(self, kept: Record) -> None:
        """Have the copy of a record that waits here know that it was revoked, for the next outage."""
        if kept.revoked_at_ms is not None:
            by, reason = kept.revoked_by or "", kept.revoked_reason or ""
            # It is durable in the store, whatever comes of this.
            with contextlib.suppress(StoreUnavailableError, RecordCorruptError):
                await self._spool.append_revocation(
                    Revoke(kept.tenant, kept.id, reason, by, kept.revoked_at_ms)
                )

    async def probe(self) -> None:
        """See Store.probe. While the store is away, whether the spool takes more."""
        if self._there:
            try:
                await self._store.probe()
            except StoreUnavailableError as error:
                if not is_away(error):
                    raise
            else:
                self._answers()
                if not self._own_waits():
                    return
        await self._spool.probe()

    async def close(self) -> None:
        """See Store.close. What waits in the spool stays there."""
        await self._forwarder.close()
        await self._spool.close()
        await self._store.close()

    # -- what goes where -----------------------------------------------------------------------

    async def _goes_direct(self) -> bool:
        """Whether a new write overtakes nothing of this process.

        Under load, new writes that go behind the last ones keep the spool from ever being empty. So when only
        few are left, and they move, it is better to wait until they are gone.
        """
        if not self._own_waits():
            return True
        give_up_at = time.monotonic() + _DRAIN
        while self._moves() and self._spool.state().writes <= _LAST_WRITES and time.monotonic() < give_up_at:
            await asyncio.sleep(_DRAIN_STEP)
            if not self._own_waits():
                return True
        return False

    def _own_waits(self) -> bool:
        if not self._last_own:  # whatever the spool is like
            return False
        state = self._spool.state()
        if state.first != self._first:
            if self._first:
                self._moved_at = time.monotonic()
            self._first = state.first
        if not state.writes:
            self._last_own = 0
        return 0 < state.first <= self._last_own

    def _moves(self) -> bool:
        return time.monotonic() - self._moved_at < _MOVING

    def _spooled(self, sequence: int, reason: str | None) -> None:
        """A write is in the spool; because the store is away, if there is a reason."""
        self._last_own = max(self._last_own, sequence)
        if reason is not None:
            self._is_away(reason)
        elif not self._outage:
            # While the store is away, the forwarder finds out by itself when it is back.
            self._forwarder.wake()

    def _is_away(self, reason: str) -> None:
        self._moved_at = float("-inf")
        self._there = False
        if not self._outage:
            self._outage = True
            _log.error("store is away, writes wait in the spool", reason=reason, pid=os.getpid())
            self.on_change(reason)

    def _answers(self) -> None:
        """The store has answered: whatever waits can go."""
        self._there = True
        if self._spool.seen.writes:
            self._forwarder.wake()

    def _answered(self) -> None:
        self._there = True

    def _failed(self, error: StoreUnavailableError) -> None:
        if is_away(error):
            self._is_away(error.reason)

    def _looked(self) -> None:
        """The forwarder has looked at the spool."""
        if self._outage and not self._spool.seen.writes:
            self._outage, self._there = False, True
            _log.warning("nothing waits in the spool any more", pid=os.getpid())
            self.on_change(None)


def is_away(error: StoreUnavailableError) -> bool:
    """Whether the store cannot be asked. One that admits no more is there, and so is one that refuses us."""
    return not (isinstance(error, StoreOverloadedError) or is_final(error) or error.reason == "closed")


def _readable(record: Record | Damage) -> Record:
    if isinstance(record, Exception):
        raise record
    return record
