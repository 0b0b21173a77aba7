"""A service with everything that metrics tell of, a DNAStore behind it, and callers of all kinds."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from servers.prometheus import PrometheusServer, running_prometheus
from tests.service.authentication.forge import AUDIENCE, ISSUER, Forge, public
from tests.service.authentication.provider import Provider, running_provider
from tests.service.dnastore.running import DnaStore
from tests.service.running import SIGILS, Answer, Program, Service

#: Of what alerts say where their runbook is.
LABELS = {"runbook": "https://docs.example/runbook/"}
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def metrics_address(program: Program) -> str:
    """Where a program says that its metrics are."""
    (record,) = program.logged("metrics")
    return urlsplit(str(record["url"])).netloc


class Watch:
    """A service that runs, and the Prometheus that watches it."""

    def __init__(self, service: Service, prometheus: PrometheusServer) -> None:
        self.service = service
        self.prometheus = prometheus

    def token(self, tenant: str = "acme") -> str:
        """A good token of the service's issuer."""
        return self.service.token(tenant)

    def fires(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until all of these alerts have fired, at one time or another."""
        missing = set(names)
        end = time.monotonic() + seconds
        while missing := missing - self._firing():
            assert time.monotonic() < end, f"silent: {missing}"
            time.sleep(0.1)

    def ceases(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until none of these alerts fires."""
        end = time.monotonic() + seconds
        while still := self._firing() & set(names):
            assert time.monotonic() < end, f"firing still: {still}"
            time.sleep(0.1)

    def is_quiet(self, *names: str) -> None:
        """Let a few evaluations pass without any of these alerts."""
        for _ in range(15):
            assert not self._firing() & set(names)
            time.sleep(0.1)

    def _firing(self) -> set[str]:
        return {labels["alertname"] for labels in self.prometheus.api.firing()}

    @contextlib.contextmanager
    def under_load(self) -> Iterator[None]:
        """Have a caller do all that callers do, over and over; whether it succeeds does not matter."""
        stop = threading.Event()

        def call() -> None:
            token = self.token()
            while not stop.is_set():
                with (
                    contextlib.suppress(OSError, ValueError),
                    contextlib.closing(self.service.connection()) as connection,
                ):
                    # Rates need some calls a second, and not all that the processor can do.
                    while not stop.wait(0.02):
                        call_everything(self.service, token, connection)

        caller = threading.Thread(target=call)
        caller.start()
        try:
            yield
        finally:
            stop.set()
            caller.join(60)


class Watched(Watch):
    """A service with a DNAStore behind it, and an issuer elsewhere."""

    def __init__(
        self,
        service: Service,
        store: DnaStore,
        provider: Provider,
        forge: Forge,
        prometheus: PrometheusServer,
    ) -> None:
        super().__init__(service, prometheus)
        self.store = store
        self.provider = provider
        self._forge = forge

    def token(self, tenant: str = "acme") -> str:
        """A good token of the service's issuer."""
        return self._forge.by(self._forge.ec, "first", "ES256", tenantId=tenant)


def call_everything(service: Service, token: str, connection: HTTPConnection) -> None:
    """Each call once, as it should be, and what is refused.

    Raises:
        OSError: nobody answers.
        ValueError: an encode is not answered as it should be.
    """

    def call(method: str, path: str, body: object = None, *, token: str = token) -> Answer:
        return service.call(method, path, body, token=token, connection=connection)

    data = {"type": "order.paid", "amount": 12}
    record = call("POST", SIGILS, {"data": data}).json
    if "sigil" not in record:
        raise ValueError(record)
    sigil = record["sigil"]
    call("POST", f"{SIGILS}/verify", {"sigil": sigil, "data": data})
    call("POST", f"{SIGILS}/verify", {"sigil": sigil, "data": {"type": "order.free"}})
    lines = {"Content-Type": "application/x-ndjson"}
    for path, line in (
        (f"{SIGILS}/batch", {"data": data}),
        (f"{SIGILS}/verify/batch", {"sigil": sigil, "data": data}),
    ):
        body = json.dumps(line).encode() + b"\n"
        service.call("POST", path, body * 3, token=token, headers=lines, connection=connection)
    call("GET", f"{SIGILS}?limit=5")
    call("GET", f"{SIGILS}/{record['id']}")
    call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "a test"})
    call("POST", SIGILS, {"data": 1})
    call("GET", SIGILS, token="no token")


@contextlib.contextmanager
def watched(
    folder: Path,
    *,
    rules: Sequence[Path] = (),
    interval: float = 0.5,
    variables: Mapping[str, str] = NO_VARIABLES,
) -> Iterator[Watched]:
    """Everything started, and ended afterwards."""
    forge = Forge()
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(running_provider())
        provider.serve(public(forge.ec, kid="first"))
        (folder / "store").mkdir()
        store = DnaStore(folder / "store").start()
        stack.callback(store.kill)
        (folder / "service").mkdir()
        own = {
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
            "JWT_JWKS_URI": provider.uri,
            "JWT_JWKS_REFRESH": "1",
            "JWT_JWKS_COOLDOWN": "1",
            "DNASTORE_SPOOL": str(folder / "service" / "spool.db"),
            "SIGIL_AUDIT_SECRET": "a" * 32,
            "SPIRAL_EVENT_SECRET": "s" * 32,
        }
        service = Service(folder / "service", **{**own, **store.client_variables, **variables}).start()
        stack.callback(service.kill)
        targets = {"sigil": [metrics_address(service)], "dnastore": [metrics_address(store)]}
        prometheus = stack.enter_context(
            running_prometheus(
                folder / "prometheus", targets, rules=rules, interval=interval, external_labels=LABELS
            )
        )
        yield Watched(service, store, provider, forge, prometheus)


@contextlib.contextmanager
def watched_alone(
    folder: Path,
    *,
    rules: Sequence[Path] = (),
    interval: float = 0.5,
    variables: Mapping[str, str] = NO_VARIABLES,
) -> Iterator[Watch]:
    """A service with a database of its own, in development mode."""
    service = Service(folder, **variables).start()
    try:
        targets = {"sigil": [metrics_address(service)]}
        with running_prometheus(
            folder / "prometheus", targets, rules=rules, interval=interval, external_labels=LABELS
        ) as prometheus:
            yield Watch(service, prometheus)
    finally:
        service.kill()
