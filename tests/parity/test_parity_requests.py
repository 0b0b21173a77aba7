"""Both backends read, seal and answer the lines of a body alike."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.parity.outcomes import NATIVE, PURE
from tests.parity.strategies import json_documents, nearly_json, wrapped
from tests.sigils import TENANT, ring_of

PARTS = (b"<", "canonical_sha256", b" ", "key_id", b" ", "status", b">\n")

_blanks = st.text(st.sampled_from(" \t\r"), max_size=2).map(str.encode)
_lifetimes = st.sampled_from([b"null", b"1", b"60", b"3155760000", b"3155760001", b"0", b"01", b"1.5", b"-1"])
_documents = json_documents().map(lambda text: text.replace("\n", " ").encode("utf-8", "surrogatepass"))
_objects = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=9), max_size=4).map(
    lambda value: json.dumps(value).encode()
)


@st.composite
def request_lines(draw: st.DrawFn) -> bytes:
    """A line that asks for a seal, or nearly does."""
    blank = [draw(_blanks) for _ in range(9)]
    data = draw(_objects | _documents | nearly_json().map(lambda text: text.replace(b"\n", b" ")))
    line = b'%b{%b"data"%b:%b%b' % (*blank[:4], data)
    if draw(st.booleans()):
        line += b'%b,%b"expires_in"%b:%b' % (blank[4], blank[5], blank[6], draw(_lifetimes))
    line += b"%b}%b" % (blank[7], blank[8])
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.sampled_from([b"", b",", b"}", b'"', b"{", b"\xff"])) + line[at + 1 :]
    return line


bodies = st.lists(
    request_lines() | nearly_json() | wrapped(st.just(b"{}")) | st.sampled_from([b"", b" \r"]), max_size=8
).map(b"\n".join)


def read(library: SimpleNamespace, body: bytes, most: int) -> tuple[Any, Any]:
    """What a backend makes of a body up to its seals."""
    requests = library.SealRequests(body, most=most, number=3)
    count = len(requests)
    left = requests.read(0, count)
    lines = [(requests.number(place), requests.text(place)) for place in range(count)]
    for place in left:
        if place % 2:
            requests.refuse(place, b"no\n")
        else:
            requests.accept(place, b"{}", 1 + place)
    library.SigilCodec(ring_of(library)).seal_requests(requests, 0, count, tenant=TENANT)
    seals = [
        (key_id, expires and expires - issued, digest, payload)
        for _, _, key_id, issued, expires, digest, payload in requests.sealed(0, count)
    ]
    answers = requests.answers(PARTS, 0, count, now_ms=0)
    return (left, lines, requests.end, requests.next_number, seals, answers), requests


@given(bodies, st.integers(1, 9))
def test_bodies(body: bytes, most: int) -> None:
    """The same lines are plain, with the same payloads and lifetimes, and each verifies the other's seals."""
    (native, of_native), (pure, of_pure) = (read(library, body, most) for library in (NATIVE, PURE))
    assert native == pure
    for sealed, other in ((of_native, PURE), (of_pure, NATIVE)):
        codec = other.SigilCodec(ring_of(other), integers="exact")
        for _, text, *_, payload in sealed.sealed(0, len(sealed)):
            codec.verify_json(text, payload, tenant=TENANT)
