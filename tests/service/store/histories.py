"""Histories for tests: a store that fails, what a check of it finds, and how to tamper with it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from core.errors import StoreUnavailableError
from core.history.check import Checked, TenantCheck
from core.history.findings import Finding, Findings
from core.idempotency import Claim
from core.records import CanonicalJson, Entry, Record
from core.seals import Seals
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.passing import PassingStore
from core.store.sql_store import SqlStore
from sigil_native import KeyRing

_T = TypeVar("_T")
SECRET = b"s" * 32


def seals(*secrets: bytes) -> Seals:
    """The keys of these secrets; the last one signs."""
    ring = KeyRing()
    for secret in secrets or (SECRET,):
        ring.add(secret, state="verify-only" if secret != (secrets or (SECRET,))[-1] else "active")
    return Seals(ring)


#: Those that are used where it does not matter.
KEYS = seals()


def sealed(
    keys: Seals,
    number: int,
    *,
    tenant: str = "acme",
    created_by: str = "tester",
    expires_in: float | None = None,
) -> Record:
    """A record as the engine makes it."""
    payload = CanonicalJson(b'{"number":%d}' % number)
    codec = keys.keys.codec
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
        created_at_ms=time.time_ns() // 1_000_000,
        created_by=created_by,
    )


class TroubledStore(PassingStore):
    """A store whose writes fail from time to time: before they are done, after, or never come back.

    ``kept`` are ids of records that were acknowledged by the store beneath.
    """

    def __init__(self, store: Store, choice: Callable[[], str]) -> None:
        super().__init__(store)
        #: ``"fine"``, ``"before"``, ``"after"`` or ``"hang"``, asked for at each write.
        self.choice = choice

    async def _troubled(self, write: Awaitable[_T]) -> _T:
        choice = self.choice()
        if choice == "before":
            asyncio.ensure_future(write).cancel()
            raise StoreUnavailableError("connection")
        done = await write
        if choice == "after":
            raise StoreUnavailableError("timeout")
        if choice == "hang":
            await asyncio.Event().wait()
        return done

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await self._troubled(self._store.put(records, entries))

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return await self._troubled(self._store.put_once(record, claim))

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        return await self._troubled(
            self._store.revoke(tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms)
        )

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        return await self._troubled(self._store.purge(tenant, before=before, limit=limit))

    async def close(self) -> None:
        """See Store.close."""


async def check(path: Path, keys: Seals, tenant: str = "acme") -> tuple[list[Finding], Checked]:
    """What a check of the database finds, and what it has looked at."""
    found: list[Finding] = []
    store = SqlStore.open(f"sqlite:///{path}")
    store.start()
    try:
        findings = Findings(found.append)
        checked = await TenantCheck(store, keys, tenant, findings, lambda *_: None, settling=0).run()
    finally:
        await store.close()
    return found, checked


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as its operator has it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def seeded(seed: int | None = None) -> random.Random:
    """A source of chance that says where it begins."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    print(f"seed {seed}")
    return random.Random(seed)


async def written(path: Path, count: int = 6) -> list[Record]:
    """Records of tenant acme in one chain, the second revoked, as an orderly process leaves them."""
    store = ChainedStore(SqlStore.open(f"sqlite:///{path}"), KEYS)
    store.start()
    records = []
    for number in range(count):
        records.append(sealed(KEYS, number))
        await store.put([records[-1]])
    await store.revoke(
        "acme", records[1].id, reason="leaked", revoked_by="tester", now_ms=records[1].created_at_ms
    )
    await store.close()
    return records


def stored(record_id: str) -> bytes:
    """An id as the database has it."""
    return bytes.fromhex(record_id.replace("-", ""))


async def kinds(path: Path, keys: Seals | None = None, tenant: str = "acme") -> list[str]:
    """The kinds of what is found."""
    found, _ = await check(path, keys or KEYS, tenant)
    return sorted({one.kind for one in found})
