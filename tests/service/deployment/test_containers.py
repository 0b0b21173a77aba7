"""What containers ask of the programs: a health check without tools, and a stop at any time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.health import main
from tests.service.dnastore.running import DnaStore
from tests.service.running import REPOSITORY, Service, clean_environment
from tests.service.server.tls_files import Authority, variables


def test_a_plain_service_is_healthy(service: Service) -> None:
    """The health check of a service without TLS passes."""
    assert main([], {"SIGIL_HOST": "0.0.0.0", "SIGIL_PORT": str(service.port)}) == 0  # noqa: S104


@pytest.mark.parametrize("mutual", [False, True])
def test_health_by_tls(tmp_path: Path, new_service: Callable[..., Service], *, mutual: bool) -> None:
    """The check passes by TLS, with certificates of clients or without, and leaves nothing in the log."""
    authority = Authority(tmp_path / "authority")
    tls = variables(authority.issue("server"), authority.path if mutual else None)
    service = new_service(**tls).start()
    before = service.log_path.read_text()
    assert main(["serve"], {**tls, "SIGIL_PORT": str(service.port)}) == 0
    assert service.stop() == 0
    assert "refused" not in service.log_path.read_text().removeprefix(before)


def test_health_of_a_dnastore(tmp_path: Path) -> None:
    """The check of a DNAStore passes while it runs, fails when it is gone, and logs nobody as refused."""
    dnastore = DnaStore(tmp_path).start()
    environ = {"DNASTORE_SERVER_PORT": str(dnastore.port)}
    assert main(["dnastore"], environ) == 0
    assert dnastore.stop() == 0
    assert "refused" not in dnastore.log_path.read_text()
    assert main(["dnastore"], environ) == 1


def test_nobody_there(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not answer, or answers something else, is not healthy, and the check says why."""
    assert main(["serve"], {"SIGIL_PORT": "1"}) == 1
    assert main(["dnastore"], {"DNASTORE_SERVER_PORT": str(service.port)}) == 1
    assert capsys.readouterr().err.count("not healthy: ") == 2


def test_the_check_is_cheap() -> None:
    """The health check imports nothing but the standard library: it runs every few seconds."""
    code = "import sys, app.health; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert not roots & {"click", "core", "cryptography", "pydantic", "sigil_native", "structlog", "uvicorn"}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a process the first of its namespace: root")
@pytest.mark.parametrize("command", ["serve", "dnastore"])
def test_the_first_process_stops_while_it_imports(command: str, tmp_path: Path) -> None:
    """SIGTERM ends a server that is a container's first process and has not imported everything yet."""
    line = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    line += [sys.executable, "-X", "importtime", "-m", "app", command, "--development"]
    environment = clean_environment(SIGIL_DATA_DIR=str(tmp_path), DNASTORE_SERVER_DATA_DIR=str(tmp_path))
    with (tmp_path / "log").open("wb") as log:
        outside = subprocess.Popen(line, cwd=REPOSITORY, env=environment, stderr=log, stdout=log)
    try:
        end = time.monotonic() + 30
        # The first import of app/cli.py.
        while not re.search(rb"\| +click\.types", (tmp_path / "log").read_bytes()):
            assert time.monotonic() < end, (tmp_path / "log").read_text()[-500:]
            time.sleep(0.002)
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert outside.wait(10) == 0
    finally:
        outside.kill()
        outside.wait(10)
    log_text = (tmp_path / "log").read_text()
    assert "app.cli" not in log_text
    assert "listening" not in log_text
