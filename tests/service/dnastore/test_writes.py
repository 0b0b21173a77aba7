"""Writes over the wire: durable when answered, each with an outcome of its own."""

from __future__ import annotations

from tests.service.dnastore.running import DnaStore
from tests.service.store.store_records import record, record_id


def test_a_record_comes_back_as_it_went(dnastore: DnaStore, tenant: str) -> None:
    """What was put is read back to the last byte, with and without its payload."""
    kept = record(1, tenant=tenant, payload=b'{"amount":1299.5,"text":"\xc3\xa9\\n"}')
    dnastore.put(kept)
    answer = dnastore.call("GET", f"/v1/records/{record_id(1)}?tenant={tenant}&payload=true")
    assert answer.status == 200
    assert b'"payload":' + (kept.payload or b"") in answer.body
    (line,) = dnastore.lines("GET", f"/v1/records?tenant={tenant}&payload=true")
    assert line.record is not None
    assert line.record.record() == kept
