"""A batch's lines are read and answered as requests of their own are, though most take a shorter way."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.requests import payload_of, read_request
from app.api.schemas import EncodeRequest, record_answer, record_parts
from app.http.problems import ProblemError
from core.sealed_records import SealedRecords, pieces_of
from core.store.sql_rows import row_of, rows_of, whole_row
from sigil_native import KeyRing, SealRequests, SigilCodec
from sigil_native.errors import CanonicalizationError
from tests.parity.strategies import any_text
from tests.parity.test_parity_requests import request_lines

_decoder = msgspec.json.Decoder(EncodeRequest)


def read_alone(line: bytes) -> tuple[bytes, float | None] | None:
    """The payload and the lifetime that a request of its own would have; None for one that is refused."""
    try:
        request = read_request(line, _decoder)
        return payload_of(request.data), request.expires_in
    except (CanonicalizationError, ProblemError):
        return None


@given(request_lines())
def test_the_short_way_reads_the_same(line: bytes) -> None:
    """What is plain would be read to the same payload and lifetime alone; and nothing bad is plain."""
    requests = SealRequests(line, most=1)
    if len(requests) == 0 or requests.read(0, 1):
        return
    alone = read_alone(line)
    assert alone is not None
    payload, lifetime = alone
    ring = KeyRing()
    ring.add("s" * 32)
    SigilCodec(ring).seal_requests(requests, 0, 1, tenant="acme")
    ((_, _, _, issued, expires, _, sealed),) = requests.sealed(0, 1)
    assert sealed == payload
    assert expires == (0 if lifetime is None else issued + round(lifetime * 1000))


@given(st.lists(st.sampled_from([0, 1, 60]), min_size=1, max_size=5), any_text, st.integers(0, 2**40))
def test_records_and_answers_are_the_same(lifetimes: list[int], subject: str, created_at_ms: int) -> None:
    """Rows and answers that are made together are those of the records, one by one."""
    if any("\ud800" <= letter <= "\udfff" for letter in subject):
        subject = ""
    body = b"\n".join(
        b'{"data":{"n":%d},"expires_in":%b}' % (number, str(seconds or "null").encode())
        for number, seconds in enumerate(lifetimes)
    )
    requests = SealRequests(body, most=9)
    assert requests.read(0, len(requests)) == []
    ring = KeyRing()
    ring.add("s" * 32)
    SigilCodec(ring).seal_requests(requests, 0, len(requests), tenant="acme")
    records = SealedRecords(requests, "acme", subject, created_at_ms)
    assert rows_of(records) == rows_of(list(records))
    assert [whole_row(row) for row in rows_of(records).fresh] == [row_of(record) for record in records]
    assert not rows_of(records).others
    assert [record.id for record in records] == records.ids
    assert records[-1].payload == b'{"n":%d}' % (len(lifetimes) - 1)
    assert records.payload_bytes == sum(len(record.payload or b"") for record in records)
    later = max(record.expires_at_ms for record in records)
    for now in (0, later - 1, later):
        parts = (*record_parts(created_at_ms, subject), b"\n")
        answers = requests.answers(parts, 0, len(requests), now_ms=now)
        one_by_one = [record_answer(record, now) for record in records]
        assert answers == msgspec.json.Encoder().encode_lines(one_by_one)


@pytest.mark.parametrize(("lines", "size", "longest"), [(1, 10, 1), (500, 10, 128), (500, 10_000, 13)])
def test_pieces(lines: int, size: int, longest: int) -> None:
    """Pieces have all lines in their order; the longer these are, the fewer a piece has."""
    requests = SealRequests(b"\n".join([b"x" * size] * lines), most=lines)
    pieces = pieces_of(requests)
    assert [place for piece in pieces for place in range(*piece)] == list(range(lines))
    assert max(last - first for first, last in pieces) == longest
