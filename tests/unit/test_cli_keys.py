"""Secrets: made, rotated, found; never shown."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sigil_native import KeyRing, sign_event
from sigil_native.cli import main

SECRET = "correct horse battery staple, and 7 more words"
OTHER = "the quick brown fox jumps over the lazy dog"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder that holds a document, without any secret."""
    for name in list(os.environ):
        if name.startswith("SPIRAL_EVENT_SECRET") or name == "SIGIL_KEYRING":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("d").write_text("[1]")

    def command(*arguments: str) -> tuple[int, str, str]:
        return main(arguments), *capfd.readouterr()

    return command


def signature(secret: str | bytes) -> str:
    """The event signature of the document."""
    return sign_event([1], secret) + "\n"


def ring_file(name: str, *keys: dict[str, object]) -> str:
    """A key ring file."""
    Path(name).write_text(json.dumps({"version": 1, "keys": keys}))
    return name


def key(secret: str, **fields: object) -> dict[str, object]:
    """A key of a key ring file."""
    return {"secret": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="), **fields}


# -- keygen --------------------------------------------------------------------


def test_keygen_makes_a_file_for_its_owner_alone(run: Run) -> None:
    """The file is a key ring with one active key; only its id is printed."""
    status, out, err = run("keygen", "--keyring", "ring.json")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{8}\n", out)
    assert stat.S_IMODE(Path("ring.json").stat().st_mode) == 0o600
    (info,) = KeyRing.load("ring.json").keys()
    assert (f"{info.key_id:08x}\n", info.state) == (out, "active")


def test_keygen_overwrites_nothing(run: Run) -> None:
    """An existing file is left as it is."""
    Path("ring.json").write_text("precious")
    status, out, err = run("keygen", "--keyring", "ring.json")
    assert (status, out) == (74, "")
    assert err == "sigil: ring.json exists and is left as it is; --rotate adds a key to it\n"
    assert Path("ring.json").read_text() == "precious"


def test_keygen_rotates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key signs; what the old one sealed holds still, and until it retires where asked."""
    monkeypatch.setenv("SIGIL_KEYRING", "ring.json")
    first = run("keygen")[1].strip()
    sigil = run("encode", "d", "--tenant", "acme")[1].strip()
    status, out, _ = run("keygen", "--rotate", "--json", "--retire-previous-in", "1d")
    second = json.loads(out)["key_id"]
    assert status == 0
    assert second != first
    old, new = KeyRing.load("ring.json").keys()
    assert (f"{old.key_id:08x}", old.state, f"{new.key_id:08x}", new.state) == (
        first,
        "verify-only",
        second,
        "active",
    )
    assert old.retire_at is not None
    assert new.retire_at is None
    assert run("verify", sigil, "d", "--tenant", "acme")[0] == 0
    late = run("verify", sigil, "d", "--tenant", "acme", "--now", str(old.retire_at + 1))
    assert late[2] == "sigil: refused: the key is retired\n"
    assert json.loads(run("encode", "d", "--tenant", "acme", "--json")[1])["key_id"] == second
    # An earlier end stays, and a key that only verified before is not touched.
    run("keygen", "--rotate", "--retire-previous-in", "52w")
    oldest, old, new = KeyRing.load("ring.json").keys()
    assert oldest.retire_at is not None
    assert old.retire_at is not None
    assert oldest.retire_at < old.retire_at - 86400


def test_keygen_rotates_behind_a_link(run: Run) -> None:
    """A key ring reached by a link is rotated where it is."""
    run("keygen", "--keyring", "ring.json")
    Path("link.json").symlink_to("ring.json")
    assert run("keygen", "--keyring", "link.json", "--rotate")[0] == 0
    assert Path("link.json").is_symlink()
    assert len(KeyRing.load("ring.json")) == 2
    assert sorted(map(str, Path().iterdir())) == ["d", "link.json", "ring.json"]


def test_keygen_rotates_no_pipe(run: Run) -> None:
    """A pipe cannot be rotated, and is not waited for."""
    os.mkfifo("pipe")
    refused = run("keygen", "--keyring", "pipe", "--rotate")
    assert refused == (78, "", "sigil: key ring file pipe: not a plain file\n")


def test_keygen_keeps_who_may_read(run: Run) -> None:
    """A rotation takes the file away from nobody who was given it."""
    run("keygen", "--keyring", "ring.json")
    Path("ring.json").chmod(0o640)
    if os.geteuid() == 0:
        os.chown("ring.json", 12345, 23456)
    before = Path("ring.json").stat()
    assert run("keygen", "--keyring", "ring.json", "--rotate")[0] == 0
    after = Path("ring.json").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_rotations_at_once_lose_no_key(run: Run) -> None:
    """Each of several rotations at one time adds its key to the others'."""
    run("keygen", "--keyring", "ring.json")
    threads = [
        threading.Thread(target=main, args=(["keygen", "--keyring", "ring.json", "--rotate"],))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ring = KeyRing.load("ring.json")
    states = [info.state for info in ring.keys()]  # noqa: SIM118 - a ring is no dict
    assert states == ["verify-only"] * 8 + ["active"]


@pytest.mark.parametrize("duration", ["3650000d", "9999999w", "99999999999999w"])
def test_keygen_retires_within_the_calendar(run: Run, duration: str) -> None:
    """A moment that no key ring file may hold is refused, and the file stays as it is."""
    run("keygen", "--keyring", "ring.json")
    before = Path("ring.json").read_bytes()
    assert run("keygen", "--keyring", "ring.json", "--rotate", "--retire-previous-in", duration) == (
        2,
        "",
        "sigil: keygen: --retire-previous-in is out of range: beyond the year 9999\n",
    )
    assert Path("ring.json").read_bytes() == before


def test_keygen_raw(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare secret comes only on request, and works as the environment's."""
    status, out, err = run("keygen", "--raw")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", out)
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", out.strip())
    assert run("sign", "d")[1] == signature(out.strip())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--raw", "--rotate"],
        ["--raw", "--json"],
        ["--raw", "--keyring", "x"],
        ["--keyring", "x", "--retire-previous-in", "1d"],
    ],
)
def test_keygen_used_wrongly(run: Run, arguments: list[str]) -> None:
    """Wrong usage has status 2 and makes no file."""
    status, out, err = run("keygen", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("sigil: keygen: ")
    assert list(Path().iterdir()) == [Path("d")]


def test_keygen_in_a_place_that_cannot_be_written(run: Run) -> None:
    """A missing folder is an I/O error, a missing file to rotate one of configuration."""
    assert run("keygen", "--keyring", "missing/ring.json")[0] == 74
    assert run("keygen", "--keyring", "ring.json", "--rotate") == (
        78,
        "",
        "sigil: key ring file ring.json: No such file or directory\n",
    )


# -- where secrets come from ---------------------------------------------------


def test_without_a_secret(run: Run) -> None:
    """The error names every way to give one, and a sigil can still be decoded."""
    for command in (["encode", "d", "--tenant", "a"], ["verify", "x", "d", "--tenant", "a"], ["sign", "d"]):
        assert run(*command) == (
            78,
            "",
            "sigil: no secret: give --keyring FILE, or set SIGIL_KEYRING, SPIRAL_EVENT_SECRET or "
            "SPIRAL_EVENT_SECRET_FILE\n",
        )
    assert run("canon", "d")[0] == 0


def test_the_order_of_sources(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option comes before the variable, a key ring before a bare secret."""
    one = ring_file("one.json", key("one" * 20))
    two = ring_file("two.json", key("two" * 20))
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", SECRET)
    assert run("sign", "d")[1] == signature(SECRET)
    monkeypatch.setenv("SIGIL_KEYRING", one)
    assert run("sign", "d")[1] == signature("one" * 20)
    assert run("sign", "d", "--keyring", two)[1] == signature("two" * 20)
    monkeypatch.setenv("SIGIL_KEYRING", "")
    assert run("sign", "d")[1] == signature(SECRET)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (OTHER + "\n", OTHER),
        (OTHER + "\r\n", OTHER),
        (OTHER, OTHER),
        (OTHER + " \n", OTHER + " "),
        (OTHER + "\n\n", OTHER + "\n"),
    ],
)
def test_a_secret_from_a_file(run: Run, monkeypatch: pytest.MonkeyPatch, content: str, secret: str) -> None:
    """One newline at the end is the editor's, all else the secret's."""
    Path("secret").write_bytes(content.encode())
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_FILE", "secret")
    assert run("sign", "d")[1] == signature(secret)


def test_earlier_secrets_verify_and_never_sign(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SPIRAL_EVENT_SECRET_PREVIOUS holds secrets, a line each, that only verify."""
    sigils = []
    for secret in (SECRET, OTHER):
        monkeypatch.setenv("SPIRAL_EVENT_SECRET", secret)
        sigils.append(run("encode", "d", "--tenant", "a")[1].strip())
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", "n" * 32)
    assert run("verify", sigils[0], "d", "--tenant", "a")[2] == "sigil: refused: the key is unknown\n"
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_PREVIOUS", f"{SECRET}\n\n{OTHER}\n")
    assert [run("verify", sigil, "d", "--tenant", "a")[0] for sigil in sigils] == [0, 0]
    assert run("sign", "d")[1] == signature("n" * 32)
    monkeypatch.delenv("SPIRAL_EVENT_SECRET_PREVIOUS")
    Path("previous").write_bytes(f"{OTHER}\r\n{SECRET}\r\n".encode())
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_PREVIOUS_FILE", "previous")
    assert [run("verify", sigil, "d", "--tenant", "a")[0] for sigil in sigils] == [0, 0]


def test_a_secret_named_twice_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current secret among the earlier ones, or one of them twice, is as good as once."""
    monkeypatch.setenv("SPIRAL_EVENT_SECRET", SECRET)
    monkeypatch.setenv("SPIRAL_EVENT_SECRET_PREVIOUS", f"{OTHER}\n{SECRET}\n{OTHER}\n")
    sigil = run("encode", "d", "--tenant", "a")[1].strip()
    assert run("verify", sigil, "d", "--tenant", "a")[0] == 0
    assert run("sign", "d")[1] == signature(SECRET)
    assert run("sign", "d", "--verify", signature(OTHER).strip())[0] == 0


def test_sign_follows_the_ring(run: Run) -> None:
    """The latest active key that is valid now signs; revoked and retired ones do not even verify."""
    path = ring_file(
        "ring.json",
        key("a" * 32, not_before=1000),
        key("b" * 32, not_before=2000),
        key("c" * 32, not_before=2000),
        key("d" * 32, not_before=1e11),
        key("e" * 32, not_before=3000, retire_at=4000),
        key("f" * 32, state="verify-only", not_before=5000),
        key("g" * 32, state="revoked", not_before=5000),
    )
    assert run("sign", "d", "--keyring", path)[1] == signature("c" * 32)
    verdicts = [
        run("sign", "d", "--keyring", path, "--verify", signature(letter * 32).strip())[0]
        for letter in "abcdefg"
    ]
    assert verdicts == [0, 0, 0, 1, 1, 0, 1]


def test_a_ring_without_a_key_to_sign_with(run: Run) -> None:
    """Sealing needs an active key: status 78, before input is read."""
    path = ring_file("ring.json", key("a" * 32, state="verify-only"))
    for command in (
        ["encode", "missing", "--tenant", "a"],
        ["encode", "--ndjson", "missing", "--tenant", "a"],
    ):
        assert run(*command, "--keyring", path) == (
            78,
            "",
            "sigil: the ring holds no key that may sign now\n",
        )
    assert run("sign", "missing", "--keyring", path)[0] == 78


@pytest.mark.parametrize(
    "environment",
    [
        {"SPIRAL_EVENT_SECRET": "hunter2-short"},
        {"SPIRAL_EVENT_SECRET": SECRET, "SPIRAL_EVENT_SECRET_FILE": "d"},
        {"SPIRAL_EVENT_SECRET_FILE": "missing"},
        {"SPIRAL_EVENT_SECRET_FILE": "d"},
        {"SPIRAL_EVENT_SECRET_FILE": "."},
        {"SPIRAL_EVENT_SECRET_FILE": "/dev/zero"},
        {"SPIRAL_EVENT_SECRET": SECRET, "SPIRAL_EVENT_SECRET_PREVIOUS_FILE": "/dev/zero"},
        {"SPIRAL_EVENT_SECRET": SECRET, "SPIRAL_EVENT_SECRET_PREVIOUS": "hunter2-short"},
        {"SPIRAL_EVENT_SECRET": SECRET, "SPIRAL_EVENT_SECRET_PREVIOUS_FILE": "missing"},
        {"SIGIL_KEYRING": "missing"},
        {"SIGIL_KEYRING": "."},
        {"SIGIL_KEYRING": "/dev/zero"},
        {"SIGIL_KEYRING": "d"},
        {"SIGIL_KEYRING": "weak.json"},
        {"SIGIL_KEYRING": "twice.json"},
        {"SIGIL_KEYRING": "odd.json"},
    ],
    ids=str,
)
def test_bad_configuration(run: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """A secret that cannot be used has status 78 and one line that says which, never the secret."""
    ring_file("weak.json", key("hunter2-short"))
    ring_file("twice.json", key(SECRET), key(SECRET))
    ring_file("odd.json", key(SECRET, state="hunter2-short"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    status, out, err = run("encode", "d", "--tenant", "acme")
    assert (status, out) == (78, "")
    assert err.count("\n") == 1
    name, value = list(environment.items())[-1]
    assert (value if name == "SIGIL_KEYRING" else name) in err
    for secret in (SECRET, "hunter2", str(key(SECRET)["secret"]), str(key("hunter2-short")["secret"])):
        assert secret not in err
