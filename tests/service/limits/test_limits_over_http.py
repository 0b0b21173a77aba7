"""Limits of users, tenants and addresses, as clients of a running service meet them."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.redis import wait_until
from tests.service.limits.limited import STILL, audited, left, listed, stands, statuses, write_overrides
from tests.service.running import SIGILS, Service

USER, TENANT, ADDRESS = 5, 12, 6
#: A user of this tenant gets a request back in half a second.
QUICK = {"user": {"limit": 72_000, "burst": 2}}

_addresses = (f"198.51.100.{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits, which takes this machine for a proxy. Each test has its own tenants."""
    folder = tmp_path_factory.mktemp("strict")
    write_overrides(folder / "overrides.json", {"quick": QUICK})
    running = Service(
        folder,
        **STILL,
        SPIRAL_EVENT_SECRET="s" * 32,
        SIGIL_RATE_LIMIT=str(USER),
        SIGIL_TENANT_RATE_LIMIT=str(TENANT),
        SIGIL_ADDRESS_RATE_LIMIT=str(ADDRESS),
        SIGIL_TRUSTED_PROXIES="127.0.0.1",
        SIGIL_RATE_OVERRIDES=str(folder / "overrides.json"),
        SIGIL_RELOAD_SECONDS="0",
    ).start()
    yield running
    assert running.stop() == 0
    assert not running.logged("request failed")


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return next(_addresses)


def test_a_user_gets_its_limit(strict: Service, tenant: str) -> None:
    """Good and bad answers count alike and tell what is left, which is true; then 429, for this user only."""
    token = strict.token(tenant)
    reader = strict.token(tenant, "sigil:read")
    answers = [
        strict.call("POST", SIGILS, {"data": {}}, token=token),
        strict.call("POST", SIGILS, {"data": {}}, token=reader),
        strict.call("GET", f"{SIGILS}/unknown", token=token),
        strict.call("POST", SIGILS, b"{", token=token),
        strict.call("GET", f"{SIGILS}?limit=0", token=token),
    ]
    assert [answer.status for answer in answers] == [201, 403, 404, 400, 400]
    for count, answer in enumerate(answers, start=1):
        assert answer.headers["ratelimit-policy"] == '"user";q=5;w=36000, "tenant";q=12;w=36000'
        assert left(answer) == {"user": USER - count, "tenant": TENANT - count}
        assert answer.headers["x-ratelimit-limit"] == str(USER)
        assert answer.headers["x-ratelimit-remaining"] == str(USER - count)
        assert "retry-after" not in answer.headers
    refused = strict.call("POST", SIGILS, {"data": {}}, token=token)
    assert refused.status == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json["code"], refused.json["detail"]) == (
        "rate_limited",
        "the limit of this user is used up",
    )
    assert left(refused) == {"user": 0, "tenant": TENANT - USER}
    assert 1 < int(refused.headers["retry-after"]) <= 7200
    assert all(seconds <= int(refused.headers["retry-after"]) for _, seconds in stands(refused).values())
    other = listed(strict, strict.token(tenant, subject="other"))
    assert left(other) == {"user": USER - 1, "tenant": TENANT - USER - 1}
    (line,) = audited(strict, "rate.refused", 1, tenant=tenant)
    assert (line["reason"], line["subject"], line["peer"]) == ("user", "tester", "127.0.0.1")
    assert line["request_id"] == refused.headers["x-request-id"]
    assert "shadow" not in line


def test_a_tenant_gets_its_limit(strict: Service, tenant: str) -> None:
    """All users of a tenant share its limit; other tenants do not feel it."""
    found = [
        status
        for subject in ("a", "b", "c")
        for status in statuses(strict, strict.token(tenant, subject=subject), USER)
    ]
    assert found == [200] * TENANT + [429] * (3 * USER - TENANT)
    refused = listed(strict, strict.token(tenant, subject="c"))
    assert refused.json["detail"] == "the limit of this tenant is used up"
    # What the tenant's limit refused has not taken the user's own.
    assert left(refused) == {"user": USER - 2, "tenant": 0}
    assert listed(strict, strict.token(f"not {tenant}")).status == 200


def test_who_waits_as_long_as_told_is_let_in(strict: Service) -> None:
    """After the seconds that a refusal names the same request is allowed."""
    token = strict.token("quick")
    answers = [listed(strict, token) for _ in range(6)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"].startswith('"user";q=72000;w=36000;sigil-burst=2, ')
    time.sleep(1)
    assert listed(strict, token).status == 200


def test_body_of_a_refused_request_is_not_read(strict: Service, tenant: str) -> None:
    """The refusal comes before the body, which the client is not asked for."""
    token = strict.token(tenant)
    assert statuses(strict, token, USER) == [200] * USER
    head = (
        f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n"
        "Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 429"


def test_tokens_that_prove_nothing_cost_their_address(strict: Service, address: str) -> None:
    """Refused tokens, missing ones and tokens without a tenant use up the address's limit: then 429."""
    good = strict.token()
    forged = good[:-4] + "AAAA"
    refused = [listed(strict, token, address=address) for token in (None, "x", forged, strict.token(""))]
    assert [answer.status for answer in refused] == [401, 401, 401, 403]
    assert [left(answer) for answer in refused] == [{"address": ADDRESS - count} for count in (1, 2, 3, 4)]
    assert statuses(strict, forged, 3, address=address) == [401, 401, 429]
    answer = listed(strict, forged, address=address)
    assert answer.json["detail"] == "the limit of this address is used up"
    assert answer.headers["ratelimit-policy"] == '"address";q=6;w=36000'
    assert int(answer.headers["retry-after"]) > 1
    assert "www-authenticate" not in answer.headers
    (one, two) = audited(strict, "rate.refused", 2, address=address)
    assert (one["reason"], two["request_id"]) == ("address", answer.headers["x-request-id"])
    assert {"tenant", "subject"}.isdisjoint(one)


def test_good_tokens_beside_a_bad_neighbour(strict: Service, tenant: str, address: str) -> None:
    """A token that is known to be good is let in from an address whose limit is used up; a new one is not."""
    known, new = strict.token(tenant), strict.token(tenant, subject="new")
    assert listed(strict, known, address=address).status == 200
    assert statuses(strict, "x", ADDRESS + 1, address=address) == [401] * ADDRESS + [429]
    answer = listed(strict, known, address=address)
    assert (answer.status, left(answer)["user"]) == (200, USER - 2)
    assert listed(strict, new, address=address).status == 429
    assert listed(strict, new, address=next(_addresses)).status == 200
    assert listed(strict, new, address=address).status == 200


def test_good_tokens_cost_their_address_nothing(strict: Service, tenant: str, address: str) -> None:
    """Any number of new good tokens may come from one address."""
    tokens = [strict.token(f"{tenant} {number}") for number in range(ADDRESS + 2)]
    assert [listed(strict, token, address=address).status for token in tokens] == [200] * len(tokens)
    assert left(listed(strict, None, address=address)) == {"address": ADDRESS - 1}


def test_pages_and_what_does_not_exist_cost_their_address(strict: Service, address: str) -> None:
    """Public pages, unknown paths and unknown methods count; then probes alone get through."""
    headers = {"X-Forwarded-For": address}
    asked = [
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("PUT", SIGILS),
        ("POST", "/docs"),
    ]
    answers = [strict.call(method, path, headers=headers) for method, path in asked]
    assert [answer.status for answer in answers] == [200, 200, 404, 405, 405]
    assert [left(answer)["address"] for answer in answers] == [5, 4, 3, 2, 1]
    assert statuses(strict, None, 2, address=address, path="/docs") == [200, 429]
    for method, path in (*asked, ("PUT", "/healthz")):
        assert strict.call(method, path, headers=headers).status == 429, path
    for path in ("/healthz", "/readyz"):
        for _ in range(2 * ADDRESS):
            answer = strict.call("GET", path, headers=headers)
            assert answer.status == 200
            assert "ratelimit" not in answer.headers


def test_addresses_of_one_customer(strict: Service, address: str) -> None:
    """An IPv6 network of /64 counts as one, IPv4 in IPv6 as itself; what the client wrote does not matter."""
    assert statuses(strict, None, 1, address="2001:db8:1:1::1") == [401]
    assert left(listed(strict, None, address="2001:db8:1:1:ffff::2")) == {"address": ADDRESS - 2}
    assert left(listed(strict, None, address="2001:db8:1:2::1")) == {"address": ADDRESS - 1}
    assert left(listed(strict, None, address=f"::ffff:{address}")) == {"address": ADDRESS - 1}
    assert left(listed(strict, None, address=f"203.0.113.99, {address}")) == {"address": ADDRESS - 2}


def test_changed_overrides(strict: Service, tenant: str) -> None:
    """Overrides are taken up on SIGHUP; a file that cannot be used leaves the last good one in use."""
    path = strict.folder / "overrides.json"
    token = strict.token(tenant)
    assert left(listed(strict, token)) == {"user": 4, "tenant": 11}
    more = {"user": {"limit": 50}, "tenant": {"limit": 100, "burst": 70}}
    write_overrides(path, {"quick": QUICK, tenant: more})
    os.kill(strict.pid, signal.SIGHUP)
    wait_until(lambda: bool(strict.logged("rate limits changed")))
    (line,) = strict.logged("rate limits changed")
    assert line["added"] == f"{tenant} user 50 in 36000 s, tenant 100 in 36000 s, 70 at once"
    assert left(listed(strict, token)) == {"user": 49, "tenant": 69}
    assert audited(strict, "limits.changed", 1)[-1]["added"] == line["added"]
    path.write_text('{"version":1,"tenants":{"x":{"user":{"limit":-1}}}}')
    os.kill(strict.pid, signal.SIGHUP)
    wait_until(lambda: bool(strict.logged("rate limits refused")))
    (line,) = strict.logged("rate limits refused")
    assert "$.tenants" in line["cause"]
    assert left(listed(strict, token)) == {"user": 48, "tenant": 68}
    assert audited(strict, "limits.refused", 1)[-1]["reason"] == "unusable"
    write_overrides(path, {"quick": QUICK})
    os.kill(strict.pid, signal.SIGHUP)
    wait_until(lambda: len(strict.logged("rate limits changed")) == 2)
    # Other quotas are other buckets.
    assert left(listed(strict, token)) == {"user": 3, "tenant": 10}


def test_shadow(tmp_path: Path) -> None:
    """Limits that only count refuse nobody and say nothing to callers; log and audit tell what would be."""
    service = Service(
        tmp_path, **STILL, SIGIL_RATE_LIMIT="2", SIGIL_ADDRESS_RATE_LIMIT="1", SIGIL_RATE_MODE="shadow"
    ).start()
    try:
        token = service.token()
        answers = [listed(service, token) for _ in range(4)] + [listed(service, None) for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 4 + [401] * 3
        names = {name for answer in answers for name in answer.headers}
        assert not {name for name in names if "ratelimit" in name or name == "retry-after"}
        refused = [(line["reason"], line["shadow"]) for line in audited(service, "rate.refused", 4)]
        assert refused == [("user", True)] * 2 + [("address", True)] * 2
        assert len(service.logged("rate limits would refuse")) == 1
        assert service.call("GET", "/readyz").json["limits"] == "ok"
    finally:
        service.kill()


def test_off(tmp_path: Path) -> None:
    """Limits that are switched off refuse nobody, say nothing, and readiness tells."""
    service = Service(
        tmp_path, SIGIL_RATE_LIMIT="1", SIGIL_ADDRESS_RATE_LIMIT="1", SIGIL_RATE_MODE="off"
    ).start()
    try:
        answers = [listed(service, token) for token in (service.token(), None) for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3 + [401] * 3
        assert not {name for answer in answers for name in answer.headers if "ratelimit" in name}
        assert service.call("GET", "/readyz").json["limits"] == "off"
    finally:
        service.kill()
