"""Running the DNAStore server, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from app.dnastore.handshakes import HandshakeLog
from app.dnastore.observation import NoServerObserver, ServerObserver
from app.dnastore.service import server_from
from app.metrics.dnastore import DnaStoreMetrics
from app.metrics.metrics import Metrics
from app.metrics.observers import sampling_in
from app.metrics.sampling import Sampling
from app.metrics.storage import StorageMetrics
from app.server.certificates import Certificates
from app.server.early_stop import EarlyStop
from app.server.failures import explained
from app.server.listening import listen
from app.server.running import address
from app.server.serving import Server, configuration, connections_from
from app.tracing.opening import check_installed, tracing_from
from core.dnastore.server_settings import PREFIX, SERVER_TLS_NAMES, ServerSettings
from core.settings_loading import SettingsError
from core.tls import TlsFileError, is_open_to_others
from core.tls_settings import tls_problem

_TRACING: Final = f"{PREFIX}TRACING"
_log = structlog.get_logger("app")


def run(settings: ServerSettings, on_started: Callable[[str], None], *, development: bool) -> None:
    """Serve until told to stop by SIGINT or SIGTERM; then finish what runs, and return.

    Args:
        settings: complete and checked.
        on_started: called with the server's URL when it accepts connections.
        development: several may run on one machine, so metrics have any free port by default.

    Raises:
        StartFailedError: saying why not.
    """
    early_stop = EarlyStop()
    with contextlib.ExitStack() as stack:
        with early_stop.held(), explained():
            check_installed(settings.tracing, _TRACING)
            listener = stack.enter_context(
                listen(settings.host, settings.port, f"{PREFIX}HOST, {PREFIX}PORT")
            )
            counts = _counts(settings, stack, development=development)
            tracing = stack.enter_context(tracing_from(settings.tracing, _TRACING, "dnastore"))
            certificates = _certificates(settings)
            connections = connections_from(settings)
            app = stack.enter_context(
                server_from(
                    settings,
                    [certificates],
                    lambda: connections.stopping,
                    observer=counts.server,
                    sampling=counts.sampling,
                    storage=counts.storage,
                    tracing=tracing,
                )
            )
        if is_open_to_others(settings.key):
            _log.warning(f"{PREFIX}KEY can be read by everybody on this machine", hint="chmod 600")
        url = address("https", settings.host, listener.getsockname()[1])
        Server(
            configuration(settings, app),
            connections,
            certificates,
            lambda: on_started(url),
            on_refused=HandshakeLog().refused,
        ).run([listener])
        early_stop.ignore_signals()
    _log.info("stopped")


class _Counts(NamedTuple):
    """What counts in this process."""

    server: ServerObserver = NoServerObserver()
    storage: StorageMetrics | None = None
    sampling: Sampling | None = None


def _counting_in(registry: CollectorRegistry) -> _Counts:
    sampling = sampling_in(registry, 0, component="dnastore")
    return _Counts(DnaStoreMetrics(registry), StorageMetrics(registry), sampling)


def _counts(settings: ServerSettings, stack: contextlib.ExitStack, *, development: bool) -> _Counts:
    """What counts, if anything does."""
    port = settings.metrics_port(development=development)
    if port is None:
        return _Counts()
    variables = f"{PREFIX}METRICS_HOST, {PREFIX}METRICS_PORT"
    metrics = Metrics(settings.metrics_host, port, workers=1, variables=variables)
    stack.callback(metrics.close)
    _log.info("metrics", url=f"{address('http', settings.metrics_host, metrics.port)}/metrics")
    return stack.enter_context(metrics.at_work(_counting_in))


def _certificates(settings: ServerSettings) -> Certificates:
    try:
        return Certificates.of_server(settings.tls)
    except TlsFileError as error:  # changed since the settings were checked
        raise SettingsError([tls_problem(error, SERVER_TLS_NAMES)]) from None
