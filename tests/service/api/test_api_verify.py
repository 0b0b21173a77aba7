"""Verification over HTTP."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from sigil_native import KeyRing, SigilCodec
from tests.service.running import SIGILS, Service
from tests.sigils import as_strand, as_text, as_token, make_id, make_sigil

EVENT: dict[str, Any] = {"type": "order.paid", "amount": 1299.5}


@pytest.fixture
def token(service: Service, tenant: str) -> str:
    """A token with every role."""
    return service.token(tenant)


def codec(secret: str = "s" * 32) -> SigilCodec:
    """A codec outside the service."""
    ring = KeyRing()
    ring.add(secret)
    return SigilCodec(ring)


def aspects(verdict: dict[str, Any]) -> tuple[Any, ...]:
    """The verdict without the sigil's fields."""
    names = ("valid", "reason", "signature", "time", "key_state", "revocation")
    return tuple(verdict[name] for name in names)


def test_a_good_sigil(service: Service, token: str) -> None:
    """A sigil of the service holds, and its fields are given."""
    record = service.encode(EVENT, token=token, expires_in=60)
    verdict = service.verify(record["sigil"], EVENT, token=token)
    assert aspects(verdict) == (True, None, "valid", "valid", "active", "not_revoked")
    for name in ("id", "key_id", "issued_at", "expires_at", "canonical_sha256"):
        assert verdict[name] == record[name]


@pytest.mark.parametrize("form", ["text", "strand", "token"])
def test_forms(service: Service, tenant: str, token: str, form: str) -> None:
    """Every text form of a sigil verifies, also of one that was sealed elsewhere."""
    sigil = codec().encode(EVENT, tenant=tenant, form=form)
    verdict = service.verify(str(sigil), EVENT, token=token)
    assert aspects(verdict) == (True, None, "valid", "valid", "active", "not_recorded")


@pytest.mark.parametrize("form", [as_text, as_strand, lambda raw: as_token(raw, b"{}")])
def test_times_without_a_text(
    service: Service, tenant: str, token: str, form: Callable[[bytes], str]
) -> None:
    """Where a seal of another's lasts beyond the year 9999, its verdict says 9999, and others have theirs."""
    now, last = int(time.time() * 1000), "9999-12-31T23:59:59.999Z"
    lines, expected = [], []
    for issued, expires in ((now, 2**64 - 1), (now, 253402300800000), (now, 0), (2**48 - 1, 0)):
        raw = make_sigil(
            b"{}", secret=b"s" * 32, tenant=tenant, expires_ms=expires, identifier=make_id(issued)
        )
        lines.append(json.dumps({"sigil": form(raw), "data": {}}))
        verdict = service.verify(form(raw), {}, token=token)
        assert verdict["valid"] == (issued == now)
        assert verdict["expires_at"] == (last if expires else None)
        assert (verdict["issued_at"] == last) == (issued != now)
        expected.append(verdict)
    answer = service.call(
        "POST",
        f"{SIGILS}/verify/batch",
        "\n".join(lines),
        token=token,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert [json.loads(line) for line in answer.body.splitlines()] == expected


def test_a_token_carries_its_payload(service: Service, tenant: str, token: str) -> None:
    """A token verifies alone; changed, it does not; another sigil needs its payload."""
    sigil = str(codec().encode(EVENT, tenant=tenant, form="token"))
    path = f"{SIGILS}/verify"
    assert service.call("POST", path, {"sigil": sigil}, token=token).json["valid"] is True
    assert service.verify(sigil, {**EVENT, "amount": 1}, token=token)["reason"] == "tag_mismatch"
    other = str(codec().encode({"a": 1}, tenant=tenant, form="token"))
    mixed = sigil[:91] + other[91:]
    assert service.call("POST", path, {"sigil": mixed}, token=token).json["reason"] == "tag_mismatch"
    for broken in (sigil[:91] + ".", sigil[:91] + ".!!!", sigil[:91] + ".e30x", "."):
        verdict = service.call("POST", path, {"sigil": broken}, token=token).json
        assert (verdict["valid"], verdict["reason"], verdict["canonical_sha256"]) == (False, "format", None)
    answer = service.call("POST", path, {"sigil": sigil[:91]}, token=token)
    assert (answer.status, answer.json["code"]) == (422, "data_missing")


def test_changed_payload(service: Service, token: str) -> None:
    """Another payload is refused, and nothing of the sigil is confirmed."""
    record = service.encode(EVENT, token=token)
    verdict = service.verify(record["sigil"], {**EVENT, "amount": 1299.51}, token=token)
    assert aspects(verdict) == (False, "tag_mismatch", "invalid", "unchecked", "active", "unchecked")
    assert verdict["id"] is verdict["issued_at"] is None


def test_every_changed_character(service: Service, token: str) -> None:
    """A sigil with any one character changed is refused."""
    sigil = service.encode(EVENT, token=token)["sigil"]
    for at in range(0, len(sigil), 7):
        changed = sigil[:at] + ("A" if sigil[at] != "A" else "B") + sigil[at + 1 :]
        assert service.verify(changed, EVENT, token=token)["valid"] is False, at


@pytest.mark.parametrize(
    "sigil", ["", "x", "sgl1_", "sgl1_" + "A" * 86, "ACGT" * 64, "\u00e9" * 91, "sgl1_" + "_" * 86, "\0" * 91]
)
def test_what_is_no_sigil(service: Service, token: str, sigil: str) -> None:
    """Text that is no sigil is an answer, not an error."""
    assert aspects(service.verify(sigil, EVENT, token=token))[:2] == (False, "format")


def test_another_tenant(service: Service, token: str) -> None:
    """A sigil of one tenant does not hold for another."""
    record = service.encode(EVENT, token=token)
    verdict = service.verify(record["sigil"], EVENT, token=service.token("somebody else"))
    assert aspects(verdict)[:2] == (False, "tag_mismatch")


def test_expired(service: Service, token: str) -> None:
    """After its lifetime a sigil is genuine but invalid."""
    record = service.encode(EVENT, token=token, expires_in=0.05)
    time.sleep(0.1)
    verdict = service.verify(record["sigil"], EVENT, token=token)
    assert aspects(verdict) == (False, "expired", "valid", "expired", "active", "not_revoked")
    assert verdict["id"] == record["id"]


def test_revoked(service: Service, token: str) -> None:
    """A revoked sigil is genuine but invalid."""
    record = service.encode(EVENT, token=token)
    service.call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "stolen"}, token=token)
    verdict = service.verify(record["sigil"], EVENT, token=token)
    assert aspects(verdict) == (False, "revoked", "valid", "valid", "active", "revoked")


def test_unknown_key(service: Service, tenant: str, token: str) -> None:
    """A sigil of another secret names a key that is unknown."""
    sigil = str(codec("z" * 32).encode(EVENT, tenant=tenant))
    verdict = service.verify(sigil, EVENT, token=token)
    assert aspects(verdict) == (False, "unknown_key", "unchecked", "unchecked", "unknown", "unchecked")


def test_store_that_cannot_answer(new_service: Callable[..., Service]) -> None:
    """While revocations cannot be looked up no sigil is valid, though its seal is; then all is as before."""
    service = new_service().start()
    token = service.token()
    record = service.encode(EVENT, token=token)
    database = sqlite3.connect(service.data_dir / "sigils.db")
    database.execute("ALTER TABLE sigils RENAME TO gone")
    verdict = service.verify(record["sigil"], EVENT, token=token)
    assert aspects(verdict) == (False, "revocation_unknown", "valid", "valid", "active", "unknown")
    assert service.verify(record["sigil"], {}, token=token)["reason"] == "tag_mismatch"
    for method, path, body in (
        ("GET", SIGILS, None),
        ("GET", f"{SIGILS}/{record['id']}", None),
        ("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "x"}),
        ("POST", SIGILS, {"data": {}}),
    ):
        answer = service.call(method, path, body, token=token)
        assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert "gone" not in answer.json["detail"]
    database.execute("ALTER TABLE gone RENAME TO sigils")
    assert service.verify(record["sigil"], EVENT, token=token)["valid"]
    with database:
        database.execute("UPDATE sigils SET revoked_at_ms = 'x'")
    database.close()
    verdict = service.verify(record["sigil"], EVENT, token=token)
    assert aspects(verdict) == (False, "revocation_unknown", "valid", "valid", "active", "unknown")


@pytest.mark.parametrize(
    "body",
    [
        '{"sigil":1,"data":{}}',
        '{"data":{}}',
        '{"sigil":"x","data":[]}',
        '{"sigil":"x","data":{},"now":1}',
        '{"sigil":"x","data":null}',
    ],
)
def test_requests_that_are_refused(service: Service, token: str, body: str) -> None:
    """A request of another form is refused before any sigil is looked at."""
    answer = service.call("POST", f"{SIGILS}/verify", body, token=token)
    assert (answer.status, answer.json["code"]) == (422, "invalid_request")
