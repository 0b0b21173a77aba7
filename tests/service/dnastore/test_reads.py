"""Reading over the wire: records, histories, counts; and purging what is old."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from core.dnastore.wire import MOST_LOOKED_UP, Line, Put
from core.records import Entry, Record
from tests.service.dnastore.running import DnaStore
from tests.service.store.store_records import record, record_id

#: More than two pages of a listing, whose last is not full.
MANY = 1100


def ids(lines: list[Line]) -> list[str]:
    """The records' ids."""
    return [line.record.id for line in lines if line.record is not None]


def several(tenant: str, count: int) -> list[Record]:
    """Records of a tenant, the oldest first."""
    return [record(number, tenant=tenant) for number in range(1, count + 1)]


def test_listings_have_any_length(dnastore: DnaStore, tenant: str) -> None:
    """Without a limit all records come, newest first; with one, so many; before an id, those below."""
    dnastore.put(*several(tenant, MANY))
    all_ids = [record_id(number) for number in range(MANY, 0, -1)]
    path = f"/v1/records?tenant={tenant}"
    assert ids(dnastore.lines("GET", path)) == all_ids
    assert ids(dnastore.lines("GET", f"{path}&limit=1050")) == all_ids[:1050]
    assert ids(dnastore.lines("GET", f"{path}&limit=1000000")) == all_ids
    assert ids(dnastore.lines("GET", f"{path}&limit=3&before={record_id(8)}")) == all_ids[-7:-4]
    with_payloads = dnastore.lines("GET", f"{path}&payload=true&limit=70")
    assert ids(with_payloads) == all_ids[:70]
    payloads = [line.record.record().payload for line in with_payloads if line.record is not None]
    assert payloads == [b"{}"] * 70
    head = dnastore.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_listings_by_status(dnastore: DnaStore, tenant: str) -> None:
    """Records are listed by how they stand at a time that the caller names."""
    dnastore.put(record(1, tenant=tenant), record(2, tenant=tenant, expires_at_ms=1000))
    path = f"/v1/records?tenant={tenant}&status="
    assert ids(dnastore.lines("GET", f"{path}active&now_ms=999")) == [record_id(2), record_id(1)]
    assert ids(dnastore.lines("GET", f"{path}expired&now_ms=1000")) == [record_id(2)]
    assert ids(dnastore.lines("GET", f"{path}expired")) == [record_id(2)]
    assert ids(dnastore.lines("GET", f"{path}revoked")) == []


def test_lookups(dnastore: DnaStore, tenant: str) -> None:
    """Those records come that there are, each once, in the order that they were asked for."""
    dnastore.put(*several(tenant, 50))
    wanted = [record_id(number) for number in (50, 999, 3, 50, *range(4, 44))]
    body = {"tenant": tenant, "ids": wanted, "payload": True}
    lines = dnastore.lines("POST", "/v1/lookups", body)
    assert ids(lines) == [record_id(number) for number in (50, 3, *range(4, 44))]
    assert lines[0].record is not None
    assert lines[0].record.record() == record(50, tenant=tenant)
    assert dnastore.lines("POST", "/v1/lookups", {"tenant": tenant, "ids": []}) == []
    for bad in ([record_id(1)] * (MOST_LOOKED_UP + 1), ["x"]):
        answer = dnastore.call("POST", "/v1/lookups", {"tenant": tenant, "ids": bad})
        assert (answer.status, answer.json["pointer"]) == (422, "/ids")


def test_histories(dnastore: DnaStore, tenant: str) -> None:
    """A history comes in order, behind a place if one is named, however long it is."""
    chains = ("0" * 31 + "a", "0" * 31 + "b")
    kept = [
        Entry(tenant, chain, number, "sealed", record_id(number), number, "", "seal")
        for chain in chains
        for number in range(1, 601)
    ]
    reply = dnastore.write(Put([], kept))
    assert [result.outcome for result in reply.results] == ["done"]
    path = f"/v1/entries?tenant={tenant}"
    assert [line.entry for line in dnastore.lines("GET", path)] == kept
    behind = f"{path}&chain={chains[0]}&number=599"
    assert [line.entry for line in dnastore.lines("GET", f"{behind}&limit=3")] == kept[599:602]


def test_counts_and_purges(dnastore: DnaStore, tenant: str) -> None:
    """Records are counted by tenant; a purge takes the oldest, as many as it may, and no newer ones."""
    assert tenant not in dnastore.call("GET", "/v1/counts").json
    dnastore.put(*several(tenant, 5))
    assert dnastore.call("GET", "/v1/counts").json[tenant] == 5
    purge = {"tenant": tenant, "before": record_id(4), "limit": 2}
    assert dnastore.call("POST", "/v1/purges", purge).json == {"purged": 2}
    assert dnastore.call("POST", "/v1/purges", purge).json == {"purged": 1}
    assert ids(dnastore.lines("GET", f"/v1/records?tenant={tenant}")) == [record_id(5), record_id(4)]


def test_probes(dnastore: DnaStore) -> None:
    """A probe answers without a body, and needs none."""
    answer = dnastore.call("POST", "/v1/probe")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/records", 400, "invalid_query"),
        ("/v1/records?tenant=", 400, "invalid_query"),
        ("/v1/records?tenant=a&tenant=a", 400, "invalid_query"),
        ("/v1/records?tenant=a&colour=red", 400, "invalid_query"),
        ("/v1/records?tenant=a&limit=0", 400, "invalid_query"),
        ("/v1/records?tenant=a&limit=01", 400, "invalid_query"),
        ("/v1/records?tenant=a&limit=99999999999999999999", 400, "invalid_query"),
        ("/v1/records?tenant=a&now_ms=-1", 400, "invalid_query"),
        ("/v1/records?tenant=a&status=gone", 400, "invalid_query"),
        ("/v1/records?tenant=a&payload=yes", 400, "invalid_query"),
        ("/v1/records?tenant=a&before=x", 400, "invalid_query"),
        ("/v1/records?tenant=%FF", 400, "invalid_query"),
        ("/v1/records?tenant=a%00", 400, "invalid_query"),
        ("/v1/entries?tenant=a&chain=" + "0" * 32, 400, "invalid_query"),
        ("/v1/entries?tenant=a&chain=0&number=1", 400, "invalid_query"),
        ("/v1/counts?tenant=a", 400, "invalid_query"),
        (f"/v1/records/{record_id(1)}", 400, "invalid_query"),
        ("/v1/records/x?tenant=a", 404, "not_found"),
        (f"/v1/records/{record_id(7777)}?tenant=a", 404, "not_found"),
        ("/v1/records/", 404, "not_found"),
        ("/v2/records", 404, "not_found"),
        ("/v1/writes", 405, "method_not_allowed"),
    ],
)
def test_queries_are_strict(dnastore: DnaStore, path: str, status: int, code: str) -> None:
    """What is asked for must have its one form."""
    answer = dnastore.call("GET", path)
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("limit", [0, -1, 1 << 63])
def test_purges_are_strict(dnastore: DnaStore, tenant: str, limit: int) -> None:
    """A purge says how many it may take at most."""
    answer = dnastore.call("POST", "/v1/purges", {"tenant": tenant, "before": record_id(1), "limit": limit})
    assert (answer.status, answer.json["pointer"]) == (422, "/limit")


def test_damaged_records_are_named(dnastore: DnaStore, tenant: str) -> None:
    """A record that somebody has damaged is named, in lists and lookups, and stops no other."""
    dnastore.put(*several(tenant, 40))
    changes = {
        30: "payload = '{\"b\":1,'",
        20: "key_id = 'x'",
        12: "canonical_sha256 = x'00'",
        11: "revoked_at_ms = 1",
    }
    with contextlib.closing(sqlite3.connect(dnastore.data_dir / "dnastore.db")) as database, database:
        for number, change in changes.items():
            key = bytes.fromhex(record_id(number).replace("-", ""))
            statement = f"UPDATE sigils SET {change} WHERE tenant = ? AND id = ?"  # noqa: S608 - see above
            database.execute(statement, (tenant, key))
    lines = dnastore.lines("GET", f"/v1/records?tenant={tenant}&payload=true")
    named = [line.damaged or (line.record and line.record.id) for line in lines]
    assert named == [record_id(number) for number in range(40, 0, -1)]
    damaged = list(map(record_id, changes))
    assert [line.damaged for line in lines if line.damaged] == damaged
    wanted = [*damaged, record_id(1)]
    looked_up = dnastore.lines("POST", "/v1/lookups", {"tenant": tenant, "ids": wanted, "payload": True})
    assert [line.damaged for line in looked_up] == [*damaged, None]
    for number in changes:
        answer = dnastore.call("GET", f"/v1/records/{record_id(number)}?tenant={tenant}&payload=true")
        assert (answer.status, answer.json["code"]) == (500, "record_corrupt")
