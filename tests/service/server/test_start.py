"""Starting and stopping: the banner, the port, restarts, exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey

import sigil_native
from app.authentication.development import DevelopmentIssuer, audit_secret, event_secret
from app.cli import main
from core.private_files import PrivateFileError
from tests.service.authentication.forge import ISSUER, Forge
from tests.service.running import SIGILS, Service, clean_environment
from tests.service.server.wire import read_to_end, request, statuses, wait_until_deaf


def command(*arguments: str, **variables: str) -> Result:
    """Run the command line in this process, to its end."""
    unset = dict.fromkeys(os.environ.keys() - clean_environment().keys())
    return CliRunner().invoke(main, arguments, env={**unset, **variables})


def test_the_printed_lines_work(new_service: Callable[..., Service]) -> None:
    """The printed curl lines work when pasted into a shell: an event is sealed, then verified."""
    service = new_service().start(fresh=True)
    while not (banner := service.output_path.read_text()).endswith("\n\n") or banner.count("\ncurl ") < 2:
        time.sleep(0.01)
    lines = banner.splitlines()
    assert f"{service.url} (Ctrl-C stops it)" in lines[1]
    (token,) = [line for line in lines if line.startswith("TOKEN=")]
    seal, verify = [line for line in lines if line.startswith("curl ")]
    assert token.removeprefix("TOKEN=") in seal
    sealed = subprocess.run(["sh", "-c", seal], capture_output=True, check=True)
    record = json.loads(sealed.stdout)
    assert record["status"] == "active"
    pasted = verify.replace("SIGIL", record["sigil"])
    verified = subprocess.run(["sh", "-c", pasted], capture_output=True, check=True)
    assert json.loads(verified.stdout)["valid"] is True


def test_secrets_are_kept_and_private(new_service: Callable[..., Service]) -> None:
    """Tokens and sigils of development mode outlive a restart; their files are closed to others."""
    service = new_service().start()
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    assert service.stop() == 0
    service.start()
    assert service.verify(record["sigil"], {"a": 1}, token=token)["valid"]
    for name in ("event-secret", "audit-secret", "issuer-key.pem"):
        path = service.data_dir / "development" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() not in service.log_path.read_text() + service.output_path.read_text()
    for folder in (service.data_dir, service.data_dir / "development"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_open_secret_is_refused(new_service: Callable[..., Service]) -> None:
    """A secret's file that others may read stops the start."""
    service = new_service()
    event_secret(service.data_dir)
    (service.data_dir / "development" / "event-secret").chmod(0o644)
    code, said = service.start_in_vain()
    assert code == 78
    assert "chmod 600" in said


_DAMAGES: Final = (b"", b"-----BEGIN", b"\xff" * 40)
_SECRETS: Final = ("event-secret", "audit-secret", "issuer-key.pem")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # Each file and each damage once; in other pairs neither is new.
        pytest.param(name, content, marks=() if number == other else pytest.mark.heavy)
        for number, name in enumerate(_SECRETS)
        for other, content in enumerate(_DAMAGES)
    ],
)
def test_damaged_secret(new_service: Callable[..., Service], name: str, content: bytes) -> None:
    """A damaged file of development mode stops the start, and is named in one line."""
    service = new_service()
    event_secret(service.data_dir)
    audit_secret(service.data_dir)
    DevelopmentIssuer(service.data_dir)
    path = service.data_dir / "development" / name
    path.write_bytes(content)
    code, said = service.start_in_vain()
    assert code == 78
    assert said == f"{path} is damaged; restore it, or delete it to have a new one made\n"


def test_issuer_key_of_another_kind(tmp_path: Path) -> None:
    """The issuer's key must be able to sign what it is there for."""
    DevelopmentIssuer(tmp_path)
    path = tmp_path / "development" / "issuer-key.pem"
    key = ECKey.import_key(path.read_bytes())
    for other in (key.as_pem(private=False), ECKey.generate_key("P-384").as_pem(private=True)):
        path.write_bytes(other)
        with pytest.raises(PrivateFileError, match="damaged"):
            DevelopmentIssuer(tmp_path)


def test_tokens_for_others(service: Service) -> None:
    """The token command prints tokens that the running service accepts, for any tenant and role."""
    data = {"SIGIL_DATA_DIR": str(service.data_dir)}
    options = ("--tenant", "globex", "--role", "sigil:read")
    printed = command("token", *options, **data, SIGIL_ENVIRONMENT="", JWT_ISSUER="")  # empty is absent
    assert printed.exit_code == 0
    token = printed.stdout.strip()
    assert service.call("GET", SIGILS, token=token).status == 200
    assert service.call("POST", SIGILS, {"data": {}}, token=token).status == 403
    for name, value in {"SIGIL_ENVIRONMENT": "production", "JWT_ISSUER": "x", "JWT_ISSUERS": "[]"}.items():
        refused = command("token", "--tenant", "globex", **data, **{name: value})
        assert (refused.exit_code, refused.stdout) == (78, "")
        assert name in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tenant", ""], "1 to 128 bytes"),
        (["--tenant", "\u00e9" * 65], "1 to 128 bytes"),
        (["--tenant", "a\udcff"], "1 to 128 bytes"),
        (["--tenant", "acme", "--role", "sigil:decode"], "'sigil:encode'"),
        (["--tenant", "acme", "--subject", "s" * 256], "255 characters"),
        (["--tenant", "acme", "--subject", "a\udcff"], "characters of UTF-8"),
        (["--tenant", "acme", "--subject", "a\0"], "without NUL"),
    ],
)
def test_tokens_that_nobody_could_use(tmp_path: Path, options: list[str], said: str) -> None:
    """The token command refuses what the service would refuse, and makes nothing."""
    done = command("token", *options, SIGIL_DATA_DIR=str(tmp_path / "data"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "data").exists()


def test_token_without_a_folder() -> None:
    """A data folder that cannot be is named with its variable."""
    done = command("token", "--tenant", "acme", SIGIL_DATA_DIR="/dev/null")
    assert (done.exit_code, done.stdout) == (78, "")
    assert done.stderr.startswith("SIGIL_DATA_DIR: /dev/null")


def test_port_taken(new_service: Callable[..., Service]) -> None:
    """A port in use ends the start with one clear line and before anything is created."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        service = new_service(SIGIL_PORT=port)
        code, said = service.start_in_vain()
    assert code == 69
    assert said == f"SIGIL_HOST, SIGIL_PORT: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert not service.data_dir.exists()


@pytest.mark.parametrize("trouble", ["not a database", "locked", "no folder"])
def test_store_that_cannot_be_opened(new_service: Callable[..., Service], trouble: str) -> None:
    """A store that cannot be opened ends the start with one clear line."""
    service = new_service()
    path = service.folder / "sigils.db"
    other = None
    if trouble == "not a database":
        path.write_text("text " * 1000)
    elif trouble == "locked":
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
    else:
        (service.folder / "file").write_text("")
        path = service.folder / "file" / "sigils.db"
    service.variables["SIGIL_STORE_URL"] = f"sqlite:///{path}"
    code, said = service.start_in_vain()
    if other is not None:
        other.close()
    assert code == 69
    assert said.startswith("the store cannot be opened: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "variables", [{}, {"JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "JWT_JWKS_URI": "https://h/k"}]
)
def test_production_does_not_start_half_configured(variables: dict[str, str]) -> None:
    """Outside development the start needs secret and JWT settings, and makes none up."""
    done = command("serve", **variables)
    assert done.exit_code == 78
    assert "SPIRAL_EVENT_SECRET: required" in done.stderr
    assert ("JWT_ISSUER: required" in done.stderr) == (not variables)


@pytest.mark.skipif(sigil_native.backend != "native", reason="production refuses the pure backend")
def test_production_makes_nothing_up(new_service: Callable[..., Service], forge: Forge) -> None:
    """In production there is no own issuer, no printed token, and no answer while keys are missing."""
    service = new_service(
        SIGIL_ENVIRONMENT="production",
        SPIRAL_EVENT_SECRET="p" * 32,
        SIGIL_AUDIT_SECRET="a" * 32,
        JWT_ISSUER=ISSUER,
        JWT_AUDIENCE="sigil",
        JWT_JWKS_URI="https://127.0.0.1:1/jwks",
    ).start()
    assert service.output_path.read_text() == ""
    assert not (service.data_dir / "development").exists()
    assert service.call("GET", SIGILS, token=forge.good(aud="sigil")).status == 503
    assert service.call("GET", SIGILS, token=service.token()).status == 401
    assert service.call("GET", SIGILS).status == 401
    assert service.call("GET", "/readyz").json["code"] == "not_ready"
    assert service.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_during_the_start(
    new_service: Callable[..., Service], workers: str, number: signal.Signals
) -> None:
    """A stop that is asked for before the service serves is obeyed, and is a good one, in containers too.

    The first process of a container gets no signal that it does not handle: the exit code shows who did.
    """
    service = new_service(SIGIL_WORKERS=workers)
    service.data_dir.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(service.data_dir / "sigils.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        service.begin()
        while not (service.data_dir / "development" / "event-secret").exists():
            time.sleep(0.01)
        os.kill(service.pid, number)
    assert service.wait() == 0
    # Not by the records alone: where the stop comes between a file's opening and its use, Python warns.
    assert '"listening"' not in service.log_path.read_text()


def test_stop_of_a_worker_that_starts(new_service: Callable[..., Service]) -> None:
    """A worker that is told to stop when it has opened its store, and no more, closes it in order."""
    service = new_service(SIGIL_WORKERS="2")
    service.data_dir.mkdir(mode=0o700)
    with (service.data_dir / "audit.jsonl.lock").open("xb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        service.begin()
        while not (service.data_dir / "sigils.db-wal").exists():
            time.sleep(0.01)
        os.kill(service.pid, signal.SIGTERM)
    assert service.wait() == 0
    assert not (service.data_dir / "sigils.db-wal").exists()
    assert not service.logged("listening")


@pytest.fixture
def half_sent(new_service: Callable[..., Service]) -> Iterator[tuple[Service, socket.socket]]:
    """A service that waits for the body of a request, ``{"data":{}}``."""
    service = new_service().start()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {service.token()}\r\n"
            "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        yield service, connection


def test_stop_finishes_what_runs(half_sent: tuple[Service, socket.socket]) -> None:
    """After SIGTERM a running request is answered; the exit code is 0, the write-ahead log folded in."""
    service, connection = half_sent
    os.kill(service.pid, signal.SIGTERM)
    wait_until_deaf(service.port)
    connection.sendall(b'{"data":{}}')
    assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert service.wait() == 0
    assert service.logged("stopped")
    assert {path.name for path in service.data_dir.iterdir()} == {
        "sigils.db",
        "audit.jsonl",
        "audit.jsonl.lock",
        "development",
    }


def test_requests_on_their_way_at_a_stop(half_sent: tuple[Service, socket.socket]) -> None:
    """Open connections are told that the service is stopping, in their last answer."""
    service, busy = half_sent
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as idle:
        idle.sendall(request("/healthz", method="HEAD"))
        assert statuses(idle.recv(4096)) == [200]
        os.kill(service.pid, signal.SIGTERM)
        wait_until_deaf(service.port)
        idle.sendall(request("/readyz"))
        answer = read_to_end(idle)
    assert statuses(answer) == [503]
    assert b"connection: close" in answer
    assert b'"detail":"the service is stopping"' in answer
    busy.sendall(b'{"data":{}}')
    assert b"connection: close" in read_to_end(busy)
    assert service.wait() == 0


def test_stop_does_not_wait_for_ever(new_service: Callable[..., Service]) -> None:
    """A request that does not come to its end holds a stop up for SIGIL_SHUTDOWN_SECONDS and no longer."""
    service = new_service(SIGIL_SHUTDOWN_SECONDS="1").start()
    body = b'{"data":{}}'
    post = request(SIGILS, "Expect: 100-continue", method="POST", body=body, token=service.token())
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(post.removesuffix(body))
        assert statuses(connection.recv(4096)) == [100]
        assert service.stop() == 0
        assert b'"code":"timeout"' in read_to_end(connection)
    assert service.logged("stopped")
    assert not any("exception" in record for record in service.records())


def test_second_interrupt_does_not_wait(half_sent: tuple[Service, socket.socket]) -> None:
    """Ctrl-C twice gives running requests up: they are told, and the log says how many there were."""
    service, connection = half_sent
    os.kill(service.pid, signal.SIGINT)
    wait_until_deaf(service.port)
    os.kill(service.pid, signal.SIGINT)
    assert b'"code":"timeout"' in read_to_end(connection)
    assert service.wait() == 0
    (told,) = [line for line in service.records() if line["level"] not in {"info", "debug"}]
    assert (told["event"], told["requests_cut_off"]) == ("stop hurried", 1)
