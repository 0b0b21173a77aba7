"""Lines that ask for seals, from a body's bytes to those of its answer."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import InvalidExpiryError, InvalidOptionError, InvalidTenantError, NoActiveKeyError
from tests.backends import load_backend
from tests.sigils import SECRET, TENANT

CENTURY = 3_155_760_000
PARTS = (
    *(b'{"id":"', "id", b'","sigil":"', "sigil", b'","key":"', "key_id", b'","at":"', "issued_at"),
    *(b'","until":', "expires_at", b',"is":"', "status", b'","sha":"', "canonical_sha256", b'"}\n'),
)

#: Lines with their payload and lifetime in milliseconds; None where they are left to the caller.
LINES: list[tuple[bytes, tuple[bytes, int] | None]] = [
    (b'{"data":{}}', (b"{}", 0)),
    (b' \t{ "data" :\r{"b":1.0, "a":[]} } \r', (b'{"a":[],"b":1}', 0)),
    (b'{"data":{},"expires_in":60}', (b"{}", 60_000)),
    (b'{"data":{} , "expires_in" : 7 }', (b"{}", 7000)),
    (b'{"data":{},"expires_in":null}', (b"{}", 0)),
    (b'{"data":{},"expires_in":%d}' % CENTURY, (b"{}", CENTURY * 1000)),
    (b'{"data":{"expires_in":5}}', (b'{"expires_in":5}', 0)),
    (b'{"data":{"x":{}},"expires_in":1}', (b'{"x":{}}', 1000)),
    (b'{"data":{"a":"},\\"expires_in\\":6}"}}', (b'{"a":"},\\"expires_in\\":6}"}', 0)),
    (b'{"data":' + b'{"a":' * 511 + b"{}" + b"}" * 511 + b"}", (b'{"a":' * 511 + b"{}" + b"}" * 511, 0)),
    (b'{"data":' + b'{"a":' * 512 + b"{}" + b"}" * 512 + b"}", None),
    (b'{"data":{},"expires_in":%d}' % (CENTURY + 1), None),
    (b'{"data":{},"expires_in":0}', None),
    (b'{"data":{},"expires_in":01}', None),
    (b'{"data":{},"expires_in":-1}', None),
    (b'{"data":{},"expires_in":1.5}', None),
    (b'{"data":{},"expires_in":1e3}', None),
    (b'{"data":{},"expires_in":12345678901}', None),
    (b'{"data":{},"expires_in":"60"}', None),
    (b'{"data":{},"expires_in":}', None),
    (b'{"data":{}"expires_in":60}', None),
    (b'{"expires_in":60,"data":{}}', None),
    (b'{"d\\u0061ta":{}}', None),
    (b'{"data":{},"data":{}}', None),
    (b'{"data":{},"x":{}}', None),
    (b'{"data":{"a":1,"a":2}}', None),
    (b'{"data":{"a":01}}', None),
    (b'{"data":{"a":9007199254740992}}', None),
    (b'{"data":{"a":"\xff"}}', None),
    (b'{"data":{}}}', None),
    (b'{"data":{}} {}', None),
    (b'\xef\xbb\xbf{"data":{}}', None),
    (b'{"data":[]}', None),
    (b'{"data":{', None),
    (b'{"data":}', None),
    (b'{"data":{}', None),
    (b"{}", None),
    (b"}", None),
    (b"x", None),
]


def codec_of(library: SimpleNamespace) -> Any:
    """A codec with one key."""
    ring = library.KeyRing()
    ring.add(SECRET)
    return library.SigilCodec(ring)


def answered(requests: Any, now_ms: int = 0) -> list[Any]:
    """All answers, read."""
    text = requests.answers(PARTS, 0, len(requests), now_ms=now_ms)
    return [json.loads(line) for line in text.splitlines()]


def moment(milliseconds: int) -> str:
    """A moment as answers tell it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@pytest.mark.parametrize(("line", "read"), LINES)
def test_what_is_plain(library: SimpleNamespace, line: bytes, read: tuple[bytes, int] | None) -> None:
    """A plain line is sealed with its canonical payload and its lifetime; every other one is left."""
    requests = library.SealRequests(line, most=1)
    assert requests.read(0, 1) == ([0] if read is None else [])
    if read is not None:
        payload, lifetime = read
        codec = codec_of(library)
        codec.seal_requests(requests, 0, 1, tenant=TENANT)
        ((identifier, text, key_id, issued, expires, digest, kept),) = requests.sealed(0, 1)
        sigil = codec.verify_json(text, payload, tenant=TENANT)
        assert (sigil.id.replace("-", ""), sigil.key_id) == (identifier.hex(), key_id)
        assert (sigil.issued_at_ms, sigil.expires_at_ms) == (issued, expires)
        assert expires == (issued + lifetime if lifetime else 0)
        assert (digest, kept) == (hashlib.sha256(payload).digest(), payload)


def test_lines_and_their_numbers(library: SimpleNamespace) -> None:
    """Blank lines are passed over and counted; lines are cut at LF or CR LF alone."""
    requests = library.SealRequests(b"\n \r\n a\rb \r\n\n\xe2\x80\xa8\nc\r", most=9, number=5)
    assert [requests.text(place) for place in range(len(requests))] == [b" a\rb ", b"\xe2\x80\xa8", b"c\r"]
    assert [requests.number(place) for place in range(3)] == [7, 9, 10]
    assert (requests.end, requests.next_number) == (18, 11)
    for body, number in ((b"", 1), (b"\n\n", 3), (b" \t\r", 2), (b"\n ", 3)):
        blank = library.SealRequests(body, most=1)
        assert (len(blank), blank.end, blank.next_number) == (0, len(body), number)


def test_more_lines_than_wanted(library: SimpleNamespace) -> None:
    """What is behind the last line that may be looked at is found again; blank lines are not too many."""
    body = b"1\n\n2\n \n 3\n"
    requests = library.SealRequests(body, most=2)
    assert (len(requests), body[requests.end :], requests.next_number) == (2, b" 3\n", 5)
    whole = library.SealRequests(body[: requests.end], most=2)
    assert (len(whole), whole.end, whole.next_number) == (2, requests.end, 5)


def test_answers_in_their_order(library: SimpleNamespace) -> None:
    """What was left is accepted or refused, and has its answer among the others; ids ascend."""
    body = b"\n".join([b'{"data":{"n":0}}', b"bad", b'{"data":{"n":2},"expires_in":9}', b"late"])
    requests = library.SealRequests(body, most=9)
    assert requests.read(0, 2) == [1]
    assert requests.read(0, 4) == [1, 3]
    requests.refuse(1, b'{"refused":true}\n')
    requests.accept(3, b'{"n":3}', 0.5)
    codec = codec_of(library)
    codec.seal_requests(requests, 0, 2, tenant=TENANT)
    codec.seal_requests(requests, 2, 4, tenant=TENANT)
    first, bad, third, fourth = answered(requests)
    assert bad == {"refused": True}
    for number, answer, lifetime in ((0, first, 0), (2, third, 9000), (3, fourth, 500)):
        payload = b'{"n":%d}' % number
        sigil = codec.verify_json(answer["sigil"], payload, tenant=TENANT)
        assert answer == {
            "id": sigil.id,
            "sigil": sigil.text,
            "key": f"{sigil.key_id:08x}",
            "at": moment(sigil.issued_at_ms),
            "until": moment(sigil.issued_at_ms + lifetime) if lifetime else None,
            "is": "active",
            "sha": hashlib.sha256(payload).hexdigest(),
        }
    assert requests.ids(0, 4) == [first["id"], third["id"], fourth["id"]] == sorted(requests.ids(0, 4))
    assert requests.ids(1, 3) == [third["id"]]
    expiry = codec.decode(fourth["sigil"]).expires_at_ms
    assert [answered(requests, expiry - 1)[3]["is"], answered(requests, expiry)[3]["is"]] == [
        "active",
        "expired",
    ]


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_many_lines(library: SimpleNamespace, count: int) -> None:
    """Lines of unequal lengths are sealed in groups; each seal is its own payload's."""
    payloads = [b'{"n":%d,"pad":"%b"}' % (number, b"x" * (number * 7 % 400)) for number in range(count)]
    requests = library.SealRequests(b"\n".join(b'{"data":%b}' % one for one in payloads), most=count)
    assert requests.read(0, count) == []
    codec = codec_of(library)
    codec.seal_requests(requests, 0, count, tenant=TENANT)
    for payload, answer in zip(payloads, answered(requests), strict=True):
        codec.verify_json(answer["sigil"], payload, tenant=TENANT)


@pytest.mark.parametrize(
    "year", [1970, 1999, 2000, 2023, 2024, 2026, 2099, 2100, 2126], ids=lambda year: f"until-{year}"
)
def test_moments(library: SimpleNamespace, year: int) -> None:
    """Expiries are told by the calendar: in leap years, at the ends of months and of centuries."""
    codec = codec_of(library)
    now = datetime.now(UTC)
    days = [(1, 1), (2, 28), (3, 1), (12, 31)] + ([(2, 29)] if year % 4 == 0 and year != 2100 else [])
    seconds = [(datetime(year, *day, 23, 59, 58, tzinfo=UTC) - now).total_seconds() for day in days]
    future = [lifetime for lifetime in seconds if lifetime > 1]
    requests = library.SealRequests(b"x\n" * max(1, len(future)), most=99)
    for place, lifetime in enumerate(future or [1]):
        requests.accept(place, b"{}", lifetime)
    codec.seal_requests(requests, 0, len(requests), tenant=TENANT)
    for answer in answered(requests):
        sigil = codec.decode(answer["sigil"])
        assert (answer["at"], answer["until"]) == (moment(sigil.issued_at_ms), moment(sigil.expires_at_ms))


def test_wrong_order(library: SimpleNamespace) -> None:
    """A line that is not ready for a step refuses it, and none of the lines is changed by that."""
    codec = codec_of(library)
    requests = library.SealRequests(b'{"data":{}}\nx', most=9)
    with pytest.raises(ValueError, match="line 1 is not ready"):
        codec.seal_requests(requests, 0, 2, tenant=TENANT)
    assert requests.read(0, 2) == [1]
    for step in (lambda: requests.accept(0, b"{}"), lambda: requests.refuse(0, b"")):
        with pytest.raises(ValueError, match="line 1 was read"):
            step()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="line 2 is not ready"):
        codec.seal_requests(requests, 0, 2, tenant=TENANT)
    with pytest.raises(ValueError, match="line 1 is not ready"):
        requests.answers(PARTS, 0, 1, now_ms=0)
    assert requests.sealed(0, 2) == requests.ids(0, 2) == []
    codec.seal_requests(requests, 0, 1, tenant=TENANT)
    with pytest.raises(ValueError, match="line 1 is not ready"):
        codec.seal_requests(requests, 0, 1, tenant=TENANT)


def test_wrong_arguments(library: SimpleNamespace) -> None:
    """Ranges, parts, tenants and lifetimes are checked."""
    codec = codec_of(library)
    requests = library.SealRequests(b"x\ny", most=9)
    for first, last in ((-1, 1), (1, 0), (0, 3)):
        for step in (requests.read, requests.sealed, requests.ids):
            with pytest.raises(IndexError):
                step(first, last)
    for place in (-1, 2):
        for ask in (requests.number, requests.text):
            with pytest.raises(IndexError):
                ask(place)
    for lifetime in (0, -1, float("nan"), 253_402_300_799):
        with pytest.raises(InvalidExpiryError):
            requests.accept(0, b"{}", lifetime)
    for parts, error in (
        (("tag",), InvalidOptionError),
        ((b"",) * 33, InvalidOptionError),
        ((1,), TypeError),
    ):
        with pytest.raises(error):
            requests.answers(parts, 0, 0, now_ms=0)
    for options, error in (({"most": 0}, InvalidOptionError), ({"most": "1"}, TypeError)):
        with pytest.raises(error):
            library.SealRequests(b"", **options)
    with pytest.raises(TypeError):
        library.SealRequests(1, most=1)
    requests.accept(0, b"{}")
    with pytest.raises(InvalidTenantError):
        codec.seal_requests(requests, 0, 1, tenant="")


def test_without_a_key(library: SimpleNamespace) -> None:
    """No key, no seal; where nothing is to be sealed none is missed."""
    codec = library.SigilCodec(library.KeyRing())
    requests = library.SealRequests(b'{"data":{}}\nx', most=9)
    requests.read(0, 2)
    requests.refuse(1, b"no\n")
    codec.seal_requests(requests, 1, 2, tenant=TENANT)
    with pytest.raises(NoActiveKeyError):
        codec.seal_requests(requests, 0, 2, tenant=TENANT)
    assert requests.answers(PARTS, 1, 2, now_ms=0) == b"no\n"


def test_no_copies(library: SimpleNamespace) -> None:
    """They hold payloads on their way: nobody copies or pickles them."""
    requests = library.SealRequests(b"x", most=1)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(requests)


def test_threads_keep_out_of_each_others_way() -> None:
    """While one thread works on lines without the lock, others are refused, and nothing is damaged."""
    library = load_backend("native")
    count = 3000
    body = b'{"data":{"pad":"%b"}}\n' % (b"x" * 2000) * count
    requests = library.SealRequests(body, most=count)
    refused = []

    def look() -> None:
        for _ in range(200):
            try:
                requests.sealed(0, 1)
            except RuntimeError as error:
                refused.append(error)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        assert requests.read(0, count) == []
        codec_of(library).seal_requests(requests, 0, count, tenant=TENANT)
        looking.result()
    assert len(requests.ids(0, count)) == count
    assert all("another thread" in str(error) for error in refused)
