"""Running the service: in this process, or in several that share its socket."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from app.metrics.metrics import Metrics
from app.metrics.observers import Observers, counting_in
from app.server.certificates import Certificates
from app.server.early_stop import EarlyStop
from app.server.failures import explained
from app.server.listening import listen
from app.server.serving import Server, configuration, connections_from
from app.server.worker import WorkerEnd
from app.server.workers import Supervisor
from app.service import service_from
from app.tracing.opening import check_installed, tracing_from
from core.limits.shared_folder import kept_folder, private_folder
from core.setting_types import is_loopback
from core.settings import Settings
from core.settings_loading import SettingsError
from core.tls import TlsFileError, is_open_to_others
from core.tls_settings import TLS_NAMES, tls_problem

#: What a stop may take beyond the time that running requests are given: writing what waits.
_STOP_GRACE: Final = 10.0
_TRACING: Final = "SIGIL_TRACING"
_METRICS_VARIABLES: Final = "SIGIL_METRICS_HOST, SIGIL_METRICS_PORT"

_log = structlog.get_logger("app")


def run(settings: Settings, on_started: Callable[[str], None]) -> None:
    """Serve until told to stop by SIGINT or SIGTERM; then finish what runs, and return.

    Args:
        settings: complete and checked.
        on_started: called with the service's URL when it accepts connections, in all its processes.

    Raises:
        StartFailedError: saying why not.
    """
    early_stop = EarlyStop()
    with contextlib.ExitStack() as stack:
        with explained():
            check_installed(settings.tracing, _TRACING)
            listener = stack.enter_context(listen(settings.host, settings.port))
            # Before the workers start: they share it.
            rate_folder = stack.enter_context(_rate_folder(settings))
            metrics = _metrics(settings, stack)
        _warn(settings)
        url = _url(settings, listener)

        def started() -> None:
            if metrics is not None:
                host = address("http", settings.metrics_host, metrics.port)
                _log.info("metrics", url=f"{host}/metrics")
            on_started(url)

        if settings.workers == 1:
            _serve(settings, listener, metrics, rate_folder, early_stop, started)
        else:
            supervisor = Supervisor(
                settings.workers,
                listener,
                lambda end: _work(settings, listener, metrics, rate_folder, end),
                stop_seconds=settings.shutdown_seconds + _STOP_GRACE,
                on_ended=lambda place: metrics.ended(place) if metrics is not None else None,
            )
            early_stop.check()
            supervisor.run(started)
        early_stop.ignore_signals()
    _log.info("stopped")


@contextlib.contextmanager
def _rate_folder(settings: Settings) -> Iterator[Path | None]:
    """Where workers share the tables of their rate limits; None where one process has them to itself."""
    if settings.rate_mode == "off":
        yield None
    elif settings.rate_restart == "keep" and settings.rate_folder is not None:
        yield kept_folder(settings.rate_folder)
    elif settings.workers == 1:
        yield None
    else:
        with private_folder(settings.rate_folder) as folder:
            yield folder


def _work(
    settings: Settings,
    listener: socket.socket,
    metrics: Metrics | None,
    rate_folder: Path | None,
    end: WorkerEnd,
) -> None:
    """Be one of several workers."""
    early_stop = EarlyStop()

    def started() -> None:
        _log.info("worker started", pid=os.getpid())
        end.say_started()

    _serve(settings, listener, metrics, rate_folder, early_stop, started, end)
    _log.info("worker stopped", pid=os.getpid())


def _serve(
    settings: Settings,
    listener: socket.socket,
    metrics: Metrics | None,
    rate_folder: Path | None,
    early_stop: EarlyStop,
    on_started: Callable[[], None],
    end: WorkerEnd | None = None,
) -> None:
    with contextlib.ExitStack() as stack:
        with early_stop.held():
            server = _server(settings, metrics, rate_folder, on_started, end, stack)
        server.run([listener])


def _server(
    settings: Settings,
    metrics: Metrics | None,
    rate_folder: Path | None,
    on_started: Callable[[], None],
    end: WorkerEnd | None,
    stack: contextlib.ExitStack,
) -> Server:
    """The server, with all that it needs open."""
    parent, place, replaces = (None, 0, False) if end is None else (end.channel, end.place, end.replaces)
    observers = Observers()
    if metrics is not None:
        observers = stack.enter_context(
            metrics.at_work(lambda registry: counting_in(registry, place, replaces=replaces), place)
        )
    with explained():
        tracing = stack.enter_context(tracing_from(settings.tracing, _TRACING, "sigil"))
        observers = observers._replace(tracing=tracing)
        certificates = _certificates(settings)
        reloadables = () if certificates is None else (certificates,)
        connections = connections_from(settings)
        app = stack.enter_context(
            service_from(
                settings,
                reloadables,
                lambda: connections.stopping,
                rate_folder=rate_folder,
                observers=observers,
                connections=connections,
            )
        )
    return Server(configuration(settings, app), connections, certificates, on_started, parent)


def _metrics(settings: Settings, stack: contextlib.ExitStack) -> Metrics | None:
    port = settings.metrics_port(development=settings.is_development)
    if port is None:
        return None
    metrics = Metrics(settings.metrics_host, port, settings.workers, variables=_METRICS_VARIABLES)
    stack.callback(metrics.close)
    return metrics


def _certificates(settings: Settings) -> Certificates | None:
    try:
        return None if settings.tls is None else Certificates.of_server(settings.tls)
    except TlsFileError as error:  # changed since the settings were checked
        raise SettingsError([tls_problem(error, TLS_NAMES)]) from None


def _url(settings: Settings, listener: socket.socket) -> str:
    return address("http" if settings.tls is None else "https", settings.host, listener.getsockname()[1])


def address(scheme: str, host: str, port: int) -> str:
    """The URL of a server."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _warn(settings: Settings) -> None:
    """Say what works but is not safe everywhere."""
    if settings.tls is None and not is_loopback(settings.host):
        _log.warning("plain HTTP beyond this machine", hint="set SIGIL_TLS_CERT, or let a proxy end TLS")
    if settings.tls is not None and is_open_to_others(settings.tls.identity.key):
        _log.warning("SIGIL_TLS_KEY can be read by everybody on this machine", hint="chmod 600")
    if settings.dnastore_files is not None:
        if is_open_to_others(settings.dnastore_files.identity.key):
            _log.warning("DNASTORE_CLIENT_KEY can be read by everybody on this machine", hint="chmod 600")
        if not settings.dnastore_verify:
            _log.warning(
                "DNASTORE_REJECT_UNAUTHORIZED IS FALSE: NOBODY CHECKS WHO THE DNASTORE IS",
                hint="records go to whoever answers, and come from there; unset it",
            )
