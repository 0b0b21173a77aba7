"""Development mode: certificates made on the spot, kept, and issued anew before they expire."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from app.dnastore import development, issuing
from app.dnastore.development import DevelopmentFiles
from core.dnastore.server_settings import load_server_settings
from core.private_files import PrivateFileError
from core.settings_loading import SettingsError
from core.tls import Identity, ServerFiles, server_context


def contents(folder: Path) -> dict[str, bytes]:
    """What each file holds."""
    return {path.name: path.read_bytes() for path in (folder / "dnastore-development").iterdir()}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """The files that differ."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


PAIRS = {"server.pem", "server-key.pem", "client.pem", "client-key.pem"}


def test_files_are_kept(tmp_path: Path) -> None:
    """The files are their owner's alone, work together, and are the same at the next start."""
    files = DevelopmentFiles(tmp_path)
    first = contents(tmp_path)
    assert first.keys() == PAIRS | {"authority.pem", "authority-key.pem", "allow.json"}
    for path in (tmp_path / "dnastore-development").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    certificate, key, authority, _ = map(Path, files.variables.values())
    server_context(ServerFiles(Identity(certificate, key), authority))
    DevelopmentFiles(tmp_path)
    assert contents(tmp_path) == first


def test_what_expires_is_issued_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates that are about to expire are replaced, and all of them with their authority."""
    with monkeypatch.context() as context:
        context.setattr(issuing, "LIFETIME", timedelta(days=6))
        DevelopmentFiles(tmp_path)
    first = contents(tmp_path)
    DevelopmentFiles(tmp_path)
    second = contents(tmp_path)
    assert changed(first, second) == PAIRS
    monkeypatch.setattr(development, "_AUTHORITY_ABOUT_TO_EXPIRE", timedelta(days=5000))
    DevelopmentFiles(tmp_path)
    assert changed(second, contents(tmp_path)) == PAIRS | {"authority.pem", "authority-key.pem"}


@pytest.mark.parametrize("content", [b"", b"no PEM"])
def test_halves_are_made_whole(tmp_path: Path, content: bytes) -> None:
    """A key that does not fit its certificate is replaced with it; a list that was changed is kept."""
    DevelopmentFiles(tmp_path)
    folder = tmp_path / "dnastore-development"
    (folder / "allow.json").write_text("{}")
    first = contents(tmp_path)
    (folder / "client-key.pem").write_bytes(content)
    DevelopmentFiles(tmp_path)
    assert changed(first, contents(tmp_path)) == {"client.pem", "client-key.pem"}


def test_a_list_that_others_may_read(tmp_path: Path) -> None:
    """An allow-list that was replaced with the usual umask does not stop the next start."""
    DevelopmentFiles(tmp_path)
    path = tmp_path / "dnastore-development" / "allow.json"
    path.chmod(0o644)
    variables = DevelopmentFiles(tmp_path).variables
    assert load_server_settings({**variables, "DNASTORE_SERVER_DATA_DIR": str(tmp_path)}).allow == path
    path.chmod(0o666)
    with pytest.raises(SettingsError, match="DNASTORE_SERVER_ALLOW"):
        load_server_settings({**variables, "DNASTORE_SERVER_DATA_DIR": str(tmp_path)})


def test_open_files_are_refused(tmp_path: Path) -> None:
    """A private file that others can read stops the start."""
    DevelopmentFiles(tmp_path)
    (tmp_path / "dnastore-development" / "server-key.pem").chmod(0o644)
    with pytest.raises(PrivateFileError, match="open to others"):
        DevelopmentFiles(tmp_path)
