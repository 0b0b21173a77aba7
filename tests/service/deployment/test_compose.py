"""What deploy/compose.yaml describes, as real processes: its environment, secrets and health checks."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg.sql
import pytest
import yaml

from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from deploy.first_try import make
from servers.postgresql import running_postgres
from servers.prometheus import running_prometheus
from servers.redis import free_ports, running_server
from tests.service.deployment.test_files import compose_environment
from tests.service.running import REPOSITORY, SIGILS, clean_environment

pytestmark = pytest.mark.heavy
_DEPLOY: Final = REPOSITORY / "deploy"
_COMPOSE: Final[Mapping[str, Any]] = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())
#: The ports that are settings, and where PostgreSQL, Redis and the issuer listen in their containers.
_PORTS: Final = ("8080", "9464", "8443", "9465", "8444", "5432", "6379")
_SECONDS: Final = 60.0


class _Host:
    """One machine in the place of all containers: it has their folders, and their names are its own."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self.folder = folder
        self.ports = ports
        self.secrets = folder / "secrets"
        make(self.secrets)
        (folder / "run").mkdir()
        (folder / "data").mkdir()
        for name, secret in _COMPOSE["secrets"].items():
            source = self.secrets / Path(secret["file"]).name
            (folder / "run" / name).write_text(self.here(source.read_text()))
        (folder / "run" / "jwks.json").write_bytes((self.secrets / "jwks.json").read_bytes())

    def here(self, text: str) -> str:
        """What a text of a container is on this machine."""
        text = text.replace("/run/secrets", str(self.folder / "run")).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        text = text.replace("/var/lib/sigil", str(self.folder / "data"))
        names = r"\b(?:postgres|redis|dnastore|issuer|sigil):(\d{4})\b"
        text = re.sub(names, lambda found: f"127.0.0.1:{self.ports[found[1]]}", text)
        return str(self.ports[text]) if text in self.ports else text

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service, as compose.yaml sets them."""
        given = compose_environment(service)
        return clean_environment(**{name: self.here(value) for name, value in given.items()})

    @contextmanager
    def running(self, service: str, line: Sequence[str]) -> Iterator[None]:
        """A service, when its own health check passes; stopped as Compose stops it."""
        environment = self.environment(service) if "environment" in _COMPOSE["services"][service] else None
        log = self.folder / f"{service}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *line], cwd=REPOSITORY, env=environment, stdout=output, stderr=output
            )
        try:
            check = _COMPOSE["services"][service]["healthcheck"].get("test", ["CMD", "python", "-c", ""])
            assert check[:2] == ["CMD", "python"]
            end = time.monotonic() + _SECONDS
            command = [sys.executable, *check[2:]]
            while subprocess.run(command, check=False, cwd=REPOSITORY, env=environment).returncode != 0:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, log.read_text()
        finally:
            process.kill()
            process.wait(20)


def _call(port: int, token: str, method: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    assert answer.status in {200, 201}, content
    return json.loads(content)


def _seal_verify_read(host: _Host) -> None:
    token = DevelopmentIssuer(host.secrets).token("acme", "developer", ROLES, lifetime=600)
    data = {"type": "order.paid", "amount": 1299.5}
    port = host.ports["8080"]
    record = _call(port, token, "POST", SIGILS, {"data": data})
    verdict = _call(port, token, "POST", f"{SIGILS}/verify", {"sigil": record["sigil"], "data": data})
    assert verdict["valid"]
    assert verdict["revocation"] == "not_revoked"
    assert _call(port, token, "GET", f"{SIGILS}/{record['id']}")["data"] == data
    ready = _call(port, token, "GET", "/readyz")
    assert ready["status"] == "ready"


@pytest.mark.timeout(240)
def test_everything_works_together(tmp_path: Path) -> None:
    """With the environment and secrets of compose.yaml an event is sealed, verified, read, and counted."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        redis = stack.enter_context(running_server(tmp_path / "redis"))
        free = free_ports(len(_PORTS))
        ports = dict(zip(_PORTS, free, strict=True))
        host = _Host(tmp_path / "host", {**ports, "5432": postgres.port, "6379": redis.port})
        variables = _COMPOSE["services"]["postgres"]["environment"]
        password = (host.secrets / "postgres_password").read_text()
        with postgres.connect() as connection:
            user = psycopg.sql.Identifier(variables["POSTGRES_USER"])
            database = psycopg.sql.Identifier(variables["POSTGRES_DB"])
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(database))
            alter = psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(user, password)
            connection.execute(alter)
        lines = (host.secrets / "redis.conf").read_text().splitlines()
        with redis.client() as client:
            settings = dict(line.split(" ", 1) for line in lines)
            client.config_set("maxmemory", settings["maxmemory"])
            client.config_set("requirepass", settings["requirepass"])
        issuer = ["deploy/issuer.py", str(host.folder / "run"), "127.0.0.1", str(ports["8444"])]
        stack.enter_context(host.running("issuer", issuer))
        stack.enter_context(
            host.running("dnastore", ["-m", "app", *_COMPOSE["services"]["dnastore"]["command"]])
        )
        stack.enter_context(host.running("sigil", ["-m", "app", "serve"]))
        scraped = yaml.safe_load((_DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
        targets = {
            job["job_name"]: [host.here(one) for one in job["static_configs"][0]["targets"]]
            for job in scraped
        }
        rules = [REPOSITORY / "monitoring" / "prometheus" / name for name in ("recording.yml", "alerts.yml")]
        prometheus = stack.enter_context(running_prometheus(tmp_path / "prometheus", targets, rules=rules))
        _seal_verify_read(host)
        prometheus.wait_until_scraped()
        assert {target["labels"]["job"] for target in prometheus.api.targets()} == {"sigil", "dnastore"}
        with psycopg.connect(host.here((host.secrets / "store_url").read_text())) as connection:
            assert connection.execute("SELECT count(*) FROM sigils").fetchone() == (1,)
