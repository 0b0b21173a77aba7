"""Running the DNAStore server, in this process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

import structlog

from app.dnastore.handshakes import HandshakeLog
from app.dnastore.service import server_from
from app.server.certificates import Certificates
from app.server.failures import explained
from app.server.listening import listen
from app.server.running import address, stop_early
from app.server.serving import STOPPING, Server, configuration, connections_from
from core.dnastore.server_settings import PREFIX, SERVER_TLS_NAMES, ServerSettings
from core.settings_loading import SettingsError
from core.tls import TlsFileError, is_open_to_others
from core.tls_settings import tls_problem

_log = structlog.get_logger("app")


def run(settings: ServerSettings, on_started: Callable[[str], None]) -> None:
    """Serve until told to stop by SIGINT or SIGTERM; then finish what runs, and return.

    Args:
        settings: complete and checked.
        on_started: called with the server's URL when it accepts connections.

    Raises:
        StartFailedError: saying why not.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in STOPPING:
        signal.signal(number, stop_early)
    with contextlib.ExitStack() as stack:
        with explained():
            variables = f"{PREFIX}HOST, {PREFIX}PORT"
            listener = stack.enter_context(listen(settings.host, settings.port, variables))
            certificates = _certificates(settings)
            connections = connections_from(settings)
            app = stack.enter_context(server_from(settings, [certificates], lambda: connections.stopping))
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
    _log.info("stopped")


def _certificates(settings: ServerSettings) -> Certificates:
    try:
        return Certificates.of_server(settings.tls)
    except TlsFileError as error:  # changed since the settings were checked
        raise SettingsError([tls_problem(error, SERVER_TLS_NAMES)]) from None
