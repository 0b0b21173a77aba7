"""The key ring file: what is read, what is refused, and that no message shows a secret."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native._keyfile import KeyEntry, read_key_ring_file, write_key_ring_file
from sigil_native._keyinfo import KeyInfo
from sigil_native.errors import KeyRingFormatError
from tests.sigils import base64url, key_id_of, key_ring_text

A, B = b"\xfb" * 32, b"B" * 33
SECRET = base64url(A)


def test_ring_is_loaded(library: SimpleNamespace, tmp_path: Path) -> None:
    """Members that may be left out have their defaults; the order is kept."""
    path = tmp_path / "ring.json"
    path.write_text(
        key_ring_text(
            {"secret": base64url(B), "state": "verify-only", "not_before": 1.5, "retire_at": 20},
            {"secret": SECRET},
        )
    )
    for name in (path, str(path), os.fsencode(path)):
        assert library.KeyRing.load(name).keys() == [
            KeyInfo(key_id_of(B), "verify-only", 1.5, 20.0),
            KeyInfo(key_id_of(A), "active", None, None),
        ]


def test_empty_ring_is_loaded(library: SimpleNamespace, tmp_path: Path) -> None:
    """A file without keys is a ring without keys."""
    path = tmp_path / "ring.json"
    path.write_text(key_ring_text())
    assert len(library.KeyRing.load(path)) == 0


def test_missing_file_is_an_os_error(library: SimpleNamespace, tmp_path: Path) -> None:
    """What the system says about the file is passed on."""
    with pytest.raises(FileNotFoundError):
        library.KeyRing.load(tmp_path / "none.json")


BAD_FILES: dict[str, str | bytes] = {
    "must be an object with the members version and keys, and no others": "[]",
    "version must be 1": key_ring_text(version=2),
    "keys must be an array": '{"version":1,"keys":{}}',
    "not JSON": key_ring_text({"secret": SECRET}) + "x",
    "not UTF-8": key_ring_text({"secret": SECRET}).encode() + b"\xff",
    "an object has two members of one name": (
        f'{{"version":1,"keys":[{{"secret":"{SECRET}","secret":"{SECRET}"}}]}}'
    ),
    "key 1: must be an object": '{"version":1,"keys":[null]}',
    "key 1: has no secret": key_ring_text({"state": "active"}),
    "key 2: has a member other than secret, state, not_before and retire_at": key_ring_text(
        {"secret": SECRET}, {"secret": base64url(B), SECRET: 1}
    ),
    "key 1: secret must be a string": key_ring_text({"secret": [SECRET]}),
    "key 1: secret is not base64url without padding": key_ring_text({"secret": SECRET + "="}),
    "key 1: secret has unused bits that are not zero": key_ring_text({"secret": SECRET[:-1] + "t"}),
    "key 1: a secret has at least 32 bytes, this one has 31": key_ring_text({"secret": base64url(A[:31])}),
    'key 1: state must be "active", "verify-only" or "revoked"': key_ring_text(
        {"secret": SECRET, "state": SECRET}
    ),
    "key 1: not_before is out of range": key_ring_text({"secret": SECRET, "not_before": -1}),
    "key 1: retire_at must be a number of seconds or None, not str": key_ring_text(
        {"secret": SECRET, "retire_at": SECRET}
    ),
    "larger than 1 MiB": key_ring_text() + " " * (1 << 20),
    "key 2: the same secret as key 1": key_ring_text({"secret": SECRET}, {"secret": SECRET}),
}


@pytest.mark.parametrize(("problem", "text"), BAD_FILES.items())
def test_bad_file_is_refused(
    library: SimpleNamespace, tmp_path: Path, problem: str, text: str | bytes
) -> None:
    """The message names the file, the key and the problem, and the error keeps no secret alive."""
    path = tmp_path / "ring.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(KeyRingFormatError) as caught:
        library.KeyRing.load(path)
    assert str(caught.value) == f"key ring file {path}: {problem}"
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "null",
        "\ufeff" + key_ring_text(),
        key_ring_text(version=1.0),
        key_ring_text(version=True),
        key_ring_text(version="1"),
        key_ring_text(comment="x"),
        '{"version":1,"version":1,"keys":[]}',
        '{"version":1,"keys":' + "[" * 100_000,
        '{"version":' + "1" * 5000 + ',"keys":[]}',
        key_ring_text({"secret": SECRET, "not_before": True}),
        '{"version":1,"keys":[{"secret":"' + SECRET + '","not_before":NaN}]}',
        '{"version":1,"keys":[{"secret":"' + SECRET + '","not_before":1e999}]}',
        key_ring_text({"secret": SECRET + "\n"}),
        key_ring_text({"secret": SECRET + "é"}),
        key_ring_text({"secret": SECRET.replace("-", "+")}),
        key_ring_text({"secret": SECRET + "AA"[: (1 - len(SECRET)) % 4]}),
        key_ring_text({"secret": SECRET, "state": None}),
        key_ring_text({"secret": SECRET, "state": []}),
        key_ring_text({"secret": ""}),
    ],
)
def test_other_bad_files(library: SimpleNamespace, tmp_path: Path, text: str) -> None:
    """Nothing is guessed at: any departure from the format is refused."""
    path = tmp_path / "ring.json"
    path.write_text(text)
    with pytest.raises(KeyRingFormatError):
        library.KeyRing.load(path)


# -- writing -----------------------------------------------------------------------


def test_written_file_is_read_back(tmp_path: Path) -> None:
    """The writer's file is the reader's, and its owner's alone."""
    path = tmp_path / "ring.json"
    entries = [KeyEntry(A), KeyEntry(B, "verify-only", 1.5, 2)]
    write_key_ring_file(path, entries)
    assert read_key_ring_file(path) == entries
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["version"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["ring.json"]


@pytest.mark.parametrize(
    "entries",
    [
        [KeyEntry(A, retire_at=253402300800)],
        [KeyEntry(A, not_before=float("nan"))],
        [KeyEntry(A, "retired")],
        [KeyEntry(A[:31])],
        [KeyEntry(A), KeyEntry(A)],
        [KeyEntry(number.to_bytes(32, "big")) for number in range(9000)],
    ],
    ids=["retire_at", "not_before", "state", "secret", "twice", "size"],
)
def test_what_could_not_be_read_is_not_written(tmp_path: Path, entries: list[KeyEntry]) -> None:
    """The writer refuses what the reader would refuse, before it touches a file."""
    path = tmp_path / "ring.json"
    write_key_ring_file(path, [KeyEntry(B)])
    with pytest.raises(KeyRingFormatError):
        write_key_ring_file(path, entries, replace=True)
    assert read_key_ring_file(path) == [KeyEntry(B)]
    assert [file.name for file in tmp_path.iterdir()] == ["ring.json"]


def test_existing_file_is_kept_unless_replaced(tmp_path: Path) -> None:
    """A key ring is not overwritten by accident; replacing it is one step."""
    path = tmp_path / "ring.json"
    write_key_ring_file(path, [KeyEntry(A)])
    with pytest.raises(FileExistsError):
        write_key_ring_file(path, [KeyEntry(B)])
    assert read_key_ring_file(path) == [KeyEntry(A)]
    write_key_ring_file(path, [KeyEntry(B)], replace=True)
    assert read_key_ring_file(path) == [KeyEntry(B)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["ring.json"]


def test_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses, the old file is as it was and nothing else is left."""
    path = tmp_path / "ring.json"
    write_key_ring_file(path, [KeyEntry(A)])

    def refuse(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no space"):
        write_key_ring_file(path, [KeyEntry(B)], replace=True)
    with pytest.raises(OSError, match="no space"):
        write_key_ring_file(tmp_path / "new.json", [KeyEntry(B)])
    assert read_key_ring_file(path) == [KeyEntry(A)]
    assert [file.name for file in tmp_path.iterdir()] == ["ring.json"]


def test_entry_shows_no_secret() -> None:
    """An entry in a traceback or a log does not give the secret away."""
    shown: Any = repr(KeyEntry(A, "revoked"))
    assert shown == "<KeyEntry revoked>"
