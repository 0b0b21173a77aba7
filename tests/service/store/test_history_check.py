"""Whoever changes something in a store, or its history, is found; and what cannot be judged is called so."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.history.check import TenantCheck
from core.history.findings import Finding, Findings
from core.history.sorting import Sorter
from core.records import Listing, Record
from core.seals import Seals
from core.store.chained import ChainedStore
from core.store.sql_store import SqlStore
from sigil_native import KeyRing
from tests.service.store.histories import (
    KEYS,
    SECRET,
    TroubledStore,
    check,
    database,
    kinds,
    sealed,
    seals,
    written,
)
from tests.service.store.tampering import TAMPERING


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "sigils.db"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A database as an orderly process leaves it, and its records."""
    path = tmp_path_factory.mktemp("original") / "sigils.db"
    return path, asyncio.run(written(path))


@pytest.mark.parametrize("name", TAMPERING)
async def test_tampering_is_named(path: Path, original: tuple[Path, list[Record]], name: str) -> None:
    """Each way to change the database behind the service's back is found, and called what it is."""
    statements, expected = TAMPERING[name]
    records = original[1]
    shutil.copy(original[0], path)
    with database(path) as connection:
        connection.executescript(statements)
    found, _ = await check(path, KEYS)
    assert sorted({one.kind for one in found}) == expected
    if "row = 3" in statements and "DELETE FROM sigil_history" not in statements:
        assert records[2].id in {one.record_id for one in found}


async def test_records_of_another_tenant(path: Path, original: tuple[Path, list[Record]]) -> None:
    """A record, or a whole history, that is another tenant's all at once is not believed."""
    shutil.copy(original[0], path)
    with database(path) as connection:
        connection.executescript(
            "UPDATE sigils SET tenant = 'other'; UPDATE sigil_history SET tenant = 'other'"
        )
    assert await kinds(path, tenant="other") == ["entry_corrupt", "record_corrupt"]


async def test_an_independent_checker(original: tuple[Path, list[Record]]) -> None:
    """The program in the description of the format, which has the library alone, agrees with ours."""
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
    program = page[page.index("## Histories") :].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - our own page
    store = SqlStore.open(f"sqlite:///{original[0]}")
    store.start()
    entries = await store.entries("acme", after=None, limit=100)
    records = await store.get_many("acme", [one.id for one in original[1]])
    await store.close()
    before = None
    for entry in map(msgspec.structs.asdict, entries):
        found = records[entry["record_id"]]
        assert isinstance(found, Record)
        record = msgspec.structs.asdict(found)
        record["canonical_sha256"] = record["canonical_sha256"].hex()
        members = {
            "sealed": ("canonical_sha256", "created_at_ms", "created_by", "expires_at_ms", "sigil"),
            "revoked": ("revoked_at_ms", "revoked_by", "revoked_reason"),
        }[entry["step"]]
        about = {name: record[name] for name in members}
        names["check"](KEYS.keys.codec, entry, about, before)
        changes = [
            ({**entry, "at_ms": entry["at_ms"] + 1}, about, before),
            (entry, {**about, members[1]: "x"}, before),
            (entry, about, entry),
        ]
        for changed in changes:
            with pytest.raises(ValueError, match=r"."):
                names["check"](KEYS.keys.codec, *changed)
        before = entry
    assert len(entries) == 7


async def test_keys_change(path: Path) -> None:
    """Chains go on over a change of keys; what a key sealed that is gone, or revoked, cannot be judged."""
    store = ChainedStore(SqlStore.open(f"sqlite:///{path}"), keys := seals(SECRET))
    store.start()
    await store.put([sealed(keys, 1)])
    later = b"t" * 32
    both = KeyRing()
    both.add(SECRET, state="verify-only")
    both.add(later)
    keys.use_ring(both)
    await store.put([sealed(keys, 2)])
    await store.close()
    found, checked = await check(path, keys)
    assert (found, checked.chains) == ([], 1)
    assert await kinds(path, seals(later)) == ["entry_unverifiable", "record_unverifiable"]
    revoked = KeyRing()
    revoked.add(SECRET, state="revoked")
    revoked.add(later)
    found, _ = await check(path, Seals(revoked))
    assert {one.kind for one in found} == {"entry_unverifiable", "record_unverifiable"}
    assert len(found) == 2


async def test_a_users_sigil_is_no_entry(path: Path) -> None:
    """Whoever has statements sealed as a tenant's payload gets no entry of them."""
    await written(path)
    with database(path) as connection:
        row = connection.execute("SELECT * FROM sigil_history WHERE number = 1").fetchone()
        names = [
            name for name, *_ in connection.execute("SELECT name FROM pragma_table_info('sigil_history')")
        ]
        members = dict(zip(names, row, strict=True))
        seal = members.pop("seal")
        statement = {
            **members,
            "about": seal.partition(".")[2],
            "record_id": str(UUID(bytes=members["record_id"])),
        }
        for tenant in ("acme", "history acme"):
            forged = KEYS.keys.codec.encode(statement, tenant=tenant)
            connection.execute(
                "UPDATE sigil_history SET seal = ? WHERE number = 1", (f"{forged}.{seal.partition('.')[2]}",)
            )
            assert "entry_corrupt" in await kinds(path)


@pytest.mark.parametrize("count", [30, pytest.param(11_000, marks=pytest.mark.heavy("slow"))])
async def test_much_happens_beside(path: Path, count: int) -> None:
    """However many records are purged, sealed or revoked beside a check, it finds nothing; else it does."""
    writing = SqlStore.open(f"sqlite:///{path}")
    chained = ChainedStore(writing, KEYS)
    chained.start()
    older = [sealed(KEYS, number) for number in range(count)]
    await chained.put(older)
    kept = sealed(KEYS, count)
    await chained.put([kept])

    class Busy(TroubledStore):
        async def list(self, tenant: str, **options: Any) -> Listing:
            if not done:
                done.append(True)
                assert await chained.purge("acme", before=kept.id, limit=count) == count
                await chained.put([sealed(KEYS, number) for number in range(count)])
                now_ms = kept.created_at_ms
                await chained.revoke("acme", kept.id, reason="r", revoked_by="x", now_ms=now_ms)
                made_up = sealed(KEYS, 1)
                await writing.put([made_up])
                await writing.revoke("acme", made_up.id, reason="r", revoked_by="eve", now_ms=now_ms)
            return await super().list(tenant, **options)

    done: list[bool] = []
    found: list[Finding] = []
    store = Busy(writing, lambda: "fine")
    check_now = TenantCheck(store, KEYS, "acme", Findings(found.append), lambda *_: None, settling=0)
    checked = await check_now.run()
    await chained.close()
    assert {one.kind for one in found} == {"unlinked", "revocation_unlinked"}
    assert len(found) == 2
    assert "eve" in " ".join(one.detail for one in found)
    assert (checked.records, checked.purged) == (count + 2, count)


@given(items=st.lists(st.binary(min_size=3, max_size=3)), run=st.integers(1, 9))
@settings(max_examples=50)
def test_sorting(items: list[bytes], run: int) -> None:
    """What does not fit into memory comes back whole, and in descending order."""
    with Sorter(3, run=run) as sorter:
        for item in items:
            sorter.add(item)
        assert list(sorter.descending()) == sorted(items, reverse=True)


def test_findings_are_bounded() -> None:
    """Of a kind so many are told, and all are counted; notices are no faults."""
    told: list[Finding] = []
    findings = Findings(told.append, most_told=3)
    for number in range(9):
        findings.add(Finding("record_corrupt", "acme", str(number)))
        findings.add(Finding("unlinked", "acme", str(number)))
    assert len(told) == 6
    assert (findings.counts, findings.faults) == ({"record_corrupt": 9, "unlinked": 9}, 9)
