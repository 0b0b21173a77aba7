"""The system under load: all of it real, on loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from prometheus_client.parser import text_string_to_metric_families

from app.dnastore.development import DevelopmentFiles
from servers.program import Program, app, free_ports
from servers.prometheus import PrometheusServer, running_prometheus
from servers.redis import RedisServer
from soak.plan import AUDIENCE, ISSUER, LARGEST_BODY
from soak.sampling import Watched
from soak.tenants import GREEDY, SigningKey

_READY_SECONDS: Final = 30.0
#: Of requests in ten seconds; nobody but the greedy tenant shall reach a limit.
_GENEROUS: Final = 10_000_000
_WINDOW: Final = 10
_KEY_SET: Final = "jwks.json"
SCRAPE_SECONDS: Final = 5.0
_MONITORING: Final = Path(__file__).resolve().parents[1] / "monitoring" / "prometheus"
_RULES: Final = (_MONITORING / "recording.yml", _MONITORING / "alerts.yml")


class Wishes(NamedTuple):
    """How the stand shall be.

    Attributes:
        command: what the service is started with; ``serve --development`` is added.
        greedy_limit: requests that the greedy tenant may make in ten seconds.
        history: whether the service chains what it writes.
        prometheus: whether a Prometheus looks at it; only where there is one.
    """

    command: tuple[str, ...] = tuple(app())
    workers: int = 2
    greedy_limit: int = 5
    history: bool = True
    prometheus: bool = True


class Stand:
    """Redis, a key server, a DNAStore, and a service with them all; started by ``running_stand``."""

    def __init__(self, folder: Path, wishes: Wishes) -> None:
        self.folder = folder
        self._wishes = wishes
        keys, dnastore, dnastore_metrics, service, metrics, redis = free_ports(6)
        self.url = f"http://127.0.0.1:{service}"
        self.signing_key = SigningKey.new()
        self.signing_key_file = folder / "signing-key.pem"
        public = folder / "keys"
        public.mkdir()
        self.signing_key.write(self.signing_key_file, public / _KEY_SET)
        self._redis_port = redis
        self.redis: RedisServer | None = None
        self.prometheus: PrometheusServer | None = None
        self.keys = Program(
            [sys.executable, "-m", "http.server", str(keys), "--bind", "127.0.0.1", "-d", str(public)],
            keys,
            folder / "keys.log",
        )
        self.dnastore = Program(
            app("dnastore", "--development"),
            dnastore,
            folder / "dnastore.log",
            {
                "DNASTORE_SERVER_DATA_DIR": str(folder / "dnastore"),
                "DNASTORE_SERVER_PORT": str(dnastore),
                "DNASTORE_SERVER_METRICS_PORT": str(dnastore_metrics),
            },
        )
        self.settings = self._service_settings(keys, dnastore, service, metrics)
        self.service = Program(
            [*wishes.command, "serve", "--development"], service, folder / "service.log", self.settings
        )
        self.targets = {
            "sigil": [f"127.0.0.1:{metrics}"],
            "dnastore": [f"127.0.0.1:{dnastore_metrics}"],
        }

    def _service_settings(self, keys: int, dnastore: int, service: int, metrics: int) -> dict[str, str]:
        files = DevelopmentFiles(self.folder / "dnastore")
        certificate, key = files.client
        overrides = self.folder / "limits.json"
        limit = {"limit": self._wishes.greedy_limit}
        tenants = {GREEDY: {"user": limit, "tenant": limit}}
        overrides.write_text(json.dumps({"version": 1, "tenants": tenants}))
        return {
            "SIGIL_DATA_DIR": str(self.folder / "service"),
            "SIGIL_PORT": str(service),
            "SIGIL_METRICS_PORT": str(metrics),
            "SIGIL_WORKERS": str(self._wishes.workers),
            "SIGIL_HISTORY": "on" if self._wishes.history else "off",
            "SIGIL_MAX_BODY_BYTES": str(LARGEST_BODY),
            "SIGIL_RATE_LIMIT": str(_GENEROUS),
            "SIGIL_RATE_WINDOW": str(_WINDOW),
            "SIGIL_ADDRESS_RATE_LIMIT": str(_GENEROUS),
            "SIGIL_RATE_OVERRIDES": str(overrides),
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}",
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
            "JWT_JWKS_URI": f"http://127.0.0.1:{keys}/{_KEY_SET}",
            # So that every fault of the key server falls on several fetches.
            "JWT_JWKS_REFRESH": "2",
            "JWT_JWKS_COOLDOWN": "1",
            "DNASTORE_URL": f"https://127.0.0.1:{dnastore}",
            "DNASTORE_CLIENT_CERT": str(certificate),
            "DNASTORE_CLIENT_KEY": str(key),
            "DNASTORE_CA_CERT": str(files.authority),
            "DNASTORE_TIMEOUT": "1",
            "DNASTORE_SPOOL": "on",
        }

    def start(self) -> None:
        """Start all, and wait until the service is ready.

        Raises:
            SystemExit: something does not start; with its log.
        """
        self.redis = RedisServer(self.folder / "redis", self._redis_port)
        for program in (self.keys, self.dnastore, self.service):
            program.start()
        deadline = time.monotonic() + _READY_SECONDS
        while self.readiness().get("status") != "ready":
            if time.monotonic() > deadline:
                raise SystemExit(f"the service is not ready: {self.readiness()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End all, in good order where that is possible."""
        for program in (self.service, self.dnastore, self.keys):
            program.stop()
        if self.redis is not None:
            self.redis.kill()
            # No archive of the results can hold a socket.
            (self.redis.folder / "redis.sock").unlink(missing_ok=True)

    def readiness(self) -> dict[str, object]:
        """What the service says of itself at ``/readyz``; empty while it says nothing."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310 - loopback
                said: dict[str, object] = json.load(answer)
        except (OSError, ValueError, urllib.error.HTTPError):
            return {}
        return said

    def key_fetches(self) -> float:
        """How often the key set was fetched, by what the service tells; 0 while it says nothing."""
        try:
            with urllib.request.urlopen(f"http://{self.targets['sigil'][0]}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        return sum(
            one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == "sigil_key_set_refresh_total" and one.labels.get("outcome") == "done"
        )

    def watched(self) -> Iterator[Watched]:
        """The processes that there are now: the service's parent as ``service/0``, and its workers."""
        if (parent := self.service.pid) is not None:
            yield Watched("service/0", parent, self.folder / "service" / "spool.db")
            with contextlib.suppress(psutil.Error):
                workers = sorted(psutil.Process(parent).children(), key=lambda one: one.create_time())
                for number, worker in enumerate(workers, 1):
                    yield Watched(f"service/{number}", worker.pid)
        if (dnastore := self.dnastore.pid) is not None:
            yield Watched("dnastore/0", dnastore, self.folder / "dnastore" / "dnastore.db")
        if (keys := self.keys.pid) is not None:
            yield Watched("keys/0", keys)
        if self.redis is not None and self.redis.running:
            yield Watched("redis/0", self.redis.pid)


@contextmanager
def running_stand(folder: Path, wishes: Wishes) -> Iterator[Stand]:
    """A stand, ended afterwards, whatever happens."""
    folder.mkdir(mode=0o700, parents=True)
    stand = Stand(folder, wishes)
    with ExitStack() as stack:
        stack.callback(stand.signing_key_file.unlink)
        stack.callback(stand.stop)
        stand.start()
        if wishes.prometheus and shutil.which("prometheus"):
            stand.prometheus = stack.enter_context(
                running_prometheus(
                    folder / "prometheus", stand.targets, rules=_RULES, interval=SCRAPE_SECONDS
                )
            )
        yield stand
