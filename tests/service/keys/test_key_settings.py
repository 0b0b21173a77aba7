"""Settings of secrets and keys: where they come from, and every mistake in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.keys import ring_from
from core.settings import key_files, load_key_settings
from core.settings_loading import SettingsError
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from tests.service.server.test_settings import (
    GOOD,
    SECRET,
    load,
    only_native,  # noqa: F401 - holds here too
    problems,
)


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
    binary, short, large = tmp_path / "binary", tmp_path / "short", tmp_path / "large"
    binary.write_bytes(b"\xff" * 40)
    short.write_text("short")
    large.write_bytes(b"\xc3\xa9" * (1 << 19) + b"\n")
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    for path, said in (
        (tmp_path / "none", "No such file"),
        (binary, "not UTF-8"),
        (short, "at least 32 bytes"),
        (large, "larger than 1048576 bytes"),
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


def test_audit_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The audit log's secret is as strong as others, may come from a file, and seals nothing."""
    others = {name: value for name, value in GOOD.items() if name != "SIGIL_AUDIT_SECRET"}
    assert problems(monkeypatch, **others) == [
        "SIGIL_AUDIT_SECRET: required (or SIGIL_AUDIT_SECRET_FILE, or SIGIL_AUDIT=off)"
    ]
    weak = problems(monkeypatch, **others, SIGIL_AUDIT_SECRET="weak")
    assert weak == ["SIGIL_AUDIT_SECRET: a secret has at least 32 bytes, this one has 4"]
    monkeypatch.delenv("SIGIL_AUDIT_SECRET")
    path = tmp_path / "secret"
    path.write_text("a" * 32 + "\n")
    settings = load(monkeypatch, **others, SIGIL_AUDIT_SECRET_FILE=str(path))
    assert settings.audit_secret is not None
    assert settings.audit_secret.get_secret_value() == "a" * 32
    monkeypatch.delenv("SIGIL_AUDIT_SECRET_FILE")
    assert load(monkeypatch, **others, SIGIL_AUDIT="off").audit_file is None


def test_audit_secret_that_seals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever checks the audit log must not be able to make sigils, of any key in use."""
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    shared = "SIGIL_AUDIT_SECRET: must not be a secret that seals"
    secret = GOOD["SIGIL_AUDIT_SECRET"]
    assert problems(monkeypatch, **others, SPIRAL_EVENT_SECRET=secret) == [shared]
    assert problems(monkeypatch, **GOOD, SPIRAL_EVENT_SECRET_PREVIOUS=f"{'p' * 32}\n{secret}") == [shared]
    monkeypatch.delenv("SPIRAL_EVENT_SECRET")
    monkeypatch.delenv("SPIRAL_EVENT_SECRET_PREVIOUS")
    ring = tmp_path / "ring.json"
    write_key_ring_file(ring, [KeyEntry(secret.encode(), "verify-only")])
    assert problems(monkeypatch, **others, SIGIL_KEYRING=str(ring)) == [shared]


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


def test_keys_are_read_again_as_strictly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reading the keys' settings again finds their mistakes, and looks at no other setting."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    others = {name: value for name, value in GOOD.items() if name != "SPIRAL_EVENT_SECRET"}
    load(monkeypatch, **others, SPIRAL_EVENT_SECRET_FILE=str(path), SPIRAL_EVENT_SECRET_PREVIOUS="p" * 32)
    assert key_files() == [path]
    monkeypatch.setenv("SIGIL_PORT", "eighty")
    monkeypatch.setenv("JWT_ISSUERS_FILE", str(tmp_path / "none"))
    assert load_key_settings().secrets_to_verify_with == ["p" * 32]
    path.write_text("short")
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_PREVIOUS", "weak")
    with pytest.raises(SettingsError) as caught:
        load_key_settings()
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "SPIRAL_EVENT_SECRET",
        "SPIRAL_EVENT_SECRET_PREVIOUS",
    ]
    path.unlink()
    with pytest.raises(SettingsError, match="SPIRAL_EVENT_SECRET_FILE: the file cannot be read"):
        load_key_settings()
