"""Lines that ask for verdicts, from a body's bytes to those of its answer."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import InvalidOptionError, InvalidTenantError
from tests.backends import load_backend
from tests.sigils import (
    ISSUED_MS,
    NOW,
    SECRET,
    TENANT,
    as_strand,
    as_text,
    as_token,
    key_id_of,
    make_id,
    make_sigil,
    ring_of,
)

GOOD = as_text(make_sigil(b"{}"))
DIGEST = hashlib.sha256(b"{}").hexdigest()
TOLD = (
    *(b'{"id":"', "id", b'","sigil":"', "sigil", b'","key":"', "key_id", b'","at":"', "issued_at"),
    *(b'","until":', "expires_at", b',"sha":', "canonical_sha256", b"}\n"),
)
UNTOLD = (b'{"sha":', "canonical_sha256", b"}\n")

#: What stands in a line, and whether that is plain.
LINES = [
    ('{"sigil":"%s","data":{}}', True),
    (' \t{ "sigil" :\r"%s" , "data" : {} }\r', True),
    ('{"data":{},"sigil":"%s"}', True),
    ('\r{ "data"\t:{ } , "sigil" : "%s" } \t', True),
    ('{"data":{"sigil":"%s"},"sigil":"%s"}', True),
    ('{"sigil":"%s.e30","data":{}}', True),
    ('{"data":{},"sigil":"%s.e30"}', True),
    ('{"sigil":"%s.e30"}', True),
    ('\r{ "sigil"\t:"%s.e30" } ', True),
    ('{"data":{"sigil":"%s"}}', False),
    ('{"sigil":"%s"}', False),
    ('{"sigil":"%s."}', False),
    ('{"sigil":"%s.e31"}', False),
    ('{"sigil":"%s.ew"}', False),
    ('{"sigil":"%s.e30",}', False),
    ('{"sigil":"%s.e30","sigil":"%s.e30"}', False),
    ('{"sigil":"%s.e30"}}', False),
    ('{"sigil":"%s.e30"} {}', False),
    ('{"sigil":"%s.e3\\u0030"}', False),
    ('{"sigil":"%s.e30', False),
    ('{"sigil":"%s","data":null}', False),
    ('{"sigil":"%s","data":[]}', False),
    ('{"sigil":"%s","data":{},"data":{}}', False),
    ('{"sigil":"%s","sigil":"%s","data":{}}', False),
    ('{"sigil":"%s","data":{},"sigil":"%s"}', False),
    ('{"data":{},"sigil":"%s","x":1}', False),
    ('{"sigil":"%s""data":{}}', False),
    ('{"sigil":"%s","data":{}}}', False),
    ('{"sigil":"%s","data":{}} {}', False),
    ('{"sigil":"%s","data":{"a":1,"a":1}}', False),
    ('{"sigil":"%s\\u0041","data":{}}', False),
    ('{"sigil":"\\"%s","data":{}}', False),
    ('{"sigil":"é%s","data":{}}', False),
    ('{"sigil":"%s\x7f","data":{}}', False),
    ('{"sigil":"%s\x1f","data":{}}', False),
    ('{"data":{},"sigil":"%s', False),
    ('{"data":{},"sigil":%s"}', False),
    ('{"sigil":"%s","data":}', False),
    ('{"sigil":"%s","data":{', False),
    ('{"sigil":"%s', False),
    ('{"sigil":"', False),
    ('{"sigil":%s,"data":{}}', False),
    ("{%s}", False),
    ("%s", False),
]


def judged(library: SimpleNamespace, body: bytes, tenant: str = TENANT, now: float = NOW, **key: Any) -> Any:
    """The lines of a body, all plain, and judged by a ring of one key."""
    requests = library.VerifyRequests(body, most=999)
    assert requests.read(0, len(requests)) == []
    codec = library.SigilCodec(ring_of(library, **key))
    codec.judge_requests(requests, 0, len(requests), tenant=tenant, now=now)
    return requests


def line_of(sigil: str, payload: bytes = b"{}") -> bytes:
    """A plain line."""
    return b'{"sigil":"%b","data":%b}\n' % (sigil.encode(), payload)


def codes_of(requests: Any) -> list[str | None]:
    """Why each seal does not hold; of lines that are refused, too, None."""
    kinds, chosen = requests.findings(0, len(requests))
    return [kinds[place][0] if place >= 0 else None for place in chosen]


@pytest.mark.parametrize(("text", "is_plain"), LINES)
def test_what_is_plain(library: SimpleNamespace, text: str, is_plain: bool) -> None:
    """A plain line is judged; every other one is left to the caller."""
    line = text.replace("%s", GOOD).encode()
    requests = library.VerifyRequests(line, most=1)
    assert requests.read(0, 1) == ([] if is_plain else [0])
    assert (requests.text(0), requests.number(0)) == (line, 1)
    if is_plain:
        payload = b'{"sigil":"%b"}' % GOOD.encode() if b'{"sigil"' in line[1:] else b"{}"
        library.SigilCodec(ring_of(library)).judge_requests(requests, 0, 1, tenant=TENANT, now=NOW)
        assert codes_of(requests) == ["tag_mismatch" if payload != b"{}" else None]
        digest = hashlib.sha256(payload).hexdigest()
        assert json.loads(requests.answers([UNTOLD], [0], 0, 1)) == {"sha": digest}


CAUSES: list[tuple[str | None, str, dict[str, Any]]] = [
    (None, GOOD, {}),
    (None, as_strand(make_sigil(b"{}")), {}),
    ("format", "", {}),
    ("format", "nonsense", {}),
    ("format", GOOD[:-1], {}),
    ("format", "_" + GOOD[1:], {}),
    ("format", as_strand(make_sigil(b"{}")).lower(), {}),
    ("unknown_key", as_text(make_sigil(b"{}", secret=b"\x07" * 32)), {}),
    ("revoked_key", GOOD, {"state": "revoked"}),
    ("key_not_yet_valid", GOOD, {"not_before": NOW + 1}),
    ("retired_key", GOOD, {"retire_at": NOW}),
    (None, GOOD, {"state": "verify-only", "not_before": NOW, "retire_at": NOW + 1}),
    ("tag_mismatch", as_text(make_sigil(b"[]")), {}),
    ("tag_mismatch", as_text(make_sigil(b"{}", tenant="other")), {}),
    ("tag_mismatch", as_text(make_sigil(b"{}")[:-1] + b"\x00"), {}),
    ("issued_in_future", as_text(make_sigil(b"{}", identifier=make_id(ISSUED_MS + 61_001))), {}),
    (None, as_text(make_sigil(b"{}", identifier=make_id(ISSUED_MS + 61_000))), {}),
    ("expired", as_text(make_sigil(b"{}", expires_ms=ISSUED_MS + 1000)), {}),
    (None, as_text(make_sigil(b"{}", expires_ms=ISSUED_MS + 1001)), {}),
    (None, as_text(make_sigil(b"{}", expires_ms=2**64 - 1)), {}),
]


@pytest.mark.parametrize(("code", "sigil", "key"), CAUSES)
def test_causes(library: SimpleNamespace, code: str | None, sigil: str, key: dict[str, Any]) -> None:
    """Each line is judged as a sigil alone is, and told to have been issued only where its tag holds."""
    requests = judged(library, line_of(sigil), **key)
    kinds, chosen = requests.findings(0, 1)
    known = code not in {"format", "unknown_key"}
    assert (kinds, chosen) == ([(code, key_id_of(SECRET) if known else None)], [0])
    codec = library.SigilCodec(ring_of(library, **key))
    (alone,) = codec.verify_many([sigil], [{}], tenant=TENANT, now=NOW)
    assert getattr(alone, "code", None) == code
    claimed = None
    if code != "format":
        claimed = codec.decode(sigil)
        claimed = (claimed.id, claimed.key_id)
    assert requests.claims(0, 1) == [claimed]
    proven = code in {None, "issued_in_future", "expired"}
    assert requests.issued(0, 1) == [claimed[0] if claimed and proven else None]


def test_answers_in_their_order(library: SimpleNamespace) -> None:
    """What was left is accepted or refused, and has its answer among the others, in the parts of its kind."""
    carrier = as_token(make_sigil(b"{}"), b"{}")
    expiring = as_text(make_sigil(b'{"n":1}', expires_ms=ISSUED_MS + 5000))
    body = b"\n".join(
        [line_of(expiring, b'{ "n": 1.0 }'), b"bad", b"\r", b"left", b"left", line_of("no"), b"left"]
    )
    requests = library.VerifyRequests(body, most=9)
    assert requests.read(0, 6) == [1, 2, 3, 5]
    assert requests.read(0, 6) == [1, 2, 3, 5]
    requests.refuse(1, b'{"refused":true}\n')
    requests.accept(2, carrier, b"{}")
    requests.accept(3, carrier, b"[]")
    requests.accept(5, "x.y", None)
    codec = library.SigilCodec(ring_of(library))
    codec.judge_requests(requests, 0, 2, tenant=TENANT, now=NOW)
    codec.judge_requests(requests, 2, 6, tenant=TENANT, now=NOW)
    key_id = key_id_of(SECRET)
    kinds, chosen = requests.findings(0, 6)
    assert kinds == [(None, key_id), ("tag_mismatch", key_id), ("format", None)]
    assert chosen == [0, -1, 0, 1, 2, 2]
    assert requests.findings(3, 5) == ([("tag_mismatch", key_id), ("format", None)], [0, 1])
    first, refused, token, altered, format_, empty = (
        json.loads(line) for line in requests.answers([TOLD, UNTOLD, UNTOLD], chosen, 0, 6).splitlines()
    )
    assert refused == {"refused": True}
    sigil = codec.decode(expiring)
    assert first == {
        "id": sigil.id,
        "sigil": expiring,
        "key": f"{key_id:08x}",
        "at": "2023-11-14T22:13:20.123Z",
        "until": "2023-11-14T22:13:25.123Z",
        "sha": hashlib.sha256(b'{"n":1}').hexdigest(),
    }
    assert (token["sigil"], token["until"], token["sha"]) == (GOOD, None, DIGEST)
    assert (altered, format_) == ({"sha": hashlib.sha256(b"[]").hexdigest()}, {"sha": DIGEST})
    assert empty == {"sha": None}
    assert requests.issued(0, 6) == [sigil.id, None, codec.decode(GOOD).id, None, None, None]
    assert requests.claims(1, 6) == [None, *[(codec.decode(GOOD).id, key_id)] * 2, None, None]


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_many_lines(library: SimpleNamespace, count: int) -> None:
    """Lines of unequal lengths and several keys are judged in groups; each by its own key."""
    secrets = [bytes([number]) * 32 for number in range(4)]
    ring = library.KeyRing()
    for number, secret in enumerate(secrets[:3]):
        ring.add(secret, "revoked" if number == 2 else "active")
    body, expected = b"", []
    for number in range(count):
        payload = b'{"n":%d,"pad":"%b"}' % (number, b"x" * (number * 7 % 400))
        which = number * 5 % 7 % 4
        sigil = make_sigil(payload, secret=secrets[which], identifier=make_id(tail=number))
        code = (None, None, "revoked_key", "unknown_key")[which]
        if number % 11 == 3:
            sigil = sigil[:40] + bytes([sigil[40] ^ 1]) + sigil[41:]
            code = code or "tag_mismatch"
        body += line_of(as_text(sigil), payload)
        expected.append(code)
    requests = library.VerifyRequests(body, most=count)
    assert requests.read(0, count) == []
    library.SigilCodec(ring).judge_requests(requests, 0, count, tenant=TENANT, now=NOW)
    assert codes_of(requests) == expected
    assert [one is None for one in requests.issued(0, count)] == [code is not None for code in expected]


def test_tokens_among_sigils(library: SimpleNamespace) -> None:
    """A token is judged among sigils by the payload beside it, which it must carry, or by what it carries."""
    big = b'{"n":9007199254740993}'
    token = as_token(make_sigil(b"{}"), b"{}")
    spelled: list[tuple[str | None, str]] = [
        (None, token),
        ("expired", as_token(make_sigil(b"{}", expires_ms=ISSUED_MS + 1000), b"{}")),
        ("issued_in_future", as_token(make_sigil(b"{}", identifier=make_id(ISSUED_MS + 61_001)), b"{}")),
        ("unknown_key", as_token(make_sigil(b"{}", secret=b"\x07" * 32), b"{}")),
        ("tag_mismatch", as_token(make_sigil(b"{}", tenant="other"), b"{}")),
        ("tag_mismatch", as_token(make_sigil(b"{}"), b"{ }")),
    ]
    beside = [
        (None, GOOD),
        *spelled,
        ("tag_mismatch", as_token(make_sigil(b"{}"), b"nonsense")),
        *(("format", token + tail) for tail in ("=", "AA", ".", ".e30")),
        ("format", "sgl1_.e30"),
    ]
    alone = [
        *spelled,
        (None, as_token(make_sigil(b"[]"), b"[]")),
        (None, as_token(make_sigil(big), big)),
        ("tag_mismatch", as_token(make_sigil(big), b"{}")),
    ]
    lines = [(code, line_of(one)) for code, one in beside]
    lines += [(code, b'{"sigil":"%b"}\n' % one.encode()) for code, one in alone]
    lines = [lines[number * 5 % len(lines)] for number in range(139)]
    requests = judged(library, b"".join(line for _, line in lines))
    assert codes_of(requests) == [code for code, _ in lines]
    proven = {None, "expired", "issued_in_future"}
    assert [one is not None for one in requests.issued(0, 139)] == [code in proven for code, _ in lines]
    digests = [json.loads(requests.answers([UNTOLD], [0], place, place + 1))["sha"] for place in range(22)]
    assert set(digests) == {hashlib.sha256(one).hexdigest() for one in (b"{}", b"[]", big)}


def test_many_kinds(library: SimpleNamespace) -> None:
    """Keys that nobody knows are one kind, however many they are."""
    sigils = [make_sigil(b"{}", secret=bytes([number]) * 32) for number in range(40, 140)]
    requests = judged(library, b"".join(line_of(as_text(one)) for one in sigils))
    assert requests.findings(0, 100) == ([("unknown_key", None)], [0] * 100)
    assert [claim[1] for claim in requests.claims(0, 100)] == [
        int.from_bytes(sigil[2:6], "big") for sigil in sigils
    ]


def test_wrong_order(library: SimpleNamespace) -> None:
    """A line that is not ready for a step refuses it, and none of the lines is changed by that."""
    codec = library.SigilCodec(ring_of(library))
    requests = library.VerifyRequests(line_of(GOOD) + b"x", most=9)
    with pytest.raises(ValueError, match="line 1 is not ready"):
        codec.judge_requests(requests, 0, 2, tenant=TENANT)
    assert requests.read(0, 2) == [1]
    for step in (lambda: requests.accept(0, "x", b"{}"), lambda: requests.refuse(0, b"")):
        with pytest.raises(ValueError, match="line 1 was read"):
            step()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="line 2 is not ready"):
        codec.judge_requests(requests, 0, 2, tenant=TENANT)
    for ask in (lambda: requests.answers([TOLD], [0], 0, 1), lambda: requests.findings(0, 1)):
        with pytest.raises(ValueError, match="line 1 is not ready"):
            ask()  # type: ignore[no-untyped-call]
    assert requests.issued(0, 2) == requests.claims(0, 2) == [None, None]
    codec.judge_requests(requests, 0, 1, tenant=TENANT)
    with pytest.raises(ValueError, match="line 1 is not ready"):
        codec.judge_requests(requests, 0, 1, tenant=TENANT)


def test_wrong_arguments(library: SimpleNamespace) -> None:
    """Ranges, kinds, parts, tenants and moments are checked."""
    codec = library.SigilCodec(ring_of(library))
    requests = judged(
        library, line_of(GOOD) + line_of("no") + line_of(as_text(make_sigil(b"{}", expires_ms=2**60)))
    )
    for first, last in ((-1, 1), (1, 0), (0, 4)):
        for step in (requests.read, requests.findings, requests.issued, requests.claims):
            with pytest.raises(IndexError):
                step(first, last)
        with pytest.raises(IndexError):
            codec.judge_requests(requests, first, last, tenant=TENANT)
    for kinds, chosen, error in (
        ([TOLD], [1], IndexError),
        ([TOLD], [-1], IndexError),
        ([], [0], IndexError),
        ([TOLD], [], ValueError),
        ([TOLD], [0, 0], ValueError),
        ([("status",)], [0], InvalidOptionError),
        ([(b"",) * 33], [0], InvalidOptionError),
        ([(1,)], [0], TypeError),
    ):
        with pytest.raises(error):
            requests.answers(kinds, chosen, 0, 1)
    with pytest.raises(ValueError, match="line 2 has no sigil"):
        requests.answers([("id",)], [0], 1, 2)
    assert requests.answers([("expires_at",)], [0], 2, 3) == b'"9999-12-31T23:59:59.999Z"'
    fresh = library.VerifyRequests(line_of(GOOD), most=1)
    fresh.read(0, 1)
    with pytest.raises(InvalidTenantError):
        codec.judge_requests(fresh, 0, 1, tenant="")
    with pytest.raises(InvalidOptionError):
        codec.judge_requests(fresh, 0, 1, tenant=TENANT, now=-1)
    with pytest.raises(TypeError):
        library.VerifyRequests(1, most=1)


def test_no_copies(library: SimpleNamespace) -> None:
    """They hold payloads on their way: nobody copies or pickles them."""
    requests = library.VerifyRequests(b"x", most=1)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(requests)


def test_threads_keep_out_of_each_others_way() -> None:
    """While one thread works on lines without the lock, others are refused, and nothing is damaged."""
    library = load_backend("native")
    payload = b'{"pad":"%b"}' % (b"x" * 2000)
    count = 3000
    requests = library.VerifyRequests(line_of(as_text(make_sigil(payload)), payload) * count, most=count)
    refused = []

    def look() -> None:
        for _ in range(200):
            try:
                requests.issued(0, 1)
            except RuntimeError as error:
                refused.append(error)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        assert requests.read(0, count) == []
        library.SigilCodec(ring_of(library)).judge_requests(requests, 0, count, tenant=TENANT, now=NOW)
        looking.result()
    assert codes_of(requests) == [None] * count
    assert all("another thread" in str(error) for error in refused)
