"""Audit logs of several hosts against a store: each by itself, and any number of purged records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from core.history.acknowledged import Acknowledged
from core.history.findings import Finding, Findings
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.sql_store import SqlStore
from sigil_native import AuditVerifier
from tests.audit_logs import SECRET, make_line, make_lines, tag_of
from tests.service.store.histories import KEYS, sealed

_A: Final = make_lines(4)
_B: Final = [*make_lines(1), make_line('{"seq":2,"event":"b"', tag_of(make_lines(1)[0]))[0]]
_B2: Final = make_lines(3, first=3, previous=tag_of(_B[-1]))
_B3: Final = make_lines(2, first=6, previous=tag_of(_B2[-1]))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChainedStore]:
    """An empty one."""
    opened = ChainedStore(SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}"), KEYS)
    opened.start()
    yield opened
    await opened.close()


async def found(
    store: Store, files: Iterable[tuple[str, list[bytes]]], block: int = 1 << 20
) -> list[Finding]:
    """What is found with these files."""

    async def blocks(data: bytes) -> AsyncIterator[bytes]:
        for first in range(0, len(data), block):
            yield data[first : first + block]

    told: list[Finding] = []

    def verifier(after: tuple[int, bytes] | None = None) -> AuditVerifier:
        return AuditVerifier([SECRET], after=after)

    with Acknowledged(store, KEYS, verifier, Findings(told.append)) as logs:
        for name, lines in files:
            await logs.read(name, blocks(b"".join(lines)), lambda _: None)
        await logs.finish()
    return told


@pytest.mark.parametrize("block", [1 << 20, 7])
async def test_logs_of_two_hosts(store: ChainedStore, block: int) -> None:
    """Each host's log is one, rotated or not, and in whichever order the hosts come."""
    b = [("b/1", _B), ("b/2", _B2), ("b/3", _B3)]
    for files in ([("a", _A), *b], [*b, ("a", _A)], [b[0], ("a", _A), *b[1:]]):
        assert await found(store, files, block) == []


async def test_files_that_do_not_follow(store: ChainedStore) -> None:
    """A gap between files is a notice, a changed line a fault; both name the file as it was given."""
    (notice,) = await found(store, [("b/1", _B), ("b/3", _B3), ("a", _A)])
    assert (notice.kind, notice.detail[:9]) == ("audit_earlier_missing", "b/3: it b")
    changed = [_B2[0], _B2[1].replace(b'"event"', b'"evnet"'), _B2[2]]
    faults = await found(store, [("a", _A), ("b/1", _B), ("b/2", changed), ("b/3", _B3)])
    assert [(fault.kind, fault.detail[:11]) for fault in faults] == [("audit_fault", "b/2, line 2")]
    (notice,) = await found(store, [("a", _A), ("c", [])])
    assert (notice.kind, notice.detail) == ("audit_earlier_missing", "c: it is empty")
    assert [fault.kind for fault in await found(store, [("c", [])])] == ["audit_fault"]


async def test_many_purged_records(store: ChainedStore) -> None:
    """However many were purged, only what no purge took is missing."""
    record = sealed(KEYS, 1)
    await store.put([record])
    boundary = UUID(record.id).int + 1
    assert await store.purge("acme", before=str(UUID(int=boundary)), limit=9) == 1
    lines = make_lines(1)
    tag = tag_of(lines[0])
    for number in range(2, 11_003):
        record_id = UUID(int=boundary - 11_002 + number)
        text = f'{{"seq":{number},"event":"sigil.encoded","tenant":"acme","sigil_id":"{record_id}"'
        line, tag = make_line(text, tag)
        lines.append(line)
    (missing,) = await found(store, [("a", lines)])
    assert (missing.kind, missing.record_id) == ("acknowledged_missing", str(UUID(int=boundary)))
