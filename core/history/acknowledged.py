"""What the audit log says was acknowledged, against what the store has.

Whoever takes away the newest entries of a chain, and their records, leaves no gap. The audit log lies
elsewhere and under another secret: it says which records, and revocations, callers were told of.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.history.audit_files import AuditFiles, NewVerifier
from core.history.chains import sorting_key
from core.history.findings import Finding, Findings, Kind
from core.history.reading import entry_pieces, read_ahead
from core.history.sorting import Sorter
from core.history.statements import is_authentic
from core.records import Entry, Record
from core.seals import Seals
from core.store.interface import Store

#: Ids that are looked up at once, of all tenants.
_LOOKED_UP: Final = 2000
# What sorts missing records: the tenant's index, then the record's id.
_MISSING: Final = struct.Struct(">I16s")
#: As in the library: longer lines are none of its own.
_LONGEST_LINE: Final = 1 << 16


class _Line(msgspec.Struct):
    """What is needed of a line; most are of other events, and lack the rest."""

    event: Any = None
    tenant: Any = None
    sigil_id: Any = None
    subject: Any = None


class _Told(msgspec.Struct):
    """What callers were told of a record; the subject who had it sealed."""

    created_by: str | None = None
    revoked: bool = False


class Acknowledged:
    """Reads audit logs, in blocks, and looks up what they name. A context manager, to be used once.

    The logs' own chains are checked on the way. Nothing of a record that is damaged is said here: the check
    of its tenant says it. Memory does not grow with what is missing: that is sorted outside of it.
    """

    def __init__(
        self,
        store: Store,
        seals: Seals,
        new_verifier: NewVerifier,
        findings: Findings,
        *,
        tenants: Collection[str] | None = None,
    ) -> None:
        """Prepare; ``tenants`` are those to look at, None: all."""
        self._store = store
        self._seals = seals
        self._findings = findings
        self._files = AuditFiles(new_verifier, findings)
        self._tenants = tenants
        self._decoder = msgspec.json.Decoder(_Line)
        self._told: dict[tuple[str, str], _Told] = {}
        #: Purges may explain these.
        self._missing = Sorter(_MISSING.size)
        self._missing_of: dict[str, int] = {}
        self.looked_up = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._missing.__exit__(*error)

    async def read(self, name: str, blocks: AsyncIterator[bytes], progress: Callable[[int], None]) -> None:
        """Read a file; those of one log come in its order.

        Raises:
            StoreUnavailableError: the store cannot answer.
            OSError: there is no room for what must be sorted.
        """
        verifier = None
        begun = b""
        async for block in blocks:
            data = begun + block
            if verifier is None:
                if b"\n" in data or len(data) > _LONGEST_LINE:
                    verifier = self._files.begin(name, data[: data.find(b"\n") + 1])
                    self._files.tell(name, verifier.feed(data))
            else:
                self._files.tell(name, verifier.feed(block))
            *lines, begun = data.split(b"\n")
            for line in lines:
                self._look(line)
                if len(self._told) >= _LOOKED_UP:
                    await self._look_up()
            if len(begun) > _LONGEST_LINE:
                begun = b"-"  # The rest of it is no line either.
            progress(len(block))
        if verifier is None and begun:
            self._files.tell(name, self._files.begin(name, b"").feed(begun))
        elif verifier is None:
            self._files.empty(name)
        await self._look_up()

    async def finish(self) -> None:
        """There are no more files: say what is missing, unless a history says that it was purged.

        Raises:
            StoreUnavailableError: the store cannot answer.
        """
        self._files.finish()
        tenants = list(self._missing_of)
        by_tenant = itertools.groupby(map(_MISSING.unpack, self._missing.descending()), key=_first)
        for index, missing in by_tenant:
            # An entry says so before a record goes: by now it is there.
            boundary = await self._boundary(tenants[index])
            for (_, record), _same in itertools.groupby(missing):
                record_id = str(UUID(bytes=record))
                if record_id >= boundary:
                    self._findings.add(_not_there(tenants[index], record_id))

    def _look(self, line: bytes) -> None:
        if b"sigil." not in line:
            return
        try:
            told = self._decoder.decode(line)
        except msgspec.MsgspecError:
            return  # The verifier has said so.
        tenant, record_id = told.tenant, told.sigil_id
        if not (isinstance(tenant, str) and isinstance(record_id, str)):
            return
        if self._tenants is not None and tenant not in self._tenants:
            return
        if told.event == "sigil.encoded":
            subject = told.subject if isinstance(told.subject, str) else None
            self._told.setdefault((tenant, record_id), _Told()).created_by = subject
        elif told.event == "sigil.revoked":
            self._told.setdefault((tenant, record_id), _Told()).revoked = True

    async def _look_up(self) -> None:
        by_tenant: dict[str, list[str]] = {}
        for tenant, record_id in self._told:
            by_tenant.setdefault(tenant, []).append(record_id)
        for tenant, record_ids in by_tenant.items():
            found = await self._store.get_many(tenant, record_ids)
            for record_id in record_ids:
                self._compare(tenant, record_id, self._told[tenant, record_id], found.get(record_id))
        self.looked_up += len(self._told)
        self._told.clear()

    def _compare(
        self,
        tenant: str,
        record_id: str,
        told: _Told,
        record: Record | RecordCorruptError | RecordUnverifiableError | None,
    ) -> None:
        def find(kind: Kind, detail: str) -> Finding:
            return Finding(kind, tenant, detail, record_id)

        if record is None:
            self._doubt(tenant, record_id)
        elif isinstance(record, Record):
            if told.revoked and record.revoked_at_ms is None:
                detail = "its revocation was acknowledged, and it is not revoked"
                self._findings.add(find("acknowledged_not_revoked", detail))
            if told.created_by not in {None, record.created_by}:
                detail = f"it was sealed for {told.created_by}, and says {record.created_by}"
                self._findings.add(find("acknowledged_altered", detail))

    def _doubt(self, tenant: str, record_id: str) -> None:
        try:
            record = sorting_key(record_id)
        except ValueError:
            record = b""
        if not record or str(UUID(bytes=record)) != record_id:
            self._findings.add(_not_there(tenant, record_id))  # Nothing that a purge can have taken.
            return
        index = self._missing_of.setdefault(tenant, len(self._missing_of))
        self._missing.add(_MISSING.pack(index, record))

    async def _boundary(self, tenant: str) -> str:
        """Below which id a tenant's records were purged, as its history says by now."""
        boundary = ""
        codec = self._seals.keys.codec
        async for piece in read_ahead(entry_pieces(self._store, tenant)):
            for entry in piece:
                if isinstance(entry, Entry) and entry.step == "purged" and is_authentic(codec, entry):
                    boundary = max(boundary, entry.record_id)
        return boundary


def _first(item: tuple[int, bytes]) -> int:
    return item[0]


def _not_there(tenant: str, record_id: str) -> Finding:
    return Finding("acknowledged_missing", tenant, "it was acknowledged, and is not there", record_id)
