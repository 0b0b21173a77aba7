"""``python -m app keys``: a key ring file changed step by step."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from core.keys import ring_digest
from sigil_native import KeyRing, SigilCodec
from sigil_native._keyfile import KeyEntry, read_key_ring_file, write_key_ring_file
from tests.service.running import clean_environment
from tests.sigils import base64url, key_id_of

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key ring file with one key that signs."""
    path = tmp_path / "keys.json"
    write_key_ring_file(path, [KeyEntry(OLD)])
    return path


Keys = Callable[..., Result]


@pytest.fixture
def keys(path: Path) -> Keys:
    """The command, on that file."""
    unset = dict.fromkeys(os.environ.keys() - clean_environment().keys())

    def run(*arguments: str, file: Path | None = None, **variables: str) -> Result:
        named = {"SIGIL_KEYRING": str(path)} if file is None else {}
        option = [] if file is None else ["--keyring", str(file)]
        environment = {**unset, **named, **variables}
        return CliRunner().invoke(main, ["keys", *option, *arguments], env=environment)

    return run


def hexadecimal(secret: bytes) -> str:
    """A secret's key id as the command takes it."""
    return f"{key_id_of(secret):08x}"


def listed(keys: Keys) -> Any:
    """The keys as programs see them."""
    done = keys("list", "--json")
    assert done.exit_code == 0
    return json.loads(done.stdout)["keys"]


def states(keys: Keys) -> list[tuple[str, bool]]:
    """Each key's state, and whether it signs."""
    return [(key["state"], key["signs"]) for key in listed(keys)]


def test_whole_life_of_a_key(keys: Keys, path: Path) -> None:
    """Added it only verifies; then it signs, stands down for the next, retires, and goes."""
    added = keys("add")
    new = added.stdout.strip()
    assert (added.exit_code, added.stderr, len(new)) == (0, "", 8)
    assert states(keys) == [("active", True), ("verify-only", False)]
    assert keys("activate", new).exit_code == 0
    assert states(keys) == [("verify-only", False), ("active", True)]
    assert keys("retire", hexadecimal(OLD), "--in", "30d").exit_code == 0
    old, _ = listed(keys)
    assert (old["state"], old["retire_at"][-1]) == ("verify-only", "Z")
    retire_at = read_key_ring_file(path)[0].retire_at
    assert retire_at is not None
    assert 29 * 86400 < retire_at - time.time() <= 30 * 86400
    assert keys("remove", hexadecimal(OLD)).exit_code == 1
    assert keys("retire", hexadecimal(OLD)).exit_code == 0
    assert states(keys) == [("retired", False), ("active", True)]
    assert keys("remove", hexadecimal(OLD)).exit_code == 0
    assert [key["key_id"] for key in listed(keys)] == [new]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_list(keys: Keys, path: Path) -> None:
    """People see id, state and times, whether it signs, and the digest that the log has; no secret."""
    write_key_ring_file(
        path,
        [
            KeyEntry(OLD, "verify-only", retire_at=4102444800),
            KeyEntry(NEW, not_before=1, retire_at=4102444800.5),
            KeyEntry(b"a" * 32, not_before=4102444800),
            KeyEntry(b"b" * 32, "revoked"),
        ],
        replace=True,
    )
    lines = keys("list").stdout.splitlines()
    assert lines == [
        f"{hexadecimal(OLD)}  verify-only    until 2100-01-01T00:00:00.000Z",
        f"{hexadecimal(NEW)}  active         signs  from 1970-01-01T00:00:01.000Z"
        "  until 2100-01-01T00:00:00.500Z",
        f"{hexadecimal(b'a' * 32)}  not_yet_valid  from 2100-01-01T00:00:00.000Z",
        f"{hexadecimal(b'b' * 32)}  revoked",
        f"ring {ring_digest(KeyRing.load(path))}",
    ]
    assert base64url(OLD) not in keys("list").stdout + keys("list", "--json").stdout


def test_nothing_verified_so_far_is_refused_by_a_step(keys: Keys, path: Path) -> None:
    """A sigil of any earlier step verifies after each later one, until its key is retired."""
    sigils = []
    for step in ("add", "activate", "retire"):
        sigils.append(SigilCodec(KeyRing.load(path)).encode(1, tenant="t"))
        if step == "add":
            new = keys("add").stdout.strip()
        else:
            more = ("--in", "1h") if step == "retire" else ()
            assert keys(step, new if step == "activate" else hexadecimal(OLD), *more).exit_code == 0
        for sigil in sigils:
            SigilCodec(KeyRing.load(path)).verify(sigil, 1, tenant="t")


@pytest.mark.parametrize("command", ["retire", "revoke"])
def test_the_only_key_that_signs(keys: Keys, path: Path, command: str) -> None:
    """It is neither retired nor revoked by accident; a leaked one can be revoked all the same."""
    keys("add")
    before = path.read_bytes()
    done = keys(command, hexadecimal(OLD))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("no other key can sign: add one and activate it first")
    assert path.read_bytes() == before
    assert keys("revoke", hexadecimal(OLD), "--force").exit_code == 0
    assert states(keys) == [("revoked", False), ("verify-only", False)]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (KeyEntry(NEW, "revoked"), "the key is revoked"),
        (KeyEntry(NEW, "verify-only", not_before=4102444800), "the key is outside of its times"),
        (KeyEntry(NEW, "verify-only", retire_at=1), "the key is outside of its times"),
    ],
)
def test_key_that_cannot_sign(keys: Keys, path: Path, entry: KeyEntry, said: str) -> None:
    """A key that is revoked, retired or of the future is not activated: nothing would sign."""
    write_key_ring_file(path, [KeyEntry(OLD), entry], replace=True)
    done = keys("activate", hexadecimal(NEW))
    assert (done.exit_code, said in done.stderr) == (1, True)
    assert read_key_ring_file(path) == [KeyEntry(OLD), entry]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["activate", "00000000"], 1, "the ring holds no key 00000000\n"),
        (["remove", "00000000"], 1, "the ring holds no key 00000000\n"),
        (["activate", "xyz"], 2, "eight digits"),
        (["activate", "+1234567"], 2, "eight digits"),
        (["retire", "00000000", "--in", "soon"], 2, "not a duration"),
        (["retire", hexadecimal(OLD), "--in", "9999999w"], 2, "'--in': out of range: beyond the year 9999"),
    ],
)
def test_wrong_usage(keys: Keys, path: Path, arguments: list[str], code: int, said: str) -> None:
    """What makes no sense is refused in a line, and changes nothing."""
    before = path.read_bytes()
    done = keys(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", [["list"], ["add"], ["revoke", hexadecimal(OLD)]])
def test_file_that_cannot_be_used(keys: Keys, path: Path, tmp_path: Path, command: list[str]) -> None:
    """Without a file, or with a bad one, every command ends with 78 and one line that shows no secret."""
    assert (
        keys(*command, SIGIL_KEYRING="").stderr == "SIGIL_KEYRING: required: the key ring file to work on\n"
    )
    missing = keys(*command, SIGIL_KEYRING=str(tmp_path / "none"))
    assert (missing.exit_code, missing.stderr.count("\n")) == (78, 1)
    assert missing.stderr.startswith(f"SIGIL_KEYRING: {tmp_path / 'none'}: No such file")
    assert keys(*command, SIGIL_KEYRING=str(tmp_path)).exit_code == 78
    path.write_text('{"version":1,"keys":[{"secret":"hunter2"}]}')
    bad = keys(*command)
    assert (bad.exit_code, bad.stdout, bad.stderr.count("\n")) == (78, "", 1)
    assert "hunter2" not in bad.stderr
    assert path.read_text().endswith('"hunter2"}]}')


@pytest.mark.parametrize("command", [["list"], ["add"]])
def test_pipe(keys: Keys, tmp_path: Path, command: list[str]) -> None:
    """A named pipe, which nobody may ever write to, is refused as the service refuses it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = keys(*command, file=pipe)
    assert (done.exit_code, done.stdout) == (78, "")
    assert done.stderr == f"SIGIL_KEYRING: key ring file {pipe}: not a plain file\n"


def test_file_that_cannot_be_written(keys: Keys, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that takes no new file is told from a file that cannot be read: 74, as a full disk is."""

    def refuse(source: str, target: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), source, None, target)

    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", refuse)
    done = keys("add")
    assert (done.exit_code, done.stderr) == (74, f"SIGIL_KEYRING: {path}: Permission denied\n")
    assert [path.read_bytes(), *path.parent.iterdir()] == [before, path]


def test_at_the_same_time(keys: Keys, path: Path) -> None:
    """Changes at the same time wait for each other: no added key is lost."""
    threads = [
        threading.Thread(
            target=main, args=(["keys", "--keyring", str(path), "add"],), kwargs={"standalone_mode": False}
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listed(keys)) == 11


def test_link_stays_a_link(keys: Keys, path: Path, tmp_path: Path) -> None:
    """A file that is reached by a link is changed where it is."""
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert keys("add", SIGIL_KEYRING=str(link)).exit_code == 0
    assert link.is_symlink()
    assert len(read_key_ring_file(path)) == 2


def test_import(keys: Keys, path: Path, tmp_path: Path) -> None:
    """Secrets of the environment become a file: what they sealed verifies, and the current one signs."""
    made = tmp_path / "made.json"
    secrets = {"SPIRAL_EVENT_SECRET": "s" * 32, "SPIRAL_EVENT_SECRET_PREVIOUS": "p" * 32 + "\n" + "s" * 32}
    done = keys("import", SIGIL_KEYRING="", **secrets)
    assert done.exit_code == 78  # no file named
    done = keys("import", file=made, **secrets)
    assert (done.exit_code, done.output) == (0, "")
    assert read_key_ring_file(made) == [KeyEntry(b"p" * 32, "verify-only"), KeyEntry(b"s" * 32)]
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    again = keys("import", file=made, **secrets)
    assert (again.exit_code, again.stderr) == (74, f"SIGIL_KEYRING: {made}: File exists\n")
    nowhere = keys("import", file=tmp_path / "none" / "keys.json", **secrets)
    assert (nowhere.exit_code, nowhere.stderr.endswith("No such file or directory\n")) == (74, True)
    bad: dict[str, str]
    for bad in ({}, {"SPIRAL_EVENT_SECRET": "hunter2"}, {"SPIRAL_EVENT_SECRET_FILE": str(tmp_path)}):
        refused = keys("import", file=tmp_path / "other", **bad)
        assert (refused.exit_code, refused.stdout) == (78, "")
        assert refused.stderr.startswith("SPIRAL_EVENT_SECRET")
        assert "hunter2" not in refused.stderr
        assert not (tmp_path / "other").exists()
