"""Settings: every mistake at once, and never a value."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.descriptors import most_connections
from core.keys import ring_from
from core.settings import (
    Settings,
    load_settings,
)
from core.settings_loading import SettingsError
from tests.service.running import REPOSITORY, Service, clean_environment

SECRET = "correct horse battery staple, twice over"
GOOD = {
    "SPIRAL_EVENT_SECRET": SECRET,
    "JWT_ISSUER": "https://issuer.example",
    "JWT_AUDIENCE": "sigil",
    "JWT_JWKS_URI": "https://issuer.example/jwks",
    "SIGIL_AUDIT_SECRET": "another secret, for the audit log alone",
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
    assert (settings.audit_file, settings.audit_failure) == (Path("data/audit.jsonl"), "closed")
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
        SIGIL_STORE_URL="mysql://user:password@host/db",
        JWT_ISSUER="i",
        JWT_JWKS_URI="http://issuer.example/jwks",
        SIGIL_PROT="8080",
    )
    named = sorted(problem.partition(":")[0] for problem in found)
    assert named == [
        "JWT_AUDIENCE",
        "JWT_JWKS_URI",
        "SIGIL_AUDIT_SECRET",
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


@pytest.mark.parametrize("name", ["SIGIL_RATE_LIMITT", "JWT_SECRET", "DNASTORE_URI", "SPIRAL_EVENT_SECRETS"])
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


@pytest.mark.parametrize("place", ["/", "/dev", "/dev/null/audit.jsonl"])
def test_audit_log_that_cannot_be(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The audit log's place is one where a file can be."""
    (problem,) = problems(monkeypatch, **GOOD, SIGIL_AUDIT=place)
    assert problem.startswith("SIGIL_AUDIT: ")


def test_digest_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest tells other settings apart, and nothing of secrets."""
    digest = load(monkeypatch, **GOOD).digest()
    assert load(monkeypatch, **GOOD, SPIRAL_EVENT_SECRET_PREVIOUS="p" * 32).digest() == digest
    assert load(monkeypatch, **GOOD, SIGIL_PORT="1").digest() != digest


def test_digest_is_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart with the same settings gives the same digest, whatever the seed of the hashes."""
    issuers = (
        '[{"issuer":"i","audience":"a","jwks_uri":"https://i/","tenants":["a","b","c","d"],'
        '"algorithms":["ES256","ES384","PS256","EdDSA"]}]'
    )
    program = "from core.settings import load_settings; print(load_settings().digest())"
    given = {"SIGIL_ENVIRONMENT": "development", "JWT_ISSUERS": issuers}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=clean_environment(**given, PYTHONHASHSEED="1"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.strip() == str(load(monkeypatch, **given).digest())


def test_pause_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at every two seconds, or as often as told, up to an hour apart; 0 is never."""
    assert load(monkeypatch, **GOOD).reload_seconds == 2
    for good in ("0", "0.5", "3600"):
        assert load(monkeypatch, **GOOD, SIGIL_RELOAD_SECONDS=good).reload_seconds == float(good)
    for bad in ("-1", "3601", "nan", "inf", "soon"):
        found = problems(monkeypatch, **GOOD, SIGIL_RELOAD_SECONDS=bad)
        assert [problem.partition(":")[0] for problem in found] == ["SIGIL_RELOAD_SECONDS"]


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://h/k",
        "/jwks",
        "https://",
        "https://u:p@h/k",
        "https://h/k#f",
        "https://[",
        "http://h/k",
        "https://h:hunter2/k",
        "https://h:65536/k",
        "https://h:0/k",
        "https://h h/k",
        "https://h/k\n",
    ],
)
def test_key_set_uri(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """Keys come from an https URL without credentials, or not at all."""
    found = problems(monkeypatch, **{**GOOD, "JWT_JWKS_URI": uri})
    assert all(problem.startswith("JWT_JWKS_URI: ") for problem in found)
    assert "hunter2" not in found[0]


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


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory", "mysql://h/d", "nonsense"]
)
def test_store_that_would_forget(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A store that is no SQLite file is refused."""
    assert problems(monkeypatch, **GOOD, SIGIL_STORE_URL=url)[0].startswith("SIGIL_STORE_URL: ")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host",
        "postgresql://user:hunter2@host/db?password=hunter2",
        "postgresql://user:hunter2@host/db?connect_timeout=hunter2",
        "postgresql+asyncpg://user:hunter2@host/db",
        "postgresql://user:hunter2@host:hunter2/db",
    ],
)
def test_store_url_of_postgresql_that_cannot_work(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A PostgreSQL URL names a database, and no option that the store decides; nothing of it is shown."""
    found = problems(monkeypatch, **GOOD, SIGIL_STORE_URL=url)
    assert found[0].startswith("SIGIL_STORE_URL: ")
    assert "hunter2" not in found[0]


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_password_of_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str) -> None:
    """The store's URL may come from a file; its password is not shown, nor told by the digest."""
    digests = set()
    for password in ("hunter2", "hunter3"):
        (tmp_path / "url").write_text(f"{driver}://user:{password}@host:5433/db?sslmode=verify-full\n")
        settings = load(monkeypatch, **GOOD, SIGIL_STORE_URL_FILE=str(tmp_path / "url"))
        assert settings.store_url.startswith(f"{driver}://user:{password}@host")
        assert "host:5433/db?sslmode=verify-full" in settings.records_place
        for text in (settings.records_place, repr(settings), str(settings.model_dump())):
            assert password not in text
        digests.add(settings.digest())
    assert len(digests) == 1
    monkeypatch.delenv("SIGIL_STORE_URL_FILE")
    assert load(monkeypatch, **GOOD, SIGIL_STORE_URL="sqlite:///x.db").digest() not in digests


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


def test_exit_code(new_service: Callable[..., Service]) -> None:
    """The process ends with code 78 and says on standard error what is wrong, a line each."""
    service = new_service()
    service.variables = {"SIGIL_PORT": "eighty", "SIGIL_TYPO": "x"}
    code, said = service.start_in_vain()
    assert code == 78
    assert service.output_path.read_text() == ""
    for name in ("SIGIL_PORT", "SIGIL_TYPO", *GOOD):
        assert f"\n  {name}: " in said


def test_connections_and_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """More connections than there can be open files, or a limit that leaves room for none, stop the start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = most_connections()
    assert load(monkeypatch, **GOOD, SIGIL_MAX_CONNECTIONS=str(most)).max_connections == most
    if hard != resource.RLIM_INFINITY:
        (problem,) = problems(monkeypatch, **GOOD, SIGIL_MAX_CONNECTIONS=str(most + 1))
        assert (
            problem == f"SIGIL_MAX_CONNECTIONS: the limit of open files (ulimit -Hn) leaves room for {most}"
        )
    monkeypatch.delenv("SIGIL_MAX_CONNECTIONS")
    monkeypatch.setattr("core.descriptors.RESERVED", 1 << 40)
    if hard != resource.RLIM_INFINITY:
        (problem,) = problems(monkeypatch, **GOOD)
        assert problem.startswith("SIGIL_MAX_CONNECTIONS: the limit of open files")


@pytest.mark.parametrize(
    "name",
    [
        "SIGIL_HEAD_TIMEOUT",
        "SIGIL_BODY_TIMEOUT",
        "SIGIL_WRITE_TIMEOUT",
        "SIGIL_REQUEST_TIMEOUT",
        "SIGIL_KEEP_ALIVE",
        "SIGIL_MAX_REQUESTS",
        "SIGIL_MAX_CONNECTIONS",
    ],
)
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", str(1 << 40)])
def test_limits_that_limit_nothing(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A limit is a number that can work; there is no way to switch one off."""
    assert [problem.partition(":")[0] for problem in problems(monkeypatch, **GOOD, **{name: value})] == [name]
