"""What the audit log says was acknowledged, against what the store has.

Whoever takes away the newest entries of a chain, and their records, leaves no gap. The audit log lies elsewhere
and under another secret: it says which records, and revocations, callers were told of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final

import msgspec

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.history.findings import Finding, Findings, Kind
from core.history.reading import entry_pieces, read_ahead
from core.history.statements import is_authentic
from core.records import Entry, Record
from core.seals import Seals
from core.store.interface import Store
from sigil_native import AuditVerifier

#: Ids that are looked up at once, of all tenants.
_LOOKED_UP: Final = 2000
_MOST_DOUBTS: Final = 10_000
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
    """Reads an audit log, in blocks, and looks up what it names.

    The log's own chain is checked on the way. Nothing of a record that is damaged is said here: the check of
    its tenant says it.
    """

    def __init__(
        self,
        store: Store,
        seals: Seals,
        verifier: AuditVerifier,
        findings: Findings,
        *,
        tenants: Collection[str] | None = None,
    ) -> None:
        """Prepare; ``tenants`` are those to look at, None: all."""
        self._store = store
        self._seals = seals
        self._verifier = verifier
        self._findings = findings
        self._tenants = tenants
        self._decoder = msgspec.json.Decoder(_Line)
        self._told: dict[tuple[str, str], _Told] = {}
        self._missing: dict[tuple[str, str], Finding] = {}
        self.looked_up = 0

    async def read(self, name: str, blocks: AsyncIterator[bytes], progress: Callable[[int], None]) -> None:
        """Read a file of the log.

        Raises:
            StoreUnavailableError: the store cannot answer.
        """
        begun = b""
        async for block in blocks:
            for fault in self._verifier.feed(block):
                self._fault(name, fault.line, fault.message)
            *lines, begun = (begun + block).split(b"\n")
            for line in lines:
                self._look(line)
                if len(self._told) >= _LOOKED_UP:
                    await self._look_up()
            if len(begun) > _LONGEST_LINE:
                begun = b"-"  # The rest of it is no line either.
            progress(len(block))
        await self._look_up()

    def next_file(self, name: str) -> None:
        """This file has ended, and another follows."""
        for fault in self._verifier.next_file():
            self._fault(name, fault.line, fault.message)

    async def finish(self, name: str) -> None:
        """The log has ended: say what is missing, unless a history says that it was purged.

        Raises:
            StoreUnavailableError: the store cannot answer.
        """
        for fault in self._verifier.finish():
            self._fault(name, fault.line, fault.message)
        tenants = dict.fromkeys(tenant for tenant, _ in self._missing)
        boundaries = {tenant: await self._boundary(tenant) for tenant in tenants}
        for (tenant, record_id), finding in self._missing.items():
            if record_id >= boundaries[tenant]:
                self._findings.add(finding)

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
            finding = find("acknowledged_missing", "it was acknowledged, and is not there")
            if len(self._missing) < _MOST_DOUBTS:
                self._missing[tenant, record_id] = finding
            else:
                self._findings.add(finding)
        elif isinstance(record, Record):
            if told.revoked and record.revoked_at_ms is None:
                detail = "its revocation was acknowledged, and it is not revoked"
                self._findings.add(find("acknowledged_not_revoked", detail))
            if told.created_by not in {None, record.created_by}:
                detail = f"it was sealed for {told.created_by}, and says {record.created_by}"
                self._findings.add(find("acknowledged_altered", detail))

    async def _boundary(self, tenant: str) -> str:
        """Below which id a tenant's records were purged, as its history says by now."""
        boundary = ""
        codec = self._seals.keys.codec
        async for piece in read_ahead(entry_pieces(self._store, tenant)):
            for entry in piece:
                if isinstance(entry, Entry) and entry.step == "purged" and is_authentic(codec, entry):
                    boundary = max(boundary, entry.record_id)
        return boundary

    def _fault(self, name: str, line: int, message: str) -> None:
        self._findings.add(Finding("audit_fault", "", f"{name}, line {line}: {message}"))
