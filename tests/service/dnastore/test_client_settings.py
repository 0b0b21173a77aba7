"""The settings of the service as a DNAStore's client: each mistake one line, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings import load_settings
from core.settings_loading import SettingsError
from core.tls import ClientFiles, Identity
from tests.service.running import Service
from tests.service.server.tls_files import DAY, NOW, Authority


@pytest.fixture
def good(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings that work."""
    for name in list(os.environ):
        if name.startswith(("SIGIL_", "JWT_", "DNASTORE_", "SPIRAL_")):
            monkeypatch.delenv(name)
    certificate, key = authority.issue("settings-client")
    return {
        "SIGIL_ENVIRONMENT": "development",
        "DNASTORE_URL": "https://dnastore.example:9443/behind/a/proxy",
        "DNASTORE_CLIENT_CERT": str(certificate),
        "DNASTORE_CLIENT_KEY": str(key),
        "DNASTORE_CA_CERT": str(authority.path),
    }


def problems(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> list[str]:
    """What is wrong with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        load_settings()
    except SettingsError as error:
        return error.problems
    return []


def test_good(good: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that work are taken as they are, and defaults are those of the documents."""
    assert problems(monkeypatch, good) == []
    settings = load_settings()
    identity = Identity(Path(good["DNASTORE_CLIENT_CERT"]), Path(good["DNASTORE_CLIENT_KEY"]))
    assert settings.dnastore_files == ClientFiles(identity, Path(good["DNASTORE_CA_CERT"]))
    assert settings.records_place == good["DNASTORE_URL"]
    assert (settings.dnastore_timeout, settings.dnastore_connections) == (5, 4)
    assert (settings.dnastore_breaker_failures, settings.dnastore_breaker_pause) == (5, 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DNASTORE_URL", "http://dnastore.example", "must be an https URL: records go there"),
        ("DNASTORE_URL", "https://me:secret@dnastore.example", "without user name"),
        ("DNASTORE_URL", "https://dnastore.example/#part", "fragment"),
        ("DNASTORE_URL", "https://dnastore.example/?a=b", "without a query"),
        ("DNASTORE_URL", "dnastore.example", "must be an https URL"),
        ("DNASTORE_URL", "https://dnastore.example:0", "port"),
        ("DNASTORE_CLIENT_CERT", "", "required when DNASTORE_URL is set"),
        ("DNASTORE_CLIENT_KEY", "", "required when DNASTORE_URL is set"),
        ("DNASTORE_CLIENT_CERT", "/nowhere", "cannot be read"),
        ("DNASTORE_REJECT_UNAUTHORIZED", "perhaps", "valid boolean"),
        ("DNASTORE_TIMEOUT", "0", "greater than or equal to 0.1"),
        ("DNASTORE_TIMEOUT", "nan", "finite"),
        ("DNASTORE_CONNECTIONS", "65", "less than or equal to 64"),
        ("DNASTORE_MAX_WAITING", "0", "greater"),
        ("DNASTORE_BREAKER_FAILURES", "0", "greater"),
        ("DNASTORE_BREAKER_PAUSE", "-1", "greater"),
        ("SIGIL_STORE_URL", "sqlite:///x.db", "DNASTORE_URL is set too"),
        ("DNASTORE_TIMEOT", "5", "did you mean DNASTORE_TIMEOUT?"),
    ],
)
def test_mistakes(
    good: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A mistake is one line that begins with its variable and does not show the value."""
    (problem,) = problems(monkeypatch, {**good, name: value})
    assert problem.startswith(f"{name}: ")
    assert said in problem
    assert "secret" not in problem


def test_without_an_url(good: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an URL there is no DNAStore, and whatever else is said about one contradicts that."""
    others = {**good, "DNASTORE_TIMEOUT": "3", "DNASTORE_REJECT_UNAUTHORIZED": "true"}
    del others["DNASTORE_URL"]
    found = problems(monkeypatch, others)
    assert sorted(problem.partition(":")[0] for problem in found) == sorted(
        name for name in others if name.startswith("DNASTORE_")
    )


def test_files(
    good: dict[str, str], monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path
) -> None:
    """Files that TLS cannot work with are told by the variable that names them."""
    _, other_key = authority.issue("another")
    late, late_key = authority.issue("late", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    exposed = tmp_path / "exposed.pem"
    exposed.write_bytes(Path(good["DNASTORE_CLIENT_KEY"]).read_bytes())
    exposed.chmod(0o602)
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for changes, name, said in (
        (
            {"DNASTORE_CLIENT_KEY": str(other_key)},
            "DNASTORE_CLIENT_KEY",
            "does not belong to the certificate",
        ),
        (
            {"DNASTORE_CLIENT_CERT": str(late), "DNASTORE_CLIENT_KEY": str(late_key)},
            "DNASTORE_CLIENT_CERT",
            "expired",
        ),
        ({"DNASTORE_CLIENT_KEY": str(exposed)}, "DNASTORE_CLIENT_KEY", "can be changed by everybody"),
        ({"DNASTORE_CA_CERT": str(empty)}, "DNASTORE_CA_CERT", "no certificate"),
        ({"DNASTORE_CA_CERT": good["DNASTORE_CLIENT_CERT"]}, "DNASTORE_CA_CERT", "authority"),
    ):
        (problem,) = problems(monkeypatch, {**good, **changes})
        assert problem.startswith(f"{name}: ")
        assert said in problem


def test_verification_is_off_in_development_alone(
    good: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production refuses to run without knowing who the DNAStore is, however that is spelt."""
    for spelt in ("false", "0", "no", "OFF", "f", "n"):
        unverified = {**good, "DNASTORE_REJECT_UNAUTHORIZED": spelt}
        assert problems(monkeypatch, unverified) == []
        files = load_settings().dnastore_files
        assert files is not None
        assert not files.verify
        found = problems(monkeypatch, {**unverified, "SIGIL_ENVIRONMENT": "production"})
        assert "DNASTORE_REJECT_UNAUTHORIZED: false is for development alone" in found


def test_exit_code(good: dict[str, str], new_service: Callable[..., Service]) -> None:
    """The process ends with 78 and all lines."""
    mistaken = {**good, "DNASTORE_URL": "http://x", "SIGIL_STORE_URL": "sqlite:///x.db"}
    code, said = new_service(**mistaken).start_in_vain()
    assert code == 78
    assert "DNASTORE_URL: must be an https URL" in said
    assert "SIGIL_STORE_URL: DNASTORE_URL is set too" in said
