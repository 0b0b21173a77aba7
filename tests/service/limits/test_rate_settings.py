"""The settings of rate limits: what cannot work is refused at the start, and nothing secret is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.limits.overrides import read_overrides
from core.limits.quota import Override, Quota, check_quota
from core.settings import load_settings
from tests.service.server.test_settings import GOOD, load, problems

OVERRIDES = {"version": 1, "tenants": {"acme": {"user": {"limit": 500, "burst": 800}}, "globex": {}}}


def named(found: list[str]) -> list[str]:
    """The variables that are complained about."""
    return [problem.partition(":")[0] for problem in found]


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a user has 200 requests in 10 seconds, a tenant ten times as many, an address 200."""
    settings = load(monkeypatch, **GOOD)
    assert settings.rate_mode == "enforce"
    assert settings.default_quotas.of("anybody") == (Quota(200, 10, 200), Quota(2000, 10, 2000))
    assert settings.address_quota == Quota(200, 10, 200)
    assert settings.redis_url is None
    assert set(settings.rate_outage.values()) == {"local"}
    few = load(monkeypatch, **GOOD, SIGIL_RATE_LIMIT="3", SIGIL_RATE_BURST="7", SIGIL_TENANT_RATE_BURST="9")
    assert few.default_quotas.of("anybody") == (Quota(3, 10, 7), Quota(30, 10, 9))


def test_all_mistakes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start reports every mistake, each with its variable's name, and no value."""
    found = problems(
        monkeypatch,
        **GOOD,
        SIGIL_RATE_MODE="maybe",
        SIGIL_RATE_LIMIT="0",
        SIGIL_RATE_WINDOW="1.5",
        SIGIL_ADDRESS_RATE_LIMIT="-1",
        SIGIL_RATE_CAPACITY="3",
        SIGIL_TRUSTED_PROXIES="10.0.0.0/8,10.1.2.3/8",
        SIGIL_RATE_OVERRIDES="/nowhere/overrides.json",
        SIGIL_RATE_FOLDER="/dev/null",
        SIGIL_RATE_OUTAGE="encode=hope",
        SIGIL_RATE_LOCAL_SHARE="0",
        SIGIL_RATE_LEASE="-1",
        SIGIL_RATE_CLIENT_TIME="hunter2",
        SIGIL_RATE_LIMITS="1",
        REDIS_URL="redis://user:hunter2@host:port",
    )
    assert sorted(set(named(found))) == [
        "REDIS_URL",
        "SIGIL_ADDRESS_RATE_LIMIT",
        "SIGIL_RATE_CAPACITY",
        "SIGIL_RATE_CLIENT_TIME",
        "SIGIL_RATE_FOLDER",
        "SIGIL_RATE_LEASE",
        "SIGIL_RATE_LIMIT",
        "SIGIL_RATE_LIMITS",
        "SIGIL_RATE_LOCAL_SHARE",
        "SIGIL_RATE_MODE",
        "SIGIL_RATE_OUTAGE",
        "SIGIL_RATE_OVERRIDES",
        "SIGIL_RATE_WINDOW",
        "SIGIL_TRUSTED_PROXIES",
    ]
    assert not any(value in "\n".join(found) for value in ("hunter2", "maybe", "10.1.2.3", "hope", "nowhere"))


@pytest.mark.parametrize(
    "variables",
    [
        {"SIGIL_RATE_BURST": "1000000000", "SIGIL_RATE_LIMIT": "1"},
        {"SIGIL_RATE_BURST": "202", "SIGIL_RATE_WINDOW": "31536000"},
        {"SIGIL_TENANT_RATE_BURST": "1000000000", "SIGIL_TENANT_RATE_LIMIT": "1"},
        {"SIGIL_RATE_WINDOW": "31536001"},
        {"SIGIL_RATE_LIMIT": "100000001"},
        {"SIGIL_TENANT_RATE_LIMIT": "1000000001"},
    ],
)
def test_quotas_that_no_limiter_keeps(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """A bucket that takes more than a leap year to fill, or a rate beyond all clocks, stops the start."""
    assert named(problems(monkeypatch, **GOOD, **variables)) == [next(iter(variables))]


@pytest.mark.parametrize("limit", [1, 7, 100_000_000])
@pytest.mark.parametrize("window", [1, 10, 365 * 86400])
def test_every_quota_that_is_taken_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, limit: int, window: int
) -> None:
    """Whatever the settings accept, tables and the Redis function can count."""
    settings = load(monkeypatch, **GOOD, SIGIL_RATE_LIMIT=str(limit), SIGIL_RATE_WINDOW=str(window))
    for quota in (*settings.default_quotas.of("anybody"), settings.address_quota):
        check_quota(quota)


def test_redis_url_is_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The URL may come from a file, is never shown, and is no part of the settings' digest."""
    digest = load(monkeypatch, **GOOD).digest()
    url = "redis://sigil:hunter2@127.0.0.1:6379/0"
    settings = load(monkeypatch, **GOOD, REDIS_URL=url)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert settings.digest() == digest
    monkeypatch.delenv("REDIS_URL")
    (tmp_path / "url").write_text(url + "\n")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
    assert load_settings().redis_url == settings.redis_url
    monkeypatch.setenv("REDIS_URL", url)
    assert problems(monkeypatch, **GOOD) == ["REDIS_URL_FILE: REDIS_URL is set too; set one of them"]


def test_names_of_others_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes and other programs name their own REDIS_ variables; these are not ours to judge."""
    load(monkeypatch, **GOOD, REDIS_PORT="tcp://10.0.0.1:6379", REDIS_PASSWORD="x")


def test_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """One policy is for all calls, and a class of calls may have its own."""
    url = {"REDIS_URL": "redis://127.0.0.1:1"}
    assert load(monkeypatch, **GOOD, **url, SIGIL_RATE_OUTAGE="deny").rate_outage == dict.fromkeys(
        ("encode", "verify", "read", "revoke"), "deny"
    )
    assert load(monkeypatch, **GOOD, **url, SIGIL_RATE_OUTAGE="encode=deny, read=allow").rate_outage == {
        "encode": "deny",
        "verify": "local",
        "read": "allow",
        "revoke": "local",
    }
    for bad in ("encode", "deny,allow", "encode=deny,encode=allow", "=deny", "delete=deny", ",", "deny,"):
        found = problems(monkeypatch, **GOOD, **url, SIGIL_RATE_OUTAGE=bad)
        assert named(found) == ["SIGIL_RATE_OUTAGE"], bad


def test_settings_that_would_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only means something together is refused alone."""
    found = problems(
        monkeypatch, **GOOD, SIGIL_RATE_OUTAGE="deny", SIGIL_RATE_LEASE="5", SIGIL_RATE_RESTART="keep"
    )
    assert sorted(named(found)) == ["SIGIL_RATE_LEASE", "SIGIL_RATE_OUTAGE", "SIGIL_RATE_RESTART"]


def test_pure_backend_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that could not share their limits would each grant all of them; so they do not start."""
    monkeypatch.setattr("sigil_native.backend", "pure")
    several = {"SIGIL_ENVIRONMENT": "development", "SIGIL_WORKERS": "2"}
    assert named(problems(monkeypatch, **several)) == ["SIGIL_WORKERS"]
    load(monkeypatch, **several, SIGIL_RATE_MODE="off")


def test_trusted_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are addresses, networks, and Unix sockets, between commas."""
    given = "10.0.0.0/8, 192.0.2.1,2001:db8::/32,unix"
    assert load(monkeypatch, **GOOD, SIGIL_TRUSTED_PROXIES=given).trusted_proxies == (
        "10.0.0.0/8",
        "192.0.2.1",
        "2001:db8::/32",
        "unix",
    )
    for bad in ("10.0.0.1/8", "all", "10.0.0.0/33", "10.0.0.1,,10.0.0.2", "proxy.example"):
        assert named(problems(monkeypatch, **GOOD, SIGIL_TRUSTED_PROXIES=bad)) == ["SIGIL_TRUSTED_PROXIES"]


def test_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file gives tenants limits of their own, each of the two optional, in the window of all."""
    path = tmp_path / "overrides.json"
    path.write_text(json.dumps(OVERRIDES))
    settings = load(monkeypatch, **GOOD, SIGIL_RATE_OVERRIDES=str(path), SIGIL_RATE_WINDOW="20")
    assert settings.rate_overrides == path
    assert read_overrides(path, 20) == {
        "acme": Override(Quota(500, 20, 800), None),
        "globex": Override(None, None),
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version":2,"tenants":{}}',
        '{"version":1,"tenants":{},"tenants":{}}',
        '{"version":1,"tenants":[]}',
        '{"version":1,"tenants":{"":{}}}',
        '{"version":1,"tenants":{"acme":{"users":{"limit":1}}}}',
        '{"version":1,"tenants":{"acme":{"user":{}}}}',
        '{"version":1,"tenants":{"acme":{"user":{"limit":0}}}}',
        '{"version":1,"tenants":{"acme":{"user":{"limit":"5"}}}}',
        '{"version":1,"tenants":{"acme":{"user":{"limit":5,"window":7}}}}',
        '{"version":1,"tenants":{"acme":{"tenant":{"limit":1,"burst":1000000000}}}}',
        json.dumps({"version": 1, "tenants": {f"t{n}": {"user": {"limit": n}} for n in range(1, 300)}}),
    ],
)
def test_overrides_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    """A file with anything wrong in it stops the start, all of it."""
    path = tmp_path / "overrides.json"
    path.write_text(content)
    assert named(problems(monkeypatch, **GOOD, SIGIL_RATE_OVERRIDES=str(path))) == ["SIGIL_RATE_OVERRIDES"]
