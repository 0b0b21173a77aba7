"""Reading, listing and revoking records over HTTP."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.service.running import SIGILS, Service


@pytest.fixture
def token(service: Service, tenant: str) -> str:
    """A token with every role."""
    return service.token(tenant)


def listed(service: Service, token: str, query: str = "") -> list[Any]:
    """Ids of a listing."""
    return [record["id"] for record in service.call("GET", SIGILS + query, token=token).json["sigils"]]


def test_get(service: Service, token: str) -> None:
    """A record comes with its payload and its DNA form, which verifies."""
    data = {"b": [1.5, "\u20ac"], "a": {}}
    record = service.encode(data, token=token)
    answer = service.call("GET", f"{SIGILS}/{record['id']}", token=token)
    assert answer.status == 200
    full = answer.json
    assert full.pop("data") == data
    assert service.verify(full.pop("strand"), data, token=token)["valid"]
    assert full == record
    head = service.call("HEAD", f"{SIGILS}/{record['id']}", token=token)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "record_id",
    [
        "x",
        "01a2055d-a677-77cf-8eb5-b77baa93967c",
        "01A2055D-A677-77CF-8EB5-B77BAA93967C",
        "..",
        "%2e%2e",
        "%00",
        "verify%20",
        "a" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_ids(service: Service, token: str, record_id: str, method: str) -> None:
    """An id that nobody has, or that is none, is not found."""
    path = f"{SIGILS}/{record_id}" + ("/revoke" if method == "POST" else "")
    body = {"reason": "x"} if method == "POST" else None
    answer = service.call(method, path, body, token=token)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_other_tenants_ids(service: Service, token: str) -> None:
    """Another tenant's record answers as one that does not exist."""
    record = service.encode({"a": 1}, token=token)
    other = service.token("somebody else")
    for method, path, body in (("GET", "", None), ("POST", "/revoke", {"reason": "x"})):
        theirs = service.call(method, f"{SIGILS}/{record['id']}{path}", body, token=other)
        nobodys = service.call(
            method, f"{SIGILS}/01a2055d-a677-77cf-8eb5-b77baa93967c{path}", body, token=other
        )
        assert theirs.status == nobodys.status == 404
        for answer in (theirs.json, nobodys.json):
            del answer["request_id"]
        assert {**theirs.json, "request_id": ""} == {**nobodys.json, "request_id": ""}
    assert record["id"] not in listed(service, other)
    assert service.verify(record["sigil"], {"a": 1}, token=token)["revocation"] == "not_revoked"


def test_listing(service: Service, token: str) -> None:
    """Pages walk through all records, newest first, without their payloads."""
    made = [service.encode({"n": n}, token=token) for n in range(7)]
    walked: list[Any] = []
    query = "?limit=3"
    while True:
        page = service.call("GET", SIGILS + query, token=token).json
        walked += page["sigils"]
        if page["next_cursor"] is None:
            break
        service.encode({"later": True}, token=token)  # must not disturb the walk
        query = f"?limit=3&cursor={page['next_cursor']}"
    assert walked == made[::-1]
    assert len(service.call("GET", f"{SIGILS}?limit=3", token=token).json["sigils"]) == 3


def test_exact_last_page(service: Service, token: str) -> None:
    """A page that ends exactly with the last record has no next one; nor has an empty list."""
    assert service.call("GET", SIGILS, token=token).json == {
        "sigils": [],
        "next_cursor": None,
        "stale": False,
    }
    for n in range(2):
        service.encode({"n": n}, token=token)
    assert service.call("GET", f"{SIGILS}?limit=2", token=token).json["next_cursor"] is None


def test_status_filter(service: Service, token: str) -> None:
    """Each status lists exactly its records."""
    active = service.encode({}, token=token, expires_in=1000)["id"]
    expired = service.encode({}, token=token, expires_in=0.01)["id"]
    revoked = service.encode({}, token=token)["id"]
    service.call("POST", f"{SIGILS}/{revoked}/revoke", {"reason": "x"}, token=token)
    time.sleep(0.02)
    for status, record_id in (("active", active), ("expired", expired), ("revoked", revoked)):
        assert listed(service, token, f"?status={status}") == [record_id]
        assert service.call("GET", f"{SIGILS}/{record_id}", token=token).json["status"] == status
    assert listed(service, token) == [revoked, expired, active]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_query"),
        ("limit=201", "invalid_query"),
        ("limit=-1", "invalid_query"),
        ("limit=1.5", "invalid_query"),
        ("limit=", "invalid_query"),
        ("limit=%D9%A1", "invalid_query"),
        ("limit=1&limit=2", "invalid_query"),
        ("status=gone", "invalid_query"),
        ("status=", "invalid_query"),
        ("tenant=other", "invalid_query"),
        ("limit", "invalid_query"),
        ("%ff=%ff", "invalid_query"),
        ("cursor=", "invalid_cursor"),
        ("cursor=x", "invalid_cursor"),
        ("cursor=AaIFXaZ3d8-OtbfuqqZqZqZ%0A", "invalid_cursor"),
        ("cursor=AgGiBV2md3fPjrW3e6qTlnw", "invalid_cursor"),
        ("cursor=%C3%A9", "invalid_cursor"),
    ],
)
def test_queries_that_are_refused(service: Service, token: str, query: str, code: str) -> None:
    """A query that is not understood wholly is refused."""
    answer = service.call("GET", f"{SIGILS}?{query}", token=token)
    assert (answer.status, answer.json["code"]) == (400, code)


def test_revoke(service: Service, token: str) -> None:
    """A revocation says who and why; a second one changes nothing."""
    record = service.encode({"a": 1}, token=token)
    path = f"{SIGILS}/{record['id']}/revoke"
    first = service.call("POST", path, {"reason": "key leaked \U0001f600\n"}, token=token)
    assert first.status == 200
    shown = first.json
    assert (shown["status"], shown["revoked_by"], shown["revoked_reason"]) == (
        "revoked",
        "tester",
        "key leaked \U0001f600\n",
    )
    second = service.call("POST", path, {"reason": "another"}, token=token)
    assert second.json == shown
    full = service.call("GET", f"{SIGILS}/{record['id']}", token=token).json
    assert full["revoked_reason"] == "key leaked \U0001f600\n"


@pytest.mark.parametrize("reason", ["", "x" * 501, 1, None, "nul \0"])
def test_reasons_that_are_refused(service: Service, token: str, reason: object) -> None:
    """A revocation needs a reason of sensible length."""
    record = service.encode({}, token=token)
    answer = service.call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": reason}, token=token)
    assert (answer.status, answer.json["code"], answer.json["pointer"]) == (422, "invalid_request", "/reason")
    longest = service.call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "\u00e9" * 500}, token=token)
    assert longest.status == 200


CHANGES = [
    "payload = CAST('{\"a\":2}' AS BLOB)",
    "payload = x''",
    "payload = CAST('{\"a\":1' AS BLOB)",
    "payload = '{\"a\":1}'",
    "created_at_ms = 'yesterday'",
    "sigil = (SELECT sigil FROM sigils WHERE tenant = 'acme' ORDER BY id LIMIT 1)",
    "sigil = 'nonsense'",
    "canonical_sha256 = x'00'",
    "expires_at_ms = 4102444800000",
    "issued_at_ms = issued_at_ms - 1",
    "key_id = 1",
    "tenant = 'globex'",
]


def test_stored_records_are_checked(new_service: Callable[..., Service]) -> None:
    """A record that was changed in the database is withheld, whatever was changed."""
    service = new_service().start()
    token = service.token()
    ids = [service.encode({"a": 1}, token=token)["id"] for _ in range(len(CHANGES) + 1)]
    with sqlite3.connect(service.data_dir / "sigils.db") as connection:
        for record_id, change in zip(ids[1:], CHANGES, strict=True):
            done = connection.execute(
                f"UPDATE sigils SET {change} WHERE id = ?",  # noqa: S608
                [bytes.fromhex(record_id.replace("-", ""))],
            )
            assert done.rowcount == 1
    connection.close()
    assert service.call("GET", f"{SIGILS}/{ids[0]}", token=token).status == 200
    for record_id, change in zip(ids[1:], CHANGES, strict=True):
        moved = service.token("globex") if change.startswith("tenant") else token
        answer = service.call("GET", f"{SIGILS}/{record_id}", token=moved)
        assert (answer.status, answer.json["code"]) == (500, "record_corrupt"), change
        assert "data" not in answer.json
    assert len(service.logged("request failed")) == len(CHANGES)


def test_damaged_records_in_a_listing(new_service: Callable[..., Service]) -> None:
    """A damaged record is withheld by its id, audited and logged; pages of any size go on behind it."""
    service = new_service().start()
    token = service.token()
    ids = [service.encode({"n": n}, token=token)["id"] for n in range(5)][::-1]
    changes = {1: "created_at_ms = 'yesterday'", 2: "created_at_ms = 1 << 62", 4: "key_id = 'x'"}
    with contextlib.closing(sqlite3.connect(service.data_dir / "sigils.db")) as connection, connection:
        for place, change in changes.items():
            key = bytes.fromhex(ids[place].replace("-", ""))
            connection.execute(f"UPDATE sigils SET {change} WHERE id = ?", [key])  # noqa: S608
    for limit in (1, 2, 50):
        shown: list[Any] = []
        withheld: list[Any] = []
        query = f"?limit={limit}"
        for _ in ids:
            page = service.call("GET", SIGILS + query, token=token).json
            assert len(page["sigils"]) + len(page.get("withheld", [])) <= limit
            assert page.get("withheld") != []
            shown += [record["id"] for record in page["sigils"]]
            withheld += page.get("withheld", [])
            if page["next_cursor"] is None:
                break
            query = f"?limit={limit}&cursor={page['next_cursor']}"
        assert shown == [ids[0], ids[3]]
        assert withheld == [ids[1], ids[2], ids[4]]
    assert [line["id"] for line in service.logged("record withheld")] == [ids[1], ids[2], ids[4]] * 3
    service.stop()
    lines = map(json.loads, (service.data_dir / "audit.jsonl").read_text().splitlines())
    noted = [line["sigil_id"] for line in lines if line["event"] == "sigil.withheld"]
    assert noted == [ids[1], ids[2], ids[4]] * 3


def test_records_after_a_rotation(new_service: Callable[..., Service]) -> None:
    """With the earlier secret named, old records are served; without it they are withheld."""
    old, new = "o" * 32, "n" * 32
    service = new_service(SPIRAL_EVENT_SECRET=old).start()
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    service.stop()
    service.variables |= {"SPIRAL_EVENT_SECRET": new, "SPIRAL_EVENT_SECRET_PREVIOUS": old}
    service.start()
    assert service.call("GET", f"{SIGILS}/{record['id']}", token=token).status == 200
    verdict = service.verify(record["sigil"], {"a": 1}, token=token)
    assert (verdict["valid"], verdict["key_state"]) == (True, "verify-only")
    assert service.encode({"a": 1}, token=token)["key_id"] != record["key_id"]
    service.stop()
    del service.variables["SPIRAL_EVENT_SECRET_PREVIOUS"]
    service.start()
    answer = service.call("GET", f"{SIGILS}/{record['id']}", token=token)
    assert (answer.status, answer.json["code"]) == (500, "record_unverifiable")
    assert service.verify(record["sigil"], {"a": 1}, token=token)["reason"] == "unknown_key"
