"""The examples of the service's documents, run as they are printed."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sigil_native import KeyRing
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from tests.service.forked_commands import commands
from tests.service.running import REPOSITORY, Service, clean_environment
from tests.sigils import key_id_of

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(new_service: Callable[..., Service]) -> Iterator[Callable[[str], str]]:
    """Runs a document's examples, one after the other, against a service; what they print."""
    service = new_service()
    ring = service.folder / "keys.json"
    write_key_ring_file(ring, [KeyEntry(b"k" * 32)])
    service.variables["SIGIL_KEYRING"] = str(ring)
    service.start()
    service.encode({"made": "before"}, token=service.token("globex"))
    programs = service.folder / ".venv" / "bin"
    programs.mkdir(parents=True)

    def run(name: str) -> str:
        blocks = _BLOCK.findall((REPOSITORY / "docs" / name).read_text(encoding="utf-8"))
        script = "\n".join(blocks).replace("127.0.0.1:8080", f"127.0.0.1:{service.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("curl -sS", "curl -fsS")],
            cwd=service.folder,
            # Commands for the store have the settings of the service.
            env=clean_environment(
                PYTHONPATH=str(REPOSITORY), SIGIL_ENVIRONMENT="development", SIGIL_KEYRING=str(ring)
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with commands(programs):
        yield run


def test_service(run: Callable[[str], str]) -> None:
    """The calls of the service's document lead from a sealed event to a revoked record."""
    printed = run("service.md")
    for expected in (
        '"status":"active"',
        '"valid":true',
        '"strand"',
        '"entered twice"',
        "idempotency-replayed: true",
    ):
        assert expected in printed


def test_api(run: Callable[[str], str], tmp_path: Path) -> None:
    """The description and a problem's page are where the reference's document fetches them."""
    run("api.md")
    (folder,) = tmp_path.glob("service-0")
    assert json.loads((folder / "openapi.json").read_bytes())["openapi"].startswith("3.1")
    assert "Send each name once" in (folder / "duplicate_name.html").read_text()


def test_runbook(run: Callable[[str], str], tmp_path: Path) -> None:
    """The backup is whole and private, store and audit log are valid, the new key alone after the drill."""
    printed = run("runbook.md").splitlines()
    _copied, integrity, *_, old, new, ring = printed
    assert integrity == "[('ok',)]"
    assert printed.count("valid") == 2
    assert "no record is that old" in printed
    assert old == f"{key_id_of(b'k' * 32):08x}  active         signs"
    assert ring.startswith("ring ")
    (key,) = KeyRing.load(tmp_path / "service-0" / "keys.json").keys()
    assert f"{key.key_id:08x}  verify-only" == new
    assert key.state == "active"
    (backup,) = tmp_path.glob("service-0/sigils-*.db")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert b'{"made":"before"}' in backup.read_bytes()
