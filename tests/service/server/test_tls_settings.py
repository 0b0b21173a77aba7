"""TLS settings that cannot work end the start, by name; those that can are used."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from core.settings import Settings, load_settings
from core.settings_loading import SettingsError
from tests.service.running import Service, clean_environment
from tests.service.server.tls_files import DAY, NOW, Authority, variables


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all of these tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> dict[str, str]:
    """Settings that work."""
    return variables(authority.issue("good"), authority.path)


def load(monkeypatch: pytest.MonkeyPatch, **given: str) -> Settings:
    """Load settings from exactly these variables, in development."""
    for name in list(clean_environment()):
        if name.startswith("SIGIL_"):
            monkeypatch.delenv(name)
    for name, value in {"SIGIL_ENVIRONMENT": "development", **given}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def problems(monkeypatch: pytest.MonkeyPatch, **given: str) -> list[str]:
    """What is wrong with these variables."""
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **given)
    return caught.value.problems


def written(path: Path, content: bytes) -> str:
    """A file with this content."""
    path.write_bytes(content)
    return str(path)


def test_good_settings(monkeypatch: pytest.MonkeyPatch, good: dict[str, str]) -> None:
    """Files that fit are accepted; HSTS is a year in production, and off in development until asked for."""
    settings = load(monkeypatch, **good)
    assert settings.tls is not None
    assert settings.tls.client_authorities is not None
    assert settings.hsts_seconds is None
    assert load(monkeypatch, **good, SIGIL_HSTS_SECONDS="0").hsts_seconds == 0
    production = settings.model_copy(update={"environment": "production"})
    assert production.hsts_seconds == 365 * 86400
    assert production.model_copy(update={"tls_certificate": None}).hsts_seconds is None


@pytest.mark.parametrize("name", ["SIGIL_TLS_CERT", "SIGIL_TLS_KEY", "SIGIL_TLS_CLIENT_CA"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"", "in PEM form"),
        (b"hunter2", "in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n", "in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "in PEM form"),
        (b"\x00\xff" * (1 << 20), "larger than 1048576 bytes"),
    ],
)
def test_file_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    good: dict[str, str],
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    """A file that is missing, empty or something else is one mistake of its variable; none of it is shown."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    (problem,) = problems(monkeypatch, **{**good, name: str(path)})
    assert problem.startswith(f"{name}: ")
    assert said in problem
    assert "hunter2" not in problem
    assert str(path) not in problem


@pytest.mark.parametrize("name", ["SIGIL_TLS_CERT", "SIGIL_TLS_KEY", "SIGIL_TLS_CLIENT_CA"])
def test_folder_in_a_files_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: dict[str, str], name: str
) -> None:
    """A file that cannot be read says why."""
    assert problems(monkeypatch, **{**good, name: str(tmp_path)}) == [
        f"{name}: the file cannot be read: not a plain file"
    ]


def test_certificate_out_of_its_time(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, good: dict[str, str]
) -> None:
    """A certificate that has expired, or is not valid yet, is refused with the moment."""
    old = variables(authority.issue("old", not_before=NOW - 2 * DAY, not_after=NOW - DAY))
    (problem,) = problems(monkeypatch, **{**good, **old})
    assert problem.startswith("SIGIL_TLS_CERT: the certificate expired at 20")
    early = variables(authority.issue("early", not_before=NOW + DAY, not_after=NOW + 2 * DAY))
    (problem,) = problems(monkeypatch, **{**good, **early})
    assert problem.startswith("SIGIL_TLS_CERT: the certificate is not valid before 20")


def test_key_of_another_certificate(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, good: dict[str, str]
) -> None:
    """Key and certificate must belong together."""
    _, other = authority.issue("other")
    assert problems(monkeypatch, **{**good, "SIGIL_TLS_KEY": str(other)}) == [
        "SIGIL_TLS_KEY: the key does not belong to the certificate"
    ]


def test_encrypted_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: dict[str, str]) -> None:
    """A key that needs a password is refused; nobody is asked for one."""
    key = serialization.load_pem_private_key(Path(good["SIGIL_TLS_KEY"]).read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    path = written(tmp_path / "key", encrypted)
    assert problems(monkeypatch, **{**good, "SIGIL_TLS_KEY": path}) == [
        "SIGIL_TLS_KEY: the key is encrypted; it must be kept without password"
    ]


def test_key_that_everybody_may_replace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: dict[str, str]
) -> None:
    """A key's file that everybody may write to is refused; one that others may read is not."""
    path = tmp_path / "key"
    path.write_bytes(Path(good["SIGIL_TLS_KEY"]).read_bytes())
    path.chmod(0o666)
    (problem,) = problems(monkeypatch, **{**good, "SIGIL_TLS_KEY": str(path)})
    assert problem.startswith("SIGIL_TLS_KEY: the file can be changed by everybody")
    path.chmod(0o644)
    load(monkeypatch, **{**good, "SIGIL_TLS_KEY": str(path)})


def test_weak_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RSA keys below 2048 bits are refused."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    # The library that issues the others makes no weak ones.
    request = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-days", "2"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], capture_output=True, check=True)
    assert problems(monkeypatch, **variables((certificate, key))) == [
        "SIGIL_TLS_CERT: OpenSSL refuses it: ee key too small"
    ]


def test_authorities_that_are_none(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, good: dict[str, str]
) -> None:
    """A client authority's file must hold an authority's certificate."""
    leaf = good["SIGIL_TLS_CERT"]
    assert problems(monkeypatch, **{**good, "SIGIL_TLS_CLIENT_CA": leaf}) == [
        "SIGIL_TLS_CLIENT_CA: no certificate of the file is an authority's"
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["SIGIL_TLS_CERT"], ["SIGIL_TLS_KEY"]),
        (["SIGIL_TLS_KEY"], ["SIGIL_TLS_CERT"]),
        (["SIGIL_TLS_CLIENT_CA"], ["SIGIL_TLS_CLIENT_CA"]),
        (["SIGIL_HSTS_SECONDS"], ["SIGIL_HSTS_SECONDS"]),
        (["SIGIL_TLS_CERT", "SIGIL_TLS_CLIENT_CA", "SIGIL_HSTS_SECONDS"], ["SIGIL_TLS_KEY"]),
    ],
)
def test_half_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, good: dict[str, str], names: list[str], found: list[str]
) -> None:
    """What needs another setting says which is missing."""
    given = {**good, "SIGIL_HSTS_SECONDS": "60"}
    named = problems(monkeypatch, **{name: given[name] for name in names})
    assert [problem.partition(":")[0] for problem in named] == found


def test_all_mistakes_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every file that is wrong is named, once."""
    path = written(tmp_path / "file", b"")
    given = dict.fromkeys(("SIGIL_TLS_CERT", "SIGIL_TLS_KEY", "SIGIL_TLS_CLIENT_CA"), path)
    found = problems(monkeypatch, **given, SIGIL_HSTS_SECONDS="-1", SIGIL_WORKERS="0")
    assert sorted(problem.partition(":")[0] for problem in found) == sorted(
        [*given, "SIGIL_HSTS_SECONDS", "SIGIL_WORKERS"]
    )


@pytest.mark.parametrize("workers", ["1", "3"])
def test_exit_code(
    new_service: Callable[..., Service], tmp_path: Path, good: dict[str, str], workers: str
) -> None:
    """The process ends with code 78 and says once what is wrong, however many workers it was to have."""
    broken = {**good, "SIGIL_TLS_CERT": str(tmp_path / "none"), "SIGIL_WORKERS": workers}
    code, said = new_service(**broken).start_in_vain()
    assert code == 78
    assert said == (
        "the settings cannot work:\n  SIGIL_TLS_CERT: the file cannot be read: No such file or directory\n"
    )
