"""Real webhook bodies, sealed by curl through the running service."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from sigil_native import KeyRing, SigilCodec, TagMismatchError, canonicalize_json
from tests.service.running import SIGILS, Service
from tests.shared_data import shared

SECRET = "a secret that service and auditor share"
BODIES = sorted(shared("github-webhooks", "payloads").glob("*.json"))


class Sealed(NamedTuple):
    """A body that was sealed: its text, and the records of a lasting and a short-lived sigil."""

    name: str
    text: bytes
    record: dict[str, Any]
    brief: dict[str, Any]


def curl(service: Service, path: str, body: bytes, token: str) -> Any:
    """POST with curl; the answer's JSON."""
    headers = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json")
    done = subprocess.run(
        ["curl", "-sS", service.url + path, *headers, "--data-binary", "@-"],
        input=body,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def envelope(text: bytes, **members: object) -> bytes:
    """A request body around a payload whose bytes stay as they are."""
    return json.dumps(members).encode()[:-1] + (b"," if members else b"") + b'"data":' + text + b"}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of these tests' own, as they kill it."""
    service = Service(tmp_path_factory.mktemp("webhooks"), SPIRAL_EVENT_SECRET=SECRET).start()
    yield service
    service.kill()


@pytest.fixture(scope="module")
def sealed(running: Service) -> list[Sealed]:
    """All bodies, sealed once for ever and once for a millisecond."""
    token = running.token("github")
    made = []
    for path in BODIES:
        text = path.read_bytes()
        record = curl(running, SIGILS, envelope(text), token)
        brief = running.call("POST", SIGILS, envelope(text, expires_in=0.001), token=token).json
        made.append(Sealed(path.name, text, record, brief))
    return made


def auditor() -> SigilCodec:
    """The library, offline, with the service's secret."""
    ring = KeyRing()
    ring.add(SECRET)
    return SigilCodec(ring)


def verdict(service: Service, sigil: str, text: bytes, token: str) -> Any:
    """What the service says."""
    answer = service.call("POST", f"{SIGILS}/verify", envelope(text, sigil=sigil), token=token)
    assert answer.status == 200, answer.body
    return answer.json


def changed(text: bytes) -> bytes:
    """The body with one byte changed, inside a string so that it stays JSON."""
    at = text.index(b'"', len(text) // 2)
    while not text[at : at + 1].isalpha():
        at += 1
    return text[:at] + (b"x" if text[at : at + 1] != b"x" else b"y") + text[at + 1 :]


def test_all_were_sealed(sealed: list[Sealed]) -> None:
    """Each of the 24 bodies got a sigil of its own."""
    assert len(BODIES) == 24
    assert len({one.record["id"] for one in sealed}) == 24


def test_offline(sealed: list[Sealed]) -> None:
    """The library verifies each without the service, and refuses it after one changed byte."""
    codec = auditor()
    for one in sealed:
        assert codec.verify_json(one.record["sigil"], one.text, tenant="github").id == one.record["id"]
        with pytest.raises(TagMismatchError):
            codec.verify_json(one.record["sigil"], changed(one.text), tenant="github")
        with pytest.raises(TagMismatchError):
            codec.verify_json(one.record["sigil"], one.text, tenant="gitlab")


def test_by_the_service(running: Service, sealed: list[Sealed]) -> None:
    """The service verifies each, and refuses it after one changed byte and for another tenant."""
    token, other = running.token("github"), running.token("gitlab")
    for one in sealed:
        sigil = one.record["sigil"]
        assert verdict(running, sigil, one.text, token)["valid"] is True, one.name
        assert verdict(running, sigil, changed(one.text), token)["reason"] == "tag_mismatch", one.name
        assert verdict(running, sigil, one.text, other)["reason"] == "tag_mismatch", one.name


def test_after_expiry(running: Service, sealed: list[Sealed]) -> None:
    """After its millisecond each short-lived sigil is refused."""
    token = running.token("github")
    time.sleep(0.01)
    for one in sealed:
        assert verdict(running, one.brief["sigil"], one.text, token)["reason"] == "expired", one.name


def test_after_kill_and_revocation(running: Service, sealed: list[Sealed]) -> None:
    """After kill -9 and a restart each is there with its payload, verifies, and can be revoked for good."""
    running.kill()
    running.start()
    token = running.token("github")
    for one in sealed:
        record_id = one.record["id"]
        answer = running.call("GET", f"{SIGILS}/{record_id}", token=token)
        assert answer.status == 200
        kept = canonicalize_json(json.dumps(answer.json["data"]))
        assert kept == canonicalize_json(one.text), one.name
        assert verdict(running, one.record["sigil"], one.text, token)["valid"] is True, one.name
        running.call("POST", f"{SIGILS}/{record_id}/revoke", {"reason": "test"}, token=token)
        assert verdict(running, one.record["sigil"], one.text, token)["reason"] == "revoked", one.name
    running.kill()
    running.start()
    for one in sealed:
        assert verdict(running, one.record["sigil"], one.text, token)["reason"] == "revoked", one.name
