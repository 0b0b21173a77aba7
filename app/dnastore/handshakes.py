"""Why no TLS came about with a client, for the log."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Final

import structlog

from core.dnastore.server_settings import SERVER_TLS_NAMES

#: Lines of the log in this many seconds; who tries more often is counted.
_LINES: Final = 10
_SECONDS: Final = 10.0

_CLIENT_CA: Final = SERVER_TLS_NAMES["authorities"]
_CERT: Final = SERVER_TLS_NAMES["certificate"]

#: By OpenSSL's reason: what it means here, and the setting that it is about, if any.
_MEANINGS: Final[Mapping[str, tuple[str, str | None]]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("the client has shown no certificate", _CLIENT_CA),
    "HTTP_REQUEST": ("the client speaks plain HTTP", None),
    "UNSUPPORTED_PROTOCOL": ("the client speaks no TLS 1.2 or newer", None),
    "WRONG_VERSION_NUMBER": ("the client speaks no TLS", None),
    "NO_SHARED_CIPHER": ("the client has no cipher that is good enough", None),
    "TLSV1_ALERT_UNKNOWN_CA": ("the client does not trust this server's certificate", _CERT),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("the client refuses this server's certificate", _CERT),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ("the client refuses this server's certificate", _CERT),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ("the client finds this server's certificate expired", _CERT),
}

_log = structlog.get_logger("app.dnastore")


class HandshakeLog:
    """Logs refused clients, a bounded number of them: anybody may try, as often as they like."""

    def __init__(self) -> None:
        self._window_ends = 0.0
        self._lines_left = 0
        self._unlogged = 0

    def refused(self, peer: str, error: OSError) -> None:
        """Take note of a client with whom no TLS came about. Those who just went away are no news."""
        if not isinstance(error, ssl.SSLError):
            return
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends, self._lines_left = now + _SECONDS, _LINES
        if not self._lines_left:
            self._unlogged += 1
            return
        self._lines_left -= 1
        reason = error.reason or "UNKNOWN"
        cause: str
        setting: str | None
        if isinstance(error, ssl.SSLCertVerificationError):
            cause, setting = f"the client's certificate is refused: {error.verify_message}", _CLIENT_CA
        else:
            cause, setting = _MEANINGS.get(reason, (reason.lower().replace("_", " "), None))
        about = {} if setting is None else {"setting": setting}
        more = {} if not self._unlogged else {"refused_unlogged": self._unlogged}
        self._unlogged = 0
        _log.warning("handshake refused", peer=peer, cause=cause, reason=reason, **about, **more)
