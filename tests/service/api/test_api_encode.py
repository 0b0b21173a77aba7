"""Encoding over HTTP."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from datetime import UTC, datetime

import pytest

from sigil_native import KeyRing, SigilCodec, canonicalize
from tests.service.running import SIGILS, Service

EVENT = {"type": "order.paid", "amount": 1299.5, "id": "evt_1", "é": ["\U0001f600", None, True]}


@pytest.fixture
def token(service: Service, tenant: str) -> str:
    """A token with every role."""
    return service.token(tenant)


def codec() -> SigilCodec:
    """Somebody else who holds the service's secret."""
    ring = KeyRing()
    ring.add("s" * 32)
    return SigilCodec(ring)


def test_a_record_is_made(service: Service, tenant: str, token: str) -> None:
    """The answer describes the sigil, which anybody with the secret can verify offline."""
    before = time.time()
    answer = service.call("POST", SIGILS, {"data": EVENT, "expires_in": 60}, token=token)
    assert answer.status == 201
    record = answer.json
    assert answer.headers["location"] == f"{SIGILS}/{record['id']}"
    sigil = codec().verify(record["sigil"], EVENT, tenant=tenant)
    assert record["id"] == sigil.id
    assert record["key_id"] == f"{sigil.key_id:08x}"
    issued = datetime.fromisoformat(record["issued_at"])
    assert issued.tzinfo == UTC
    assert before - 1 < issued.timestamp() == sigil.issued_at < time.time() + 1
    assert datetime.fromisoformat(record["expires_at"]).timestamp() == sigil.expires_at
    assert record["canonical_sha256"] == hashlib.sha256(canonicalize(EVENT)).hexdigest()
    assert record["status"] == "active"
    assert record["created_by"] == "tester"
    assert record["revoked_at"] is record["revoked_by"] is record["revoked_reason"] is None


def test_without_expiry(service: Service, token: str) -> None:
    """No lifetime, or null, is for ever."""
    assert service.encode(EVENT, token=token)["expires_at"] is None
    assert service.encode(EVENT, token=token, expires_in=None)["expires_at"] is None


def test_spelling_does_not_matter(service: Service, token: str) -> None:
    """The same payload in another order, spacing and escaping has the same digest."""
    first = service.encode({"b": 1, "a": "\u00e9"}, token=token)
    body = b'\n{ "data" : {"a":"\\u00e9",\t"b":1.0e0 } }\r\n'
    second = service.call("POST", SIGILS, body, token=token).json
    assert first["canonical_sha256"] == second["canonical_sha256"]
    assert first["id"] < second["id"]


@pytest.mark.parametrize(
    "number", ["1e17", "-9007199254740992.0", "2.2364765042035344e+16", "1e21", "5e-324"]
)
def test_large_numbers(service: Service, tenant: str, token: str, number: str) -> None:
    """A float whose canonical form looks like a large integer is sealed, kept and verified as it is."""
    text = f'{{"a":{number}}}'
    answer = service.call("POST", SIGILS, f'{{"data":{text}}}', token=token)
    assert answer.status == 201, answer.body
    record = answer.json
    sigil = record["sigil"]
    codec().verify_json(sigil, text, tenant=tenant)
    verdict = service.call("POST", f"{SIGILS}/verify", f'{{"sigil":"{sigil}","data":{text}}}', token=token)
    assert verdict.json["valid"] is True
    full = service.call("GET", f"{SIGILS}/{record['id']}", token=token)
    assert full.json["data"] == {"a": float(number)}


PROBLEMS = [
    (b"", 400, "syntax", "", 0),
    (b"{", 400, "syntax", "", 1),
    (b'{"data":{}} x', 400, "trailing_data", "", 12),
    (b'{"data":{"a":01}}', 400, "syntax", "/data", 14),
    (b'{"data":{"a":NaN}}', 400, "syntax", "/data/a", 13),
    (b'{"data":{"a":"\xff"}}', 400, "invalid_utf8", "/data/a", 14),
    (b'{"d\xffta":{}}', 400, "invalid_utf8", "", 3),
    (b'\xef\xbb\xbf{"data":{}}', 400, "byte_order_mark", "", 0),
    ('{"data":{}}'.encode("utf-16"), 400, "invalid_utf8", "", 0),
    (b'{"data":{"a":1,"a":2}}', 422, "duplicate_name", "/data/a", 15),
    (b'{"data":{"a":1,"\\u0061":2}}', 422, "duplicate_name", "/data/a", 15),
    (b'{"data":{},"data":{"a":1}}', 422, "duplicate_name", "/data", 11),
    (b'{"data":{},"d\\u0061ta":{"a":1}}', 422, "duplicate_name", "/data", 11),
    (b'{"data":{},"expires_in":1,"expires_in":2}', 422, "duplicate_name", "/expires_in", 26),
    (b'{"data":{"a":"\\ud800"}}', 422, "lone_surrogate", "/data/a", 14),
    (b'{"data":{"a":1e999}}', 422, "non_finite_number", "/data/a", 13),
    (b'{"data":{"a":9007199254740992}}', 422, "integer_range", "/data/a", 13),
    (b"[]", 422, "invalid_request", "", None),
    (b"null", 422, "invalid_request", "", None),
    (b"{}", 422, "invalid_request", "", None),
    (b'{"data":[]}', 422, "invalid_request", "/data", None),
    (b'{"data":"x"}', 422, "invalid_request", "/data", None),
    (b'{"data":null}', 422, "invalid_request", "/data", None),
    (b'{"data":{},"tenant":"other"}', 422, "invalid_request", "", None),
    (b'{"data":{},"expires_in":"5"}', 422, "invalid_request", "/expires_in", None),
    (b'{"data":{},"expires_in":true}', 422, "invalid_request", "/expires_in", None),
    (b'{"data":{},"expires_in":0}', 422, "invalid_request", "/expires_in", None),
    (b'{"data":{},"expires_in":-1}', 422, "invalid_request", "/expires_in", None),
    (b'{"data":{},"expires_in":0.0001}', 422, "invalid_request", "/expires_in", None),
    (b'{"data":{},"expires_in":1e300}', 422, "invalid_request", "/expires_in", None),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer", "offset"), PROBLEMS)
def test_bodies_that_are_refused(
    service: Service, token: str, body: bytes, status: int, code: str, pointer: str, offset: int | None
) -> None:
    """Each defect of a body has its own problem that says where it is."""
    answer = service.call("POST", SIGILS, body, token=token)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.json.get("pointer") == pointer
    assert answer.json.get("offset") == offset
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.call("GET", SIGILS, token=token).json["sigils"] == []


def test_deep_payloads(service: Service, token: str) -> None:
    """Payloads may be 512 levels deep; deeper ones, absurdly deep ones too, are refused."""

    def nested(levels: int) -> bytes:
        return b'{"data":{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}}"

    assert service.call("POST", SIGILS, nested(512), token=token).status == 201
    for levels in (513, 100_000):
        answer = service.call("POST", SIGILS, nested(levels), token=token)
        assert (answer.status, answer.json["code"]) == (422, "nesting_too_deep")


def test_large_bodies(service: Service, token: str) -> None:
    """A body of exactly the limit passes; one byte more does not, announced or not."""
    limit = 1 << 20
    frame = len(b'{"data":{"a":""}}')
    fits = b'{"data":{"a":"' + b"x" * (limit - frame) + b'"}}'
    assert service.call("POST", SIGILS, fits, token=token).status == 201
    answer = service.call("POST", SIGILS, fits + b" ", token=token)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    parts = iter([fits[:-9], fits[-9:], b" "])
    connection.request("POST", SIGILS, body=parts, headers=headers, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (413, "body_too_large")
    connection.close()


def test_announced_length_is_enough_to_refuse(service: Service) -> None:
    """A body that announces too much is refused before it, or a token, is looked at."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("POST", SIGILS)
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    connection.close()


def test_chunked_body(service: Service, token: str) -> None:
    """A body may arrive in pieces."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = b'{"data":{"a":1}}'
    pieces = (body[at : at + 1] for at in range(len(body)))
    connection.request("POST", SIGILS, body=pieces, headers=headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 201
    response.read()
    connection.close()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Content-Type": "application/json"}, 201),
        ({"Content-Type": "APPLICATION/JSON; charset=UTF-8"}, 201),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/json, text/html"}, 415),
        ({"Content-Type": "application/jsonp"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "identity"}, 201),
    ],
)
def test_content_type(service: Service, token: str, header: dict[str, str], status: int) -> None:
    """Only application/json in UTF-8, not compressed, is read."""
    answer = service.call("POST", SIGILS, {"data": {}}, token=token, headers=header)
    assert answer.status == status


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Content-Type", ["text/plain", "application/json"]),
        ("Content-Encoding", ["gzip", "identity"]),
    ],
)
def test_headers_that_say_two_things(service: Service, token: str, name: str, values: list[str]) -> None:
    """Of two headers a proxy may read the first and we the last: neither is believed."""
    body = b'{"data":{}}'
    headers = {"Authorization": f"Bearer {token}", "Content-Length": str(len(body))}
    if name != "Content-Type":
        headers["Content-Type"] = "application/json"
    connection = service.connection()
    connection.putrequest("POST", SIGILS)
    for header in [*headers.items(), *((name, value) for value in values)]:
        connection.putheader(*header)
    connection.endheaders(body)
    assert connection.getresponse().status == 415
    connection.close()
