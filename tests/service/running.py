"""Real programs, each in a process of its own, and clients for them.

Most are forked from a process that has imported everything already, which is many times quicker
than a fresh interpreter.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
SIGILS = "/api/consciousness/sigils"
_START_SECONDS = 120.0

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.service.preloaded"])


#: Limits that are kept and told, and that no test reaches by accident. Tests of limits set their own.
GENEROUS = {
    "SIGIL_RATE_LIMIT": "10000000",
    "SIGIL_ADDRESS_RATE_LIMIT": "100000000",
    "SIGIL_RATE_CAPACITY": "4096",
}


class Answer(NamedTuple):
    """An HTTP answer; ``json`` is its decoded body, or None where it has none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of the service, and with the given ones."""
    prefixes = ("SIGIL_", "JWT_", "DNASTORE_", "SPIRAL_EVENT_", "REDIS_URL")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) or name.startswith("SIGIL_NATIVE_")
    }
    return {**kept, **variables}


def _become(command: str, environment: dict[str, str], output: Path, log: Path) -> None:
    """Turn a forked process into what ``python -W error -m app COMMAND`` is."""
    warnings.simplefilter("error")
    os.chdir(REPOSITORY)
    os.environ.clear()
    os.environ.update(environment)
    for path, standard in ((output, 1), (log, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, standard)
        os.close(opened)
    main([command])


class _Forked:
    """A forked program, with what is used here of ``subprocess.Popen``."""

    def __init__(self, command: str, environment: dict[str, str], output: Path, log: Path) -> None:
        self._process = forks.Process(target=_become, args=(command, environment, output, log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """The exit code, when it has ended."""
        self._process.join(timeout)
        assert self._process.exitcode is not None
        return self._process.exitcode


def _fresh(command: str, environment: dict[str, str], output: Path, log: Path) -> subprocess.Popen[bytes]:
    """A program as a user starts it."""
    line = [sys.executable, "-W", "error", "-m", "app", command]
    with output.open("wb") as stdout, log.open("wb") as stderr:
        return subprocess.Popen(line, cwd=REPOSITORY, env=environment, stdout=stdout, stderr=stderr)


class Program:
    """``python -m app COMMAND`` on a free port, with a data folder that outlives restarts."""

    command: str
    #: The variable that says where the data folder is.
    data_variable: str

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_path = folder / "stderr"
        self.output_path = folder / "stdout"
        self.variables = dict(variables)
        self.url = ""
        #: How a client trusts the program, and proves who it is, where the program speaks TLS.
        self.tls: ssl.SSLContext | None = None
        self._process: subprocess.Popen[bytes] | _Forked | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def start(self, *, fresh: bool = False) -> Self:
        """Start the process, in a fresh interpreter if wanted, and wait until it listens."""
        self.begin(fresh=fresh)
        return self.wait_until_listening()

    def begin(self, *, fresh: bool = False) -> None:
        """Start the process."""
        self._process = self._started(fresh=fresh)

    def wait_until_listening(self) -> Self:
        """Wait until it says that it listens."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not (url := self._listening()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.command} did not start:\n{self.log_path.read_text()}")
            time.sleep(0.01)
        self.url = url
        return self

    def start_in_vain(self) -> tuple[int, str]:
        """Start a process that ends by itself; its exit code and standard error."""
        code = self._started(fresh=False).wait(timeout=30)
        return code, self.log_path.read_text()

    def _started(self, *, fresh: bool) -> subprocess.Popen[bytes] | _Forked:
        environment = clean_environment(**{self.data_variable: str(self.data_dir), **self.variables})
        self.log_path.write_bytes(b"")
        make = _fresh if fresh else _Forked
        return make(self.command, environment, self.output_path, self.log_path)

    def _listening(self) -> str | None:
        for line in self.log_path.read_text().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                record = json.loads(line)
                if record.get("event") == "listening":
                    return str(record["url"])
        return None

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log records of this event."""
        return [record for record in self.records() if record["event"] == event]

    def records(self) -> list[dict[str, Any]]:
        """All that the log has."""
        whole = self.log_path.read_text().rpartition("\n")[0]  # the last line may be half-written
        return [json.loads(line) for line in whole.splitlines()]

    def stop(self) -> int:
        """Ask the process to end, as a supervisor would, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process with no chance to say goodbye."""
        self._end(signal.SIGKILL)

    def wait(self) -> int:
        """The exit code of a process that is about to end."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.wait(timeout=30)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        os.kill(self._process.pid, number)
        return self.wait()

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request, on a connection of its own if none is given.

        A body that is no text is sent as its JSON.
        """
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            if not isinstance(body, bytes | str):
                body = json.dumps(body).encode()
            elif isinstance(body, str):
                body = body.encode()
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connection()))
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            answer = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answer, response.read())

    def connection(self) -> http.client.HTTPConnection:
        """A connection for several calls, by TLS where ``tls`` is set; the caller closes it."""
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)


class Service(Program):
    """``python -m app serve``."""

    command = "serve"
    data_variable = "SIGIL_DATA_DIR"

    def __init__(self, folder: Path, **variables: str) -> None:
        super().__init__(
            folder,
            {
                "SIGIL_ENVIRONMENT": "development",
                "SIGIL_PORT": "0",
                "SIGIL_METRICS_PORT": "0",
                **GENEROUS,
                **variables,
            },
        )

    def token(
        self, tenant: str = "acme", *roles: str, subject: str = "tester", lifetime: float = 3600
    ) -> str:
        """A token of the service's own issuer; every role unless some are named."""
        issuer = DevelopmentIssuer(self.data_dir)
        return issuer.token(tenant, subject, roles or ROLES, lifetime=lifetime)

    def workers(self) -> list[int]:
        """The processes that serve now, where there are several."""
        ended = {record["pid"] for record in self.logged("worker ended")}
        return [record["pid"] for record in self.logged("worker started") if record["pid"] not in ended]

    def encode(self, data: object, *, token: str, **more: object) -> dict[str, Any]:
        """Seal a payload; the record."""
        answer = self.call("POST", SIGILS, {"data": data, **more}, token=token)
        assert answer.status == 201, answer.body
        record: dict[str, Any] = answer.json
        return record

    def verify(self, sigil: str, data: object, *, token: str) -> dict[str, Any]:
        """Judge a sigil; the verdict."""
        answer = self.call("POST", f"{SIGILS}/verify", {"sigil": sigil, "data": data}, token=token)
        assert answer.status == 200, answer.body
        verdict: dict[str, Any] = answer.json
        return verdict
