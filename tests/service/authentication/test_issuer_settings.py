"""Settings of issuers: what they mean, and every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme

from tests.service.server.test_settings import (
    GOOD,
    SECRET,
    load,
    only_native,  # noqa: F401 - holds here too
    problems,
)

ISSUERS: list[dict[str, object]] = [
    {"issuer": "https://a.example", "audience": "seals", "jwks_uri": "https://a.example/jwks"},
    {
        "issuer": "https://b.example",
        "audience": ["seals", "more"],
        "jwks_uri": "https://b.example/jwks",
        "algorithms": ["ES256"],
        "tenants": ["acme"],
        "tenant_claims": ["/organisation/id"],
        "role_claims": ["scp"],
        "leeway": 0,
    },
]
WITHOUT_JWT = {"SPIRAL_EVENT_SECRET": SECRET, "SIGIL_AUDIT_SECRET": "a" * 32}


def issuers(**changes: object) -> str:
    """The text of a list of issuers, the first with changes; None takes a member away."""
    first = {**ISSUERS[0], **changes}
    return json.dumps([{name: value for name, value in first.items() if value is not None}, ISSUERS[1]])


def test_one_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short form describes one issuer, with defaults that can be replaced."""
    (issuer,) = load(monkeypatch, **GOOD).issuers
    assert (issuer.issuer, issuer.audience, issuer.leeway) == ("https://issuer.example", ("sigil",), 60)
    assert len(issuer.algorithms) == 11
    assert issuer.tenants is None
    assert issuer.tenant_claims == ("tenantId", "tenant_id")
    assert issuer.role_claims == ("roles", "scope")
    (issuer,) = load(
        monkeypatch,
        **GOOD,
        JWT_ALGORITHMS="ES256, RS256",
        JWT_TENANT_CLAIMS="/a/b,https://issuer.example/tenant",
        JWT_ROLE_CLAIMS="scp",
        JWT_LEEWAY="300",
    ).issuers
    assert issuer.algorithms == {"ES256", "RS256"}
    assert issuer.tenant_claims == ("/a/b", "https://issuer.example/tenant")
    assert (issuer.role_claims, issuer.leeway) == (("scp",), 300)


def test_several_issuers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A list describes several, in a variable or in a file."""
    first, second = load(monkeypatch, **WITHOUT_JWT, JWT_ISSUERS=json.dumps(ISSUERS)).issuers
    assert (first.issuer, first.audience, first.tenants) == ("https://a.example", ("seals",), None)
    assert (second.audience, second.tenants) == (("seals", "more"), frozenset({"acme"}))
    assert (second.tenant_claims, second.role_claims, second.leeway) == (("/organisation/id",), ("scp",), 0)
    path = tmp_path / "issuers.json"
    path.write_text(json.dumps(ISSUERS, indent=2) + "\n")
    monkeypatch.delenv("JWT_ISSUERS")
    assert load(monkeypatch, **WITHOUT_JWT, JWT_ISSUERS_FILE=str(path)).issuers == (first, second)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("nonsense", ""),
        ("[]", ""),
        ("{}", ""),
        ("1", ""),
        ('["https://a.example"]', ""),
        ('[{"issuer":"a","issuer":"b"}]', ""),
        (json.dumps([ISSUERS[0], ISSUERS[0]]), ""),
        (issuers(issuer=None), ".0.issuer"),
        (issuers(issuer=""), ".0.issuer"),
        (issuers(issuer=1), ".0.issuer"),
        (issuers(audience=None), ".0.audience"),
        (issuers(audience=[]), ".0.audience"),
        (issuers(audience=["a", "a"]), ".0.audience"),
        (issuers(audience=[1]), ".0.audience.0"),
        (issuers(jwks_uri=None), ".0.jwks_uri"),
        (issuers(jwks_uri="http://a.example/jwks"), ""),
        (issuers(jwks_uri="http://127.0.0.1/jwks"), ""),
        (issuers(jwks_uri="https://u:hunter2@a.example/"), ".0.jwks_uri"),
        (issuers(algorithms=[]), ".0.algorithms"),
        (issuers(algorithms=["HS256"]), ".0.algorithms.0"),
        (issuers(algorithms=["none"]), ".0.algorithms.0"),
        (issuers(algorithms="ES256"), ".0.algorithms"),
        (issuers(tenants=[]), ".0.tenants"),
        (issuers(tenants=["x" * 129]), ".0.tenants.0"),
        (issuers(tenants="acme"), ".0.tenants"),
        (issuers(tenant_claims=[]), ".0.tenant_claims"),
        (issuers(tenant_claims=[""]), ".0.tenant_claims.0"),
        (issuers(tenant_claims=["/a~2"]), ".0.tenant_claims.0"),
        (issuers(role_claims=["a", "a"]), ".0.role_claims"),
        (issuers(leeway=-1), ".0.leeway"),
        (issuers(leeway=301), ".0.leeway"),
        (issuers(leeway=True), ".0.leeway"),
        (issuers(leeway="60"), ".0.leeway"),
        (issuers(audiences="seals"), ".0.audiences"),
    ],
)
def test_issuers_that_cannot_work(monkeypatch: pytest.MonkeyPatch, text: str, place: str) -> None:
    """Each mistake in the list is named with its place, and without its value."""
    found = problems(monkeypatch, **WITHOUT_JWT, JWT_ISSUERS=text)
    assert [problem.partition(": ")[0] for problem in found] == ["JWT_ISSUERS" + place]
    assert not any(value in found[0] for value in ("hunter2", "a.example", "xxx"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_ALGORITHMS", "HS256"),
        ("JWT_ALGORITHMS", "ES256,"),
        ("JWT_ALGORITHMS", "es256"),
        ("JWT_TENANT_CLAIMS", "a,,b"),
        ("JWT_TENANT_CLAIMS", "a,a"),
        ("JWT_ROLE_CLAIMS", "/~"),
        ("JWT_LEEWAY", "301"),
        ("JWT_LEEWAY", "-1"),
        ("JWT_LEEWAY", "1.5"),
        ("JWT_JWKS_REFRESH", "0"),
        ("JWT_JWKS_COOLDOWN", "0"),
        ("JWT_JWKS_MAX_STALE", "300"),
        ("JWT_ISSUER", "x" * 1025),
    ],
)
def test_details_of_the_issuer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """What cannot work is refused with its name."""
    found = problems(monkeypatch, **{**GOOD, name: value})
    assert {problem.partition(":")[0].partition(".")[0] for problem in found} == {name}


def test_keys_outlast_the_pause_between_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that nobody may fetch again before they are too old would mean an outage in every cooldown."""
    pace = {"JWT_JWKS_COOLDOWN": "600", "JWT_JWKS_MAX_STALE": "600"}
    found = problems(monkeypatch, **GOOD, **pace)
    assert found == ["JWT_JWKS_MAX_STALE: must be more than JWT_JWKS_REFRESH and JWT_JWKS_COOLDOWN"]
    load(monkeypatch, **{**GOOD, **pace, "JWT_JWKS_MAX_STALE": "601"})


def test_the_two_forms_exclude_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever lists issuers says everything there, and whoever refines an issuer names it."""
    found = problems(monkeypatch, **GOOD, JWT_ISSUERS=json.dumps(ISSUERS), JWT_LEEWAY="5")
    named = [problem.partition(":")[0] for problem in found]
    assert named == ["JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URI", "JWT_LEEWAY"]
    for name in named:
        monkeypatch.delenv(name)
    missing = str(tmp_path / "none")
    monkeypatch.delenv("JWT_ISSUERS")
    found = problems(monkeypatch, **WITHOUT_JWT, JWT_ISSUERS_FILE=missing)
    assert found == ["JWT_ISSUERS_FILE: the file cannot be read: No such file or directory"]
    monkeypatch.delenv("JWT_ISSUERS_FILE")
    found = problems(monkeypatch, SIGIL_ENVIRONMENT="development", JWT_LEEWAY="5")
    assert [problem.partition(":")[0] for problem in found] == ["JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URI"]


def test_plain_http_of_listed_issuers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In development a listed issuer's keys, too, may come over http from this machine."""
    text = issuers(jwks_uri="http://127.0.0.1:9/jwks")
    assert load(monkeypatch, SIGIL_ENVIRONMENT="development", JWT_ISSUERS=text).issuers


def test_certificates_of_the_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The authorities for the key server must be there, and be certificates."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    assert load(monkeypatch, **GOOD, JWT_CA_CERT=str(path)).jwt_ca_cert == path
    for content, said in ((b"", "no certificate"), (b"-----BEGIN CERTIFICATE-----\n", "no certificate")):
        path.write_bytes(content)
        (problem,) = problems(monkeypatch, **GOOD, JWT_CA_CERT=str(path))
        assert problem.startswith("JWT_CA_CERT: ")
        assert said in problem
    (problem,) = problems(monkeypatch, **GOOD, JWT_CA_CERT=str(tmp_path / "none"))
    assert problem == "JWT_CA_CERT: the file cannot be read: No such file or directory"
