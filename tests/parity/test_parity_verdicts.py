"""Both backends read, judge and answer the lines of a body alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.parity.outcomes import NATIVE, PURE
from tests.parity.strategies import json_documents, nearly_json, wrapped
from tests.sigils import ISSUED_MS, NOW, SECRET, TENANT, as_strand, as_text, as_token, make_id, make_sigil

IN_2100_MS = 4_102_444_800_000
SECRETS = [SECRET, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32]
TOLD = (
    b"<",
    "id",
    b" ",
    "sigil",
    b" ",
    "key_id",
    b" ",
    "issued_at",
    b" ",
    "expires_at",
    b" ",
    "canonical_sha256",
)
UNTOLD = (b"!", "canonical_sha256", b"\n")

_blanks = st.text(st.sampled_from(" \t\r"), max_size=2).map(str.encode)
_payloads = st.sampled_from([(b"{}", b"{ }"), (b'{"a":1,"b":"x"}', b'{"b":"\\u0078", "a":1.0}')])
_documents = json_documents().map(lambda text: text.replace("\n", " ").encode("utf-8", "surrogatepass"))


@st.composite
def spellings(draw: st.DrawFn, canonical: bytes) -> bytes:
    """A sigil in one of its forms, often of this payload, or nearly one."""
    raw = make_sigil(
        draw(st.sampled_from([canonical, canonical, canonical, b"[]"])),
        secret=draw(st.sampled_from(SECRETS)),
        tenant=draw(st.sampled_from([TENANT, TENANT, TENANT, "other"])),
        expires_ms=draw(st.sampled_from([0, 0, ISSUED_MS + 1, IN_2100_MS, 2**63])),
        identifier=make_id(
            draw(st.sampled_from([ISSUED_MS, ISSUED_MS, IN_2100_MS])), draw(st.integers(0, 9))
        ),
    )
    carried = draw(st.sampled_from([canonical, canonical, b"{ }", b'{"n":9007199254740993}', b"nonsense"]))
    form = draw(st.sampled_from([as_text, as_text, as_strand, lambda one: as_token(one, carried)]))
    text: bytes = form(raw).encode()
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from([b"", b".", b'"', b"\\", b"A", b"\xc3\xa9", b"\x7f"]))
            + text[at + 1 :]
        )
    return text


@st.composite
def verify_lines(draw: st.DrawFn) -> bytes:
    """A line that asks for a verdict, or nearly does."""
    blank = [draw(_blanks) for _ in range(8)]
    canonical, data = draw(_payloads)
    text = draw(spellings(canonical))
    if draw(st.integers(0, 3)) == 0:
        data = draw(_documents | nearly_json().map(lambda text: text.replace(b"\n", b" ")))
    members = [
        b'%b"sigil"%b:%b"%b"' % (*blank[:3], text),
        b'%b"data"%b:%b%b' % (*blank[3:6], data),
    ][: draw(st.sampled_from([1, 2, 2, 2]))]
    line = b"%b{%b}%b" % (blank[6], b" ,".join(draw(st.permutations(members))), blank[7])
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.sampled_from([b"", b",", b"}", b'"', b"{", b"\xff"])) + line[at + 1 :]
    return line


bodies = st.lists(
    verify_lines() | nearly_json() | wrapped(st.just(b"{}")) | st.sampled_from([b"", b" \r"]), max_size=8
).map(b"\n".join)


def verdicts(library: SimpleNamespace, body: bytes, most: int) -> Any:
    """What a backend makes of a body."""
    ring = library.KeyRing()
    for secret, state in zip(SECRETS, ("active", "verify-only", "revoked"), strict=False):
        ring.add(secret, state)
    requests = library.VerifyRequests(body, most=most, number=3)
    count = len(requests)
    left = requests.read(0, count)
    lines = [(requests.number(place), requests.text(place)) for place in range(count)]
    for place in left:
        if place % 3 == 0:
            requests.refuse(place, b"no\n")
        elif place % 3 == 1:
            requests.accept(place, as_token(make_sigil(b"{}"), b"{}"), b"{}" if place % 2 else b"[]")
        else:
            requests.accept(place, requests.text(place).decode("latin-1"), b"{}" if place % 2 else None)
    library.SigilCodec(ring).judge_requests(requests, 0, count, tenant=TENANT, now=NOW)
    kinds, chosen = requests.findings(0, count)
    told = [TOLD if code in {None, "expired"} else UNTOLD for code, _ in kinds]
    try:
        answers = requests.answers(told, chosen, 0, count)
    except ValueError as error:
        answers = str(error)
    of_ids = requests.issued(0, count), requests.claims(0, count)
    return left, lines, requests.end, requests.next_number, kinds, chosen, answers, of_ids


@given(bodies, st.integers(1, 9))
def test_bodies(body: bytes, most: int) -> None:
    """The same lines are plain, with the same findings, ids and answers."""
    assert verdicts(NATIVE, body, most) == verdicts(PURE, body, most)
