"""Settings: every mistake at once, and never a value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from core.keys import ring_from
from core.settings import Settings, SettingsError, load_settings, names
from tests.service.running import REPOSITORY, clean_environment

SECRET = "correct horse battery staple, twice over"
GOOD = {
    "SPIRAL_EVENT_SECRET": SECRET,
    "JWT_ISSUER": "https://issuer.example",
    "JWT_AUDIENCE": "sigil",
    "JWT_JWKS_URI": "https://issuer.example/jwks",
}


@pytest.fixture(autouse=True)
def only_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests look at the settings alone, whichever backend the run uses."""
    monkeypatch.setattr("sigil_native.backend", "native")


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Load settings from exactly these variables."""
    for name in list(clean_environment()):
        if name.startswith("SIGIL_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """What is wrong with these variables."""
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **variables)
    return caught.value.problems


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that production needs gives production on loopback with an SQLite file."""
    settings = load(monkeypatch, **GOOD)
    assert not settings.is_development
    assert (settings.host, settings.port, settings.max_body_bytes) == ("127.0.0.1", 8080, 1 << 20)
    assert settings.store_url == "sqlite:///data/sigils.db"
    assert (settings.idempotency_seconds, settings.idempotency_keys) == (86_400, 1_000_000)
    assert len(ring_from(settings)) == 1


def test_all_mistakes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start reports every mistake, each with its variable's name."""
    found = problems(
        monkeypatch,
        SPIRAL_EVENT_SECRET="short",
        SIGIL_PORT="eighty",
        SIGIL_MAX_BODY_BYTES="3",
        SIGIL_IDEMPOTENCY_SECONDS="0",
        SIGIL_IDEMPOTENCY_KEYS="999",
        SIGIL_STORE_URL="postgresql://user:password@host/db",
        JWT_ISSUER="i",
        JWT_JWKS_URI="http://issuer.example/jwks",
        SIGIL_PROT="8080",
    )
    named = sorted(problem.partition(":")[0] for problem in found)
    assert named == [
        "JWT_AUDIENCE",
        "JWT_JWKS_URI",
        "SIGIL_IDEMPOTENCY_KEYS",
        "SIGIL_IDEMPOTENCY_SECONDS",
        "SIGIL_MAX_BODY_BYTES",
        "SIGIL_PORT",
        "SIGIL_PROT",
        "SIGIL_STORE_URL",
        "SPIRAL_EVENT_SECRET",
    ]
    text = "\n".join(found)
    assert not any(value in text for value in ("short", "eighty", "password", "issuer.example"))
    assert "did you mean SIGIL_PORT?" in text


@pytest.mark.parametrize(
    "name", [*GOOD, "SIGIL_STORE_URL", "SIGIL_PORT", "SIGIL_ENVIRONMENT", "SIGIL_KEYRING"]
)
def test_values_are_never_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A value that is refused does not appear in the refusal, nor a good secret in a repr."""
    value = "h\x01unter2://hunter2@"
    shown = ""
    try:
        settings = load(monkeypatch, **{**GOOD, name: value})
        shown = repr(settings.event_secret) + settings.model_dump_json(include={"event_secret"})
    except SettingsError as error:
        shown = str(error)
    assert "unter2" not in shown
    assert SECRET not in shown


def test_production_needs_jwt_and_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings nothing starts, and each missing one is named."""
    named = {problem.partition(":")[0] for problem in problems(monkeypatch)}
    assert named == set(GOOD)


def test_production_refuses_the_pure_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow backend is for development only."""
    monkeypatch.setattr("sigil_native.backend", "pure")
    assert any("pure backend" in problem for problem in problems(monkeypatch, **GOOD))
    assert load(monkeypatch, SIGIL_ENVIRONMENT="development").is_development


def test_names_of_the_library_are_not_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the library and its build are none of the service's business."""
    load(monkeypatch, **GOOD, SIGIL_NATIVE_KERNEL="portable", SIGIL_BUILD_DEBUG="1", SIGIL_NATIVE_VECTOR="0")


@pytest.mark.parametrize("name", ["SIGIL_RATE_LIMITT", "JWT_SECRET", "DNASTORE_URL", "SPIRAL_EVENT_SECRETS"])
def test_unknown_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A misspelt or unsupported name stops the start instead of being ignored."""
    assert problems(monkeypatch, **GOOD, **{name: "x"})[0].startswith(f"{name}: no such setting")


def test_far_names_are_not_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resembles no setting gets no suggestion."""
    assert problems(monkeypatch, **GOOD, SIGIL_FOO="x") == ["SIGIL_FOO: no such setting"]


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as composed environments produce them, counts as absent."""
    assert load(monkeypatch, **GOOD, SIGIL_PORT="", SIGIL_KEYRING="").port == 8080
    assert any("JWT_ISSUER" in problem for problem in problems(monkeypatch, **{**GOOD, "JWT_ISSUER": ""}))


def test_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret may come from a file; one newline at its end is no part of it."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_FILE", str(path))
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    settings = load(monkeypatch, **others)
    assert settings.event_secret is not None
    assert settings.event_secret.get_secret_value() == SECRET
    both = problems(monkeypatch, **GOOD)
    assert both == ["SPIRAL_EVENT_SECRET_FILE: SPIRAL_EVENT_SECRET is set too; set one of them"]


def test_secret_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is missing, not text, or too short a secret is a mistake like any other."""
    binary, short = tmp_path / "binary", tmp_path / "short"
    binary.write_bytes(b"\xff" * 40)
    short.write_text("short")
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    for path, said in (
        (tmp_path / "none", "No such file"),
        (binary, "not UTF-8"),
        (short, "at least 32 bytes"),
    ):
        found = problems(monkeypatch, **others, SPIRAL_EVENT_SECRET_FILE=str(path))
        assert any(said in problem for problem in found), found


def test_previous_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier secrets, a line each, verify and do not sign; one named twice does no harm."""
    earlier = "\n".join(["a" * 32, "", "b" * 40, SECRET])
    ring = ring_from(load(monkeypatch, **GOOD, SPIRAL_EVENT_SECRET_PREVIOUS=earlier))
    keys = ring.keys()
    assert [key.state for key in keys] == ["active", "verify-only", "verify-only"]
    found = problems(monkeypatch, **GOOD, SPIRAL_EVENT_SECRET_PREVIOUS="a" * 32 + "\nweak")
    assert found == ["SPIRAL_EVENT_SECRET_PREVIOUS: a secret has at least 32 bytes, this one has 4"]


def test_key_ring_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key ring file takes the secret's place, must be well formed, and excludes the secret."""
    path = tmp_path / "ring.json"
    path.write_text('{"version":1,"keys":[{"secret":"' + "A" * 43 + '"}]}')
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    assert len(ring_from(load(monkeypatch, **others, SIGIL_KEYRING=str(path)))) == 1
    assert any("set one of them" in problem for problem in problems(monkeypatch, **GOOD))
    monkeypatch.delenv("SPIRAL_EVENT_SECRET")
    path.write_text('{"version":1,"keys":[{"secret":"hunter2"}]}')
    found = problems(monkeypatch, **others)
    assert found[0].startswith("SIGIL_KEYRING: ")
    assert "hunter2" not in found[0]
    found = problems(monkeypatch, **others, SIGIL_KEYRING=str(tmp_path / "none"))
    assert found == ["SIGIL_KEYRING: the file cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    "uri", ["ftp://h/k", "/jwks", "https://", "https://u:p@h/k", "https://h/k#f", "https://[", "http://h/k"]
)
def test_key_set_uri(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """Keys come from an https URL without credentials, or not at all."""
    found = problems(monkeypatch, **{**GOOD, "JWT_JWKS_URI": uri})
    assert all(problem.startswith("JWT_JWKS_URI: ") for problem in found)


def test_plain_http_only_on_loopback_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """In development a key set may come over http, from this machine only."""
    for host in ("localhost", "127.0.0.1", "[::1]"):
        uri = f"http://{host}:9/jwks"
        load(monkeypatch, **{**GOOD, "JWT_JWKS_URI": uri, "SIGIL_ENVIRONMENT": "development"})
    uri = "http://issuer.example/jwks"
    assert problems(monkeypatch, **{**GOOD, "JWT_JWKS_URI": uri, "SIGIL_ENVIRONMENT": "development"})


def test_half_of_the_jwt_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """In development an own issuer is configured wholly or not at all."""
    found = problems(monkeypatch, SIGIL_ENVIRONMENT="development", JWT_ISSUER="i")
    assert [problem.partition(":")[0] for problem in found] == ["JWT_AUDIENCE", "JWT_JWKS_URI"]


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
WITHOUT_JWT = {"SPIRAL_EVENT_SECRET": SECRET}


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


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory", "mysql://h/d", "nonsense"]
)
def test_store_that_would_forget(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A store that is no SQLite file is refused."""
    assert problems(monkeypatch, **GOOD, SIGIL_STORE_URL=url)[0].startswith("SIGIL_STORE_URL: ")


def test_store_url_with_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of a store's URL are refused as what they are."""
    found = problems(monkeypatch, **GOOD, SIGIL_STORE_URL="sqlite:////x.db?mode=ro")
    assert found == ["SIGIL_STORE_URL: the store's URL takes no options: nothing may follow the path"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/data"])
def test_data_folder_that_is_none(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A data folder that cannot be made is a mistake of its variable."""
    assert problems(monkeypatch, **GOOD, SIGIL_DATA_DIR=path) == [
        "SIGIL_DATA_DIR: not a folder, nor inside of one"
    ]


def test_development_stays_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Development mode, which hands out tokens, listens to this machine alone."""
    for host in ("127.0.0.2", "::1", "localhost"):
        load(monkeypatch, SIGIL_ENVIRONMENT="development", SIGIL_HOST=host)
    for host in ("0.0.0.0", "::", "192.0.2.1", "sigil.example"):  # noqa: S104
        found = problems(monkeypatch, SIGIL_ENVIRONMENT="development", SIGIL_HOST=host)
        assert [problem.partition(":")[0] for problem in found] == ["SIGIL_HOST"]
        load(monkeypatch, **GOOD, SIGIL_ENVIRONMENT="production", SIGIL_HOST=host)


def test_exit_code() -> None:
    """The process ends with code 78 and says on standard error what is wrong, a line each."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=REPOSITORY,
        env=clean_environment(SIGIL_PORT="eighty", SIGIL_TYPO="x"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stdout == ""
    for name in ("SIGIL_PORT", "SIGIL_TYPO", "SPIRAL_EVENT_SECRET", *names()[4:7]):
        assert f"\n  {name}: " in done.stderr
