"""A real Prometheus for tests and soaks, of a folder of its own. Stopped by its process id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from monitoring.prometheus_api import PrometheusApi, RefusedError

_START_SECONDS = 30.0


class PrometheusServer:
    """One ``prometheus`` on a free port of loopback; ``api`` asks it."""

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        rules: Sequence[Path] = (),
        interval: float = 1.0,
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, and wait until it answers.

        Args:
            folder: for its settings, data and log.
            targets: for each job the addresses, ``host:port``, that it scrapes.
            rules: files of rules.
            interval: seconds between two scrapes, and two evaluations of the rules.
            external_labels: what alerts say of this Prometheus.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            self.port = listener.getsockname()[1]
        self.api = PrometheusApi(f"http://127.0.0.1:{self.port}")
        self._process: subprocess.Popen[bytes] | None = None
        duration = f"{int(interval * 1000)}ms"
        self._settings: dict[str, Any] = {
            "global": {
                "scrape_interval": duration,
                "scrape_timeout": duration,
                "evaluation_interval": duration,
                "external_labels": dict(external_labels or {}),
            },
            "rule_files": [str(path.resolve()) for path in rules],
        }
        self._set(targets)
        self.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, with the data that it has."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--storage.tsdb.retention.time=30d",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "it does not answer"
            time.sleep(0.02)

    def scrape(self, targets: Mapping[str, Sequence[str]]) -> None:
        """Scrape these from now on, and no others."""
        self._set(targets)
        os.kill(self.pid, signal.SIGHUP)

    def wait_until_scraped(self, seconds: float = 30.0) -> None:
        """Wait until every target was scraped."""
        end = time.monotonic() + seconds
        while any(target["health"] != "up" for target in self.api.targets()) or not self.api.targets():
            assert time.monotonic() < end, self.api.targets()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, everything written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def _set(self, targets: Mapping[str, Sequence[str]]) -> None:
        jobs = [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in targets.items()
        ]
        # JSON is YAML.
        text = json.dumps({**self._settings, "scrape_configs": jobs})
        (self.folder / "prometheus.yml").write_text(text)

    def _answers(self) -> bool:
        try:
            self.api.query("1")
        except (OSError, RefusedError):
            return False
        return True


@contextmanager
def running_prometheus(
    folder: Path,
    targets: Mapping[str, Sequence[str]],
    *,
    rules: Sequence[Path] = (),
    interval: float = 1.0,
    external_labels: Mapping[str, str] | None = None,
) -> Iterator[PrometheusServer]:
    """A server, ended afterwards."""
    server = PrometheusServer(
        folder, targets, rules=rules, interval=interval, external_labels=external_labels
    )
    try:
        yield server
    finally:
        server.kill()
