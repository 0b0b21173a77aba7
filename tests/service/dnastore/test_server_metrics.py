"""Metrics of the server, at their own address."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from core.dnastore.wire import Put, WireRecord
from tests.service.dnastore.running import DnaStore
from tests.service.store.store_records import record, record_id


def scraped(dnastore: DnaStore) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample, by its name and its labels' values."""
    (line,) = dnastore.logged("metrics")
    with urllib.request.urlopen(line["url"], timeout=30) as answer:  # noqa: S310 - our own
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }


def test_what_is_counted(new_dnastore: Callable[..., DnaStore]) -> None:
    """Requests by route and status, writes by outcome, records, and how the store does."""
    dnastore = new_dnastore({"sigil-service": ["acme"]}).start()
    dnastore.write(
        Put([WireRecord.of(record(1)), WireRecord.of(record(2))]), Put([WireRecord.of(record(1, tenant="b"))])
    )
    dnastore.lines("GET", "/v1/records?tenant=acme")
    for number in (1, 2, 3):
        dnastore.call("GET", f"/v1/records/{record_id(number)}?tenant=acme")
    dnastore.call("GET", "/anywhere")
    before = scraped(dnastore)
    count = "dnastore_server_request_seconds_count"
    assert before[count, frozenset({"/v1/writes", "200"})] == 1
    assert before[count, frozenset({"/v1/records", "200"})] == 1
    assert before[count, frozenset({"/v1/records/{id}", "200"})] == 2
    assert before[count, frozenset({"/v1/records/{id}", "404"})] == 1
    assert before[count, frozenset({"other", "404"})] == 1
    writes = "dnastore_server_writes_total"
    assert [before[writes, frozenset({one})] for one in ("done", "forbidden", "overloaded")] == [1, 1, 0]
    assert before["dnastore_server_records_written_total", frozenset()] == 2
    assert before["dnastore_server_store_up", frozenset()] == 1
    (dnastore.data_dir / "dnastore.db").rename(dnastore.data_dir / "elsewhere.db")
    assert dnastore.call("GET", "/readyz").status == 503
    after = scraped(dnastore)
    assert after["dnastore_server_store_up", frozenset()] == 0
    assert after["dnastore_server_store_failures_total", frozenset({"replaced"})] == 1


def test_every_name_is_documented(dnastore: DnaStore) -> None:
    """What the server serves stands in docs/metrics.md, and what stands there of the server is served."""
    (line,) = dnastore.logged("metrics")

    def names() -> set[str]:
        with urllib.request.urlopen(line["url"], timeout=30) as answer:  # noqa: S310 - our own
            return set(re.findall(r"^# TYPE ((?:sigil|dnastore)_\S+)", answer.read().decode(), re.MULTILINE))

    served = names()
    page = (Path(__file__).resolve().parents[3] / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `((?:sigil|dnastore)_\w+)", page, re.MULTILINE))
    assert served - documented == set()
    _, _, own = page.partition("## The DNAStore server")
    assert set(re.findall(r"^\| `(dnastore_server_\w+)", own, re.MULTILINE)) - served == set()
    shared = re.findall(r"`(sigil_\w+?)(?:_…)?`", own.partition("| metric")[0])
    assert {name for name in shared if not any(one.startswith(name) for one in served)} == set()
    assert {one for one in served if not one.startswith(("dnastore_server_", *shared))} == set()
