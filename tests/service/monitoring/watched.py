"""A service with everything that metrics tell of, a DNAStore behind it, and callers of all kinds."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from servers.prometheus import PrometheusServer, running_prometheus
from tests.service.authentication.forge import AUDIENCE, ISSUER, Forge, public
from tests.service.authentication.provider import Provider, running_provider
from tests.service.dnastore.running import DnaStore
from tests.service.running import SIGILS, Program, Service

#: Of what alerts say where their runbook is.
LABELS = {"runbook": "https://docs.example/runbook/"}


def metrics_address(program: Program) -> str:
    """Where a program says that its metrics are."""
    (record,) = program.logged("metrics")
    return urlsplit(record["url"]).netloc


class Watched:
    """Programs that run, and the Prometheus that watches them."""

    def __init__(
        self,
        service: Service,
        store: DnaStore,
        provider: Provider,
        forge: Forge,
        prometheus: PrometheusServer,
    ) -> None:
        self.service = service
        self.store = store
        self.provider = provider
        self.prometheus = prometheus
        self._forge = forge

    def token(self, tenant: str = "acme") -> str:
        """A good token of the service's issuer."""
        return self._forge.by(self._forge.ec, "first", "ES256", tenantId=tenant)

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
                    while not stop.is_set():
                        call_everything(self.service, token, connection=connection)

        caller = threading.Thread(target=call)
        caller.start()
        try:
            yield
        finally:
            stop.set()
            caller.join(60)


def call_everything(service: Service, token: str, **more: object) -> None:
    """Each call once, as it should be, and what is refused.

    Raises:
        OSError: nobody answers.
        ValueError: the answer is not what it should be.
    """

    def call(method: str, path: str, body: object = None, **headers: str) -> object:
        return service.call(
            method, path, body, headers={"Authorization": f"Bearer {token}", **headers}, **more
        ).json  # type: ignore[arg-type]

    data = {"type": "order.paid", "amount": 12}
    record = call("POST", SIGILS, {"data": data})
    if not isinstance(record, dict) or "sigil" not in record:
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
        service.call("POST", path, body * 3, token=token, headers=lines, **more)  # type: ignore[arg-type]
    call("GET", f"{SIGILS}?limit=5")
    call("GET", f"{SIGILS}/{record['id']}")
    call("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "a test"})
    call("POST", SIGILS, {"data": 1})
    service.call("GET", SIGILS, token="no token", **more)  # type: ignore[arg-type]


@contextlib.contextmanager
def watched(
    folder: Path,
    *,
    rules: Sequence[Path] = (),
    interval: float = 0.5,
    store_variables: dict[str, str] | None = None,
    **variables: str,
) -> Iterator[Watched]:
    """Everything started, and ended afterwards."""
    forge = Forge()
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(running_provider())
        provider.serve(public(forge.ec, kid="first"))
        (folder / "store").mkdir()
        store = DnaStore(folder / "store", **(store_variables or {})).start()
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
