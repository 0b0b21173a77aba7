"""What holds for every request: ids, methods, paths, headers, health."""

from __future__ import annotations

import http.client
import os
import re
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sigil_native import KeyRing, SigilCodec
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from tests.service.running import SIGILS, Service


@pytest.mark.parametrize("sent", ["abc", "A-1._:/+=@", "0" * 128])
def test_request_id_is_kept(service: Service, sent: str) -> None:
    """A well-formed request id comes back, in header and problem."""
    answer = service.call("GET", "/nowhere", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] == answer.json["request_id"] == sent


@pytest.mark.parametrize("sent", [None, "", "a b", "0" * 129, "<script>", "\u00e9"])
def test_request_id_is_made(service: Service, sent: str | None) -> None:
    """Without a well-formed request id the service makes one, another for each request."""
    headers = {} if sent is None else {"X-Request-Id": sent.encode().decode("latin-1")}
    made = {service.call("GET", "/healthz", headers=headers).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_every_answer_is_safe(service: Service) -> None:
    """Browsers neither sniff, cache, frame, run nor share answers, errors included; none names the server."""
    for path in ("/healthz", "/nowhere", SIGILS):
        headers = service.call("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", SIGILS, "GET, HEAD, POST"),
        ("DELETE", f"{SIGILS}/01a2055d-a677-77cf-8eb5-b77baa93967c", "GET, HEAD"),
        ("GET", f"{SIGILS}/x/revoke", "POST"),
        ("GET", f"{SIGILS}/verify", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", SIGILS, "GET, HEAD, POST"),
        ("PROPFIND", "/openapi.json", "GET, HEAD"),
    ],
)
def test_methods(service: Service, method: str, path: str, allow: str) -> None:
    """Another method is refused with the list of those that a path has."""
    answer = service.call(method, path)
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize(
    "path", ["/", "/api", SIGILS + "/", SIGILS + "/a/b", "/healthz/", "/docs/", "//healthz", "/%00"]
)
def test_paths(service: Service, path: str) -> None:
    """Paths that do not exist are problems, and nothing is redirected."""
    answer = service.call("GET", path, token=service.token())
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.json["type"] == "/docs/problems/not_found"
    assert answer.json["status"] == 404


def test_health(service: Service) -> None:
    """Health and readiness need no token."""
    assert service.call("GET", "/healthz").json == {"status": "ok"}
    assert service.call("GET", "/readyz").json == {
        "status": "ready",
        "store": "ok",
        "keys": "ok",
        "audit": "ok",
        "limits": "ok",
        "spool": "off",
        "spool_rejected": 0,
    }
    assert service.call("HEAD", "/readyz").status == 200


def test_no_key_that_may_sign(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """With keys that only verify, encode and readiness answer 503; verify goes on."""
    ring = tmp_path / "ring.json"
    entry = KeyEntry(b"v" * 32, "verify-only")
    write_key_ring_file(ring, [entry])
    service = new_service(SIGIL_KEYRING=str(ring)).start()
    token = service.token()
    refused = service.call("POST", SIGILS, {"data": {}}, token=token)
    assert (refused.status, refused.json["code"]) == (503, "no_active_key")
    assert int(refused.headers["retry-after"]) > 0
    ready = service.call("GET", "/readyz")
    assert (ready.status, ready.json["code"]) == (503, "not_ready")
    elsewhere = KeyRing()
    elsewhere.add(entry.secret)
    sigil = str(SigilCodec(elsewhere).encode({}, tenant="acme"))
    assert service.verify(sigil, {}, token=token)["valid"]


def test_keep_alive_after_errors(service: Service) -> None:
    """A connection outlives refused requests, large bodies included."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    token = service.token("keep-alive")
    for body, status in ((b"{", 400), (b"x" * (1 << 21), 413), (b'{"data":{}}', 201)):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", SIGILS, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_client_that_goes_away(service: Service) -> None:
    """A client that hangs up in the middle of its body leaves no trace in the log."""
    before = service.log_path.read_text()
    token = service.token("gone")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"data"'.encode()
        )
    assert service.call("GET", SIGILS, token=token).json["sigils"] == []
    assert service.log_path.read_text() == before


def test_database_deleted(new_service: Callable[..., Service]) -> None:
    """Without its database the service acknowledges nothing, and readiness says why."""
    service = new_service().start()
    token = service.token()
    kept = service.encode({"a": 1}, token=token)
    (service.data_dir / "sigils.db").unlink()
    refused = service.call("POST", SIGILS, {"data": {"a": 2}}, token=token)
    assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
    ready = service.call("GET", "/readyz")
    assert (ready.status, ready.json["code"]) == (503, "not_ready")
    assert "store_unavailable" in ready.json["detail"]
    assert "replaced" in service.logged("request failed")[-1]["cause"]
    assert service.verify(kept["sigil"], {"a": 1}, token=token)["reason"] == "revocation_unknown"


def test_full_disk(new_service: Callable[..., Service]) -> None:
    """On a full disk encodes get 503 and readiness says so, reads go on; then everything works again."""
    service = new_service(SIGIL_AUDIT_FAILURE="open").start()
    token = service.token()
    kept = service.encode({"a": 1}, token=token)
    unlimited = resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    for _ in range(2):
        answer = service.call("POST", SIGILS, {"data": {"a": 2}}, token=token)
        assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    ready = service.call("GET", "/readyz")
    assert (ready.status, ready.json["code"]) == (503, "not_ready")
    assert service.call("GET", "/healthz").status == 200
    assert service.call("GET", f"{SIGILS}/{kept['id']}", token=token).status == 200
    assert service.verify(kept["sigil"], {"a": 1}, token=token)["valid"]
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, unlimited)
    later = service.encode({"a": 3}, token=token)
    shown = service.call("GET", SIGILS, token=token).json["sigils"]
    assert [record["id"] for record in shown] == [later["id"], kept["id"]]
    assert os.path.exists(service.data_dir / "sigils.db-wal")  # noqa: PTH110
