"""Runs an image's root file system as the image says, and uses it: container_use.py CONFIG ROOT.

CONFIG is what ``buildah inspect`` says of the image.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_START_SECONDS = 60.0
#: The image's own path does not lead there.
_CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
_EVENT = {"data": {"type": "order.paid", "amount": 1299.5}}
_SIGILS = "/api/consciousness/sigils"
#: In development, which has an issuer of tokens. Loopback comes with it.
_VARIABLES = {"SIGIL_ENVIRONMENT": "development", "SIGIL_HOST": "127.0.0.1", "SIGIL_METRICS_PORT": "0"}


class Image:
    """An image, as its configuration describes it."""

    def __init__(self, config: dict[str, Any], root: Path) -> None:
        self._config = config
        self._root = root

    def command(self, arguments: Sequence[str]) -> list[str]:
        """A program of the image, as its user, in its folder, as the first process of a namespace."""
        user, _, group = self._config["User"].partition(":")
        assert int(user) > 0
        assert int(group) > 0
        enter = ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self._root / 'proc'}"]
        enter += [
            _CHROOT,
            str(self._root),
            "setpriv",
            f"--reuid={user}",
            f"--regid={group}",
            "--clear-groups",
        ]
        enter += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        folder = self._config["WorkingDir"]
        return [*enter, "/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables, and no others."""
        return dict(pair.split("=", 1) for pair in self._config["Env"])

    @property
    def entry_point(self) -> list[str]:
        """What it starts, without the command."""
        return list(self._config["Entrypoint"])

    @property
    def default(self) -> list[str]:
        """The command."""
        return [str(part) for part in self._config["Cmd"]]

    @property
    def health_check(self) -> list[str]:
        """How it asks for the health."""
        kind, *command = self._config["Healthcheck"]["Test"]
        assert kind == "CMD", "no shell is needed"
        return list(command)

    def run(self, arguments: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**self.environment, **variables},
        )

    def start(self, arguments: Sequence[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(arguments), stdout=output, stderr=output, env={**self.environment, **variables}
            )


def free_port() -> int:
    """A port of loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def first_process(outside: subprocess.Popen[bytes]) -> int:
    """The process that is the first of its namespace."""
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
    return int(children[0])


def serve_and_stop(image: Image, server: str, log: Path) -> None:
    """A server starts, says that it is healthy, works, and stops when it is told to."""
    port = str(free_port())
    variables = {**_VARIABLES, "SIGIL_PORT": port}
    if server == "dnastore":
        variables = {"DNASTORE_SERVER_PORT": port, "DNASTORE_SERVER_HOST": "127.0.0.1"}
        variables["DNASTORE_SERVER_METRICS_PORT"] = "0"
    check = image.health_check if server == "serve" else [*image.health_check, server]
    assert image.run(check, **variables).returncode == 1, "healthy before it runs"
    arguments = image.default if server == "serve" else [server, "--development"]
    running = image.start([*image.entry_point, *arguments], log, **variables)
    try:
        end = time.monotonic() + _START_SECONDS
        while image.run(check, **variables).returncode != 0:
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
        print(f"{server}: healthy")
        if server == "serve":
            seal(image, int(port), variables)
        os.kill(first_process(running), signal.SIGTERM)
        code = running.wait(40)
        assert code == 0, (code, log.read_text())
        assert '"stopped"' in log.read_text(), log.read_text()
        print(f"{server}: stopped by SIGTERM")
    finally:
        running.kill()
        running.wait(10)


def seal(image: Image, port: int, variables: dict[str, str]) -> None:
    """Seal an event and verify it, with a token that the image's own command makes."""
    made = image.run([*image.entry_point, "token", "--tenant", "acme"], **variables)
    assert made.returncode == 0, made.stderr
    headers = {"Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", _SIGILS, json.dumps(_EVENT), headers)
        answer = connection.getresponse()
        record = json.loads(answer.read())
        assert answer.status == 201, record
        body = json.dumps({**_EVENT, "sigil": record["sigil"]})
        connection.request("POST", f"{_SIGILS}/verify", body, headers)
        verdict = json.loads(connection.getresponse().read())
    assert verdict["valid"], verdict
    print(f"sealed and verified {record['sigil'][:24]}…")


def stop_at_once(image: Image, log: Path) -> None:
    """A stop that comes while Python imports is not lost."""
    running = image.start(
        [*image.entry_point, *image.default], log, **_VARIABLES, SIGIL_PORT=str(free_port())
    )
    try:
        time.sleep(0.4)
        os.kill(first_process(running), signal.SIGTERM)
        code = running.wait(20)
        assert code == 0, (code, log.read_text())
        print("a stop at once is not lost")
    finally:
        running.kill()
        running.wait(10)


def main(config: str, root: str) -> None:
    """Use an image."""
    inspected = json.loads(Path(config).read_text())
    image = Image(json.loads(inspected["Config"])["config"], Path(root))
    log = Path(config).with_name("image.log")
    native = image.run(["python", "-c", "import sigil_native; print(sigil_native.backend)"])
    assert native.stdout.strip() == "native", native.stderr
    assert image.run(["touch", "/opt/sigil/mark"]).returncode != 0, "its programs can be changed"
    serve_and_stop(image, "serve", log)
    serve_and_stop(image, "dnastore", log)
    stop_at_once(image, log)


if __name__ == "__main__":
    main(*sys.argv[1:])
