"""Settings of the server: every mistake at once, each with its variable's name, and never a value."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core.descriptors import RESERVED
from core.dnastore.server_settings import ServerSettings, load_server_settings, server_names
from core.settings import load_settings, names
from core.settings_loading import SettingsError
from tests.service.dnastore.running import DnaStore
from tests.service.running import clean_environment
from tests.service.server.tls_files import DAY, NOW, Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def good(authority: Authority, tmp_path: Path) -> dict[str, str]:
    """The least that a server needs."""
    certificate, key = authority.issue("server")
    allow = tmp_path / "allow.json"
    allow.write_text('{"a": ["*"]}')
    return {
        "DNASTORE_SERVER_CERT": str(certificate),
        "DNASTORE_SERVER_KEY": str(key),
        "DNASTORE_SERVER_CLIENT_CA": str(authority.path),
        "DNASTORE_SERVER_ALLOW": str(allow),
    }


def load(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    development: Mapping[str, str] | None = None,
) -> ServerSettings:
    """Load settings from exactly these variables."""
    kept = clean_environment(**variables)
    for name in set(os.environ) - kept.keys():
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_server_settings(development)


def problems(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    development: Mapping[str, str] | None = None,
) -> list[str]:
    """What is wrong with these variables."""
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, variables, development)
    return caught.value.problems


def test_defaults(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    """Certificate, key, authorities and list are all that is needed, for a server on loopback with SQLite."""
    settings = load(monkeypatch, good)
    assert (settings.host, settings.port) == ("127.0.0.1", 8443)
    assert settings.store_url == "sqlite:///data/dnastore.db"
    assert settings.metrics_port(development=False) == 9465
    assert settings.metrics_port(development=True) == 0
    assert (
        load(monkeypatch, {**good, "DNASTORE_SERVER_METRICS_PORT": "off"}).metrics_port(development=True)
        is None
    )


def test_all_mistakes_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One start reports every mistake, each with its variable's name, and shows no value."""
    found = problems(
        monkeypatch,
        {
            "DNASTORE_SERVER_PORT": "eighty",
            "DNASTORE_SERVER_ALLOW": str(tmp_path / "nowhere.json"),
            "DNASTORE_SERVER_STORE_URL": "mysql://me:hidden@host/db",
            "DNASTORE_SERVER_MAX_BODY_BYTES": "3",
            "DNASTORE_SERVER_PROT": "1",
        },
    )
    assert sorted(problem.partition(":")[0] for problem in found) == [
        f"DNASTORE_SERVER_{name}"
        for name in ("ALLOW", "CERT", "CLIENT_CA", "KEY", "MAX_BODY_BYTES", "PORT", "PROT", "STORE_URL")
    ]
    assert "DNASTORE_SERVER_PROT: no such setting; did you mean DNASTORE_SERVER_PORT?" in found
    assert not any(value in "\n".join(found) for value in ("hidden", "eighty", "nowhere"))


@pytest.mark.parametrize("case", ["mismatch", "expired", "not yet valid", "empty authorities", "no list"])
def test_files_that_cannot_work(
    monkeypatch: pytest.MonkeyPatch, good: dict[str, str], authority: Authority, tmp_path: Path, case: str
) -> None:
    """Files that do not work, or not together, are refused by the name of the variable that is at fault."""
    other, other_key = authority.issue("other", not_after=NOW - DAY / 2)
    early, early_key = authority.issue("early", not_before=NOW + DAY / 2)
    empty = tmp_path / "empty.pem"
    empty.touch()
    changes, expected = {
        "mismatch": ({"KEY": other_key}, "KEY: the key does not belong to the certificate"),
        "expired": ({"CERT": other, "KEY": other_key}, "CERT: the certificate expired at"),
        "not yet valid": ({"CERT": early, "KEY": early_key}, "CERT: the certificate is not valid before"),
        "empty authorities": ({"CLIENT_CA": empty}, "CLIENT_CA: the file holds no certificate in PEM form"),
        "no list": ({"ALLOW": empty}, "ALLOW: not JSON that can be used"),
    }[case]
    variables = {**good, **{f"DNASTORE_SERVER_{name}": str(path) for name, path in changes.items()}}
    (problem,) = problems(monkeypatch, variables)
    assert problem.startswith(f"DNASTORE_SERVER_{expected}")


def test_each_command_minds_its_own(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    """Neither command complains about variables of the other, on a machine that runs both."""
    settings = load(
        monkeypatch, {**good, "SIGIL_PORT": "x", "DNASTORE_URL": "x", "JWT_ISSUER": "x", "SIGIL_X": "1"}
    )
    assert settings.port == 8443
    monkeypatch.delenv("DNASTORE_URL")
    for name in ("SIGIL_PORT", "JWT_ISSUER", "SIGIL_X"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIGIL_ENVIRONMENT", "development")
    monkeypatch.setenv("DNASTORE_SERVER_ANYTHING", "1")
    assert load_settings().is_development
    assert not set(names()) & set(server_names())


def test_store_urls_with_passwords(
    monkeypatch: pytest.MonkeyPatch, good: dict[str, str], tmp_path: Path
) -> None:
    """A database's password may come in a file, and is never shown."""
    path = tmp_path / "url"
    path.write_text("postgresql://me:hidden@localhost/records\n")
    settings = load(monkeypatch, {**good, "DNASTORE_SERVER_STORE_URL_FILE": str(path)})
    assert "hidden" in settings.store_url
    assert "hidden" not in settings.shown_store_url
    assert "hidden" not in repr(settings)


def test_development(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    """Development mode is for loopback, and brings its own files."""
    assert load(monkeypatch, {}, good).allow == Path(good["DNASTORE_SERVER_ALLOW"])
    found = problems(monkeypatch, {"DNASTORE_SERVER_HOST": "0.0.0.0"}, good)  # noqa: S104 - to be refused
    assert [problem.partition(":")[0] for problem in found] == ["DNASTORE_SERVER_HOST"]
    found = problems(monkeypatch, {"DNASTORE_SERVER_KEY": good["DNASTORE_SERVER_KEY"]}, good)
    assert [problem.partition(":")[0] for problem in found] == ["DNASTORE_SERVER_KEY"]


def test_descriptors(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    """Where the system leaves no room for connections, the start says so."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (RESERVED, RESERVED))
    (problem,) = problems(monkeypatch, good)
    assert problem.startswith("DNASTORE_SERVER_MAX_CONNECTIONS: ")


def test_a_start_in_vain(new_dnastore: Callable[..., DnaStore]) -> None:
    """Settings that cannot work end the start with exit code 78 and a line for each; a taken port with 69."""
    dnastore = new_dnastore(DNASTORE_SERVER_KEY="/nowhere/key.pem")
    code, output = dnastore.start_in_vain()
    assert code == 78
    assert output.splitlines() == [
        "the settings cannot work:",
        "  DNASTORE_SERVER_KEY: the file cannot be read: No such file or directory",
    ]
    first = new_dnastore().start()
    code, output = new_dnastore(DNASTORE_SERVER_PORT=str(first.port)).start_in_vain()
    assert (code, output.partition(": ")[0]) == (69, "DNASTORE_SERVER_HOST, DNASTORE_SERVER_PORT")
    assert first.stop() == 0
