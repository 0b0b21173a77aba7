"""Text in an SQLite file that is no text harms the row that it is in, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import RecordCorruptError
from core.records import Place, Record, id_of
from core.store.sql_store import SqlStore
from core.store.unreadable import UnreadableText, place_past
from tests.service.store.histories import database
from tests.service.store.store_records import record


async def test_other_records_are_served(tmp_path: Path) -> None:
    """A column that cannot be read makes its record corrupt; others are found, listed and revoked."""
    store = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    good, bad = record(1000), record(2000)
    await store.put([good, bad])
    try:
        for column in ("sigil", "created_by", "revoked_by", "revoked_reason", "issued_at_ms", "payload"):
            with database(tmp_path / "sigils.db") as connection:
                connection.execute(f"UPDATE sigils SET {column} = CAST(x'ff' AS TEXT) WHERE row = 2")  # noqa: S608
            with pytest.raises(RecordCorruptError):
                await store.get(good.tenant, bad.id)
        found = await store.get_many(good.tenant, [good.id, bad.id], with_payload=True)
        assert found[good.id] == good
        assert isinstance(found[bad.id], RecordCorruptError)
        page = await store.list(good.tenant, limit=9, before=bad.id, status=None, now_ms=0)
        assert list(map(id_of, page.records)) == [good.id]
        with pytest.raises(RecordCorruptError):
            await store.revoke(good.tenant, bad.id, reason="r", revoked_by="x", now_ms=5)
        revoked = await store.revoke(good.tenant, good.id, reason="r", revoked_by="x", now_ms=5)
        assert isinstance(revoked, Record)
    finally:
        await store.close()


async def test_tenants_are_counted(tmp_path: Path) -> None:
    """Counting goes past tenants whose names are no text, or no text at all, whatever their order."""
    store = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    try:
        with database(tmp_path / "sigils.db") as connection:
            for tenant in ("'a'", "CAST(x'61ff' AS TEXT)", "'z'", "x'61'", "x'7a'", "char(0) || 'q'"):
                connection.execute(
                    f"INSERT INTO sigil_history VALUES ({tenant}, 'c', 1, 's', x'00', 1, '', '')"  # noqa: S608
                )
        assert set(await store.count()) == {"a", "\0a\\xff", "z", "\0a", "\0z", "\0\\x00q"}
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("chain", "number", "past"),
    [
        ("3f", 7, Place("3f", 7)),
        ("3f", UnreadableText(b"\xff"), Place("3f\1", 0)),
        (UnreadableText(b"3e\xff"), 1, Place("3f", 0)),
        (UnreadableText(b"3e\x7f\xc3\xa4\xff"), 1, Place("3f", 0)),
        (UnreadableText(b"\xff"), 1, None),
        (b"3e", 1, None),
    ],
)
def test_where_to_go_on(chain: object, number: object, past: Place | None) -> None:
    """Behind an entry that cannot be read the check goes on where the next chain can begin."""
    assert place_past(chain, number) == past
