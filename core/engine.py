"""The verbs of the service: encode, verify, get, list, revoke."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from core.cursor import read_cursor, write_cursor
from core.errors import (
    PayloadMissingError,
    RecordCorruptError,
    RecordNotFoundError,
    RecordUnverifiableError,
    StorePartlyUnavailableError,
    StoreUnavailableError,
)
from core.idempotency import Claimant, claim_of
from core.later import Later, Sequel
from core.records import CanonicalJson, Damage, Record, Status, id_of
from core.sealed_records import SealedRecords, pieces_of
from core.seals import Seals
from core.store.interface import PromptStore, Store
from core.time_slices import TimeSlices
from core.timestamps import has_timestamp
from core.verdict import (
    UNCHECKED,
    Finding,
    Revocation,
    Verdict,
    finding_from_error,
    finding_of,
    verdict_of,
)
from core.verdicts import Revocations, Verdicts
from sigil_native import SealRequests, Sigil, SigilCodec, SigilError, VerifyRequests, canonicalize_json
from sigil_native.errors import SigilFormatError

LONGEST_REASON: Final = 500
_NOT_RECORDED: Final = Revocation("not_recorded")
#: Where a token holds no payload.
_NO_SIGIL: Final = Finding(None, SigilFormatError.code, "invalid", "unchecked", "unchecked")

_Found = Mapping[str, Record | Damage]


class Page(msgspec.Struct, frozen=True):
    """A piece of a listing, and the cursor of the next; ``None`` at the end.

    Attributes:
        stale: whether more may be there, which cannot be seen while the store is away.
        damages: why others that belong here are not shown, newest first.
    """

    records: Sequence[Record]
    next_cursor: str | None
    stale: bool = False
    damages: Sequence[Damage] = ()

    @property
    def withheld(self) -> Sequence[str]:
        """The ids of those that are not shown, newest first."""
        return [damage.record_id for damage in self.damages]


def now_ms() -> int:
    """The time of the clock that records and expiry are judged by."""
    return time.time_ns() // 1_000_000


class Engine:
    """Seals and checks payloads of tenants, and keeps a record of what was sealed.

    Callers vouch for tenant and subject: the engine authenticates nobody. One engine serves one
    event loop.
    """

    def __init__(
        self, seals: Seals, store: Store, *, revocation_unknown: Literal["invalid", "accept"] = "invalid"
    ) -> None:
        """Work with a store.

        Args:
            seals: with the keys that are in use.
            store: where records are kept. It is closed with this.
            revocation_unknown: what a good sigil is while the store cannot be asked whether it is revoked.
        """
        self._seals = seals
        self._store = store
        self._prompt_store = store if isinstance(store, PromptStore) else None
        self._unasked = Revocation("unknown", accepted=revocation_unknown == "accept")

    async def encode(
        self, tenant: str, subject: str, payload: CanonicalJson, *, expires_in: float | None
    ) -> Record:
        """Seal a payload; the record is durable when this returns.

        Raises:
            SigilError: the lifetime is out of range, or no key may sign now.
            StoreUnavailableError: nothing was kept, as far as anybody knows.
        """
        record = _sealed(self._seals.keys.codec, tenant, subject, payload, expires_in)
        await self._store.put((record,))
        return record

    @property
    def is_prompt(self) -> bool:
        """Whether those without a task are served: the store needs none to wait in."""
        return self._prompt_store is not None

    def seal_few(self, tenant: str, subject: str, requests: SealRequests) -> SealedRecords:
        """Seal all lines of a body that are not refused; ``keep_soon`` keeps them.

        Raises:
            SigilError: as in encode.
        """
        self._seals.keys.codec.seal_requests(requests, 0, len(requests), tenant=tenant)
        return SealedRecords(requests, tenant, subject, now_ms())

    def keep_soon(self, records: SealedRecords, sequel: Sequel | None) -> Later | None:
        """Keep what was sealed: done when what this returns is awaited, or at once where it is None.

        So is the sequel then, which begins when the records are durable, if they ever are.

        Raises:
            StoreUnavailableError: as in encode.
        """
        if self._prompt_store is None:
            raise RuntimeError("the store needs a task to wait in")
        later = self._prompt_store.put_soon(records, sequel)
        if later is None and sequel is not None:
            sequel.begin_all((sequel,))
            return sequel.later
        return later

    async def encode_requests(self, tenant: str, subject: str, requests: SealRequests) -> SealedRecords:
        """Seal all lines of a body that are not refused, with one ring; all are durable when this returns.

        Raises:
            SigilError, StoreUnavailableError: as in encode; none was kept, as far as anybody knows.
        """
        codec = self._seals.keys.codec
        slices = TimeSlices()
        for first, last in pieces_of(requests):
            codec.seal_requests(requests, first, last, tenant=tenant)
            await slices.pause()
        records = SealedRecords(requests, tenant, subject, now_ms())
        await self._store.put(records)
        return records

    async def encode_once(
        self, tenant: str, claimant: Claimant, payload: CanonicalJson, *, expires_in: float | None, key: str
    ) -> tuple[Record, bool]:
        """Seal a payload under an idempotency key, unless the claimant has done so before.

        Returns:
            The record; or the earlier one as it stands now, without its payload, its seal checked,
            and True.

        Raises:
            IdempotencyKeyReusedError: the key was used for another payload or lifetime.
            RecordCorruptError, RecordUnverifiableError: as in get, of the earlier record.
            SigilError, StoreUnavailableError: as in encode; the key is not used up.
        """
        record = _sealed(self._seals.keys.codec, tenant, claimant.subject, payload, expires_in)
        claim = claim_of(claimant, key, canonical_sha256=record.canonical_sha256, expires_in=expires_in)
        kept = await self._store.put_once(record, claim)
        if kept.id == record.id:
            return record, False
        self._seals.check(msgspec.structs.replace(kept, payload=payload))
        return kept, True

    async def verify(self, tenant: str, sigil: str, payload: CanonicalJson | None) -> Verdict:
        """Judge a sigil; ``payload`` may be missing only where the sigil is a token that carries it.

        A store that cannot answer, or whose row is damaged, makes a good sigil's revocation unknown,
        and so the verdict invalid: a revoked sigil must not pass because a disk is slow. Unless the engine is
        told to accept it while the store cannot answer.

        Raises:
            PayloadMissingError: no payload, and the sigil is no token.
        """
        if payload is None:
            payload = self.payload_in(sigil)
        finding = _NO_SIGIL if payload is None else self._examine(tenant, sigil, payload)
        revocation = UNCHECKED
        if finding.issued_id is not None:
            try:
                record = await self._store.get(tenant, finding.issued_id, with_payload=False)
            except StoreUnavailableError:
                revocation = self._unasked
            except (RecordCorruptError, RecordUnverifiableError) as error:
                revocation = _revocation(error)
            else:
                revocation = _revocation(record)
        return verdict_of(finding, payload, revocation)

    def payload_in(self, token: str) -> CanonicalJson | None:
        """The payload that a token carries, which nobody has judged; None where it is no token after all.

        Raises:
            PayloadMissingError: it does not even look like one.
        """
        if "." not in token:
            raise PayloadMissingError("a sigil without its payload can only be verified as a token")
        try:
            self._seals.keys.codec.decode(token)
            text = token.partition(".")[2]
            embedded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return CanonicalJson(canonicalize_json(embedded, integers="exact"))
        except SigilError:
            # A token whose payload is no JSON was never issued: format, like any other wrong shape.
            return None

    async def verify_requests(
        self, tenant: str, requests: VerifyRequests, slices: TimeSlices | None = None
    ) -> Verdicts:
        """Judge all lines of a body that are not refused as in verify, with one ring.

        Whoever has no task gives slices that need none; where ``is_prompt``.
        """
        find = self._store.get_many if slices is None else self._found_soon
        slices = slices or TimeSlices()
        codec, states, _ = self._seals.keys
        for first, last in pieces_of(requests):
            codec.judge_requests(requests, first, last, tenant=tenant)
            await slices.pause()
        issued = requests.issued(0, len(requests))
        revocations = await self._revocations(tenant, [one for one in issued if one is not None], find)
        return Verdicts(requests, issued, states, revocations)

    async def get(self, tenant: str, record_id: str) -> tuple[Record, Sigil]:
        """A record with its payload, and its sigil, the seal checked again.

        Raises:
            RecordNotFoundError: the tenant has no such record.
            RecordCorruptError: it is not what was sealed.
            RecordUnverifiableError: the key ring cannot tell.
        """
        record = await self._store.get(tenant, record_id)
        if record is None:
            raise RecordNotFoundError(record_id)
        sigil = self._seals.check(record)
        presented = _presentable(record)
        if isinstance(presented, Exception):
            raise presented
        return presented, sigil

    async def list(self, tenant: str, *, limit: int, cursor: str | None, status: Status | None) -> Page:
        """Records without their payloads, newest first. What is damaged is told, and stops no other.

        Raises:
            InvalidCursorError: the cursor is none of ours.
        """
        before = None if cursor is None else read_cursor(cursor)
        # One more than asked for tells whether there is a next page.
        listing = await self._store.list(
            tenant, limit=limit + 1, before=before, status=status, now_ms=now_ms()
        )
        page = [_presentable(one) for one in listing.records[:limit]]
        more = len(listing.records) > limit
        return Page(
            [one for one in page if isinstance(one, Record)],
            write_cursor(id_of(page[-1])) if more else None,
            listing.stale,
            [one for one in page if not isinstance(one, Record)],
        )

    async def revoke(self, tenant: str, subject: str, record_id: str, *, reason: str) -> Record:
        """Revoke a record; one that is revoked already keeps its first reason.

        Raises:
            RecordNotFoundError: the tenant has no such record.
        """
        record = await self._store.revoke(
            tenant, record_id, reason=reason, revoked_by=subject, now_ms=now_ms()
        )
        if record is None:
            raise RecordNotFoundError(record_id)
        return record

    async def probe(self) -> None:
        """Raise unless an encode would work now.

        Raises:
            NoActiveKeyError: no key may sign.
            StoreUnavailableError: nothing could be kept.
        """
        self._seals.keys.codec.encode_json(b"{}", tenant="probe")
        await self._store.probe()

    def start(self) -> None:
        """Begin what the store does in the background; in the event loop that all calls come from."""
        self._store.start()

    async def close(self) -> None:
        """Finish the writes that were accepted."""
        await self._store.close()

    def _examine(self, tenant: str, sigil: str, payload: CanonicalJson) -> Finding:
        codec, states, _ = self._seals.keys
        try:
            decoded = codec.verify_json(sigil, payload, tenant=tenant)
        except SigilError as error:
            return finding_from_error(error, states)
        return finding_of(decoded, None, states[decoded.key_id])

    def _found_soon(self, tenant: str, record_ids: Sequence[str]) -> Awaitable[_Found]:
        if self._prompt_store is None:
            raise RuntimeError("the store needs a task to wait in")
        return self._prompt_store.find_soon(tenant, record_ids)

    async def _revocations(
        self,
        tenant: str,
        issued: Sequence[str],
        find: Callable[[str, Sequence[str]], Awaitable[_Found]],
    ) -> Revocations:
        if not issued:
            return Revocations({}, _NOT_RECORDED)
        try:
            records = await find(tenant, issued)
        except StorePartlyUnavailableError as error:
            return Revocations(
                {one: _revocation(record) for one, record in error.known.items()}, self._unasked
            )
        except StoreUnavailableError:
            return Revocations({}, self._unasked)
        return Revocations({one: _revocation(record) for one, record in records.items()}, _NOT_RECORDED)


def _revocation(record: Record | RecordCorruptError | RecordUnverifiableError | None) -> Revocation:
    if record is None:
        return _NOT_RECORDED
    if isinstance(record, RecordCorruptError | RecordUnverifiableError):
        return Revocation("unknown")
    return Revocation("not_revoked" if record.revoked_at_ms is None else "revoked", record.stale)


def _presentable(listed: Record | Damage) -> Record | Damage:
    """A record whose times can be told; those that no seal covers may hold anything."""
    if not isinstance(listed, Record):
        return listed
    times = (listed.issued_at_ms, listed.expires_at_ms, listed.created_at_ms, listed.revoked_at_ms or 0)
    return listed if all(map(has_timestamp, times)) else RecordCorruptError(listed.id, "times")


def _sealed(
    codec: SigilCodec, tenant: str, subject: str, payload: CanonicalJson, expires_in: float | None
) -> Record:
    text = codec.encode_json(payload, tenant=tenant, expires_in=expires_in)
    sigil = codec.decode(text)
    return Record(
        tenant=tenant,
        id=sigil.id,
        sigil=text,
        key_id=sigil.key_id,
        issued_at_ms=sigil.issued_at_ms,
        expires_at_ms=sigil.expires_at_ms,
        payload=payload,
        canonical_sha256=hashlib.sha256(payload).digest(),
        created_at_ms=now_ms(),
        created_by=subject,
    )
