"""What goes wrong between a client and its DNAStore: what it means, and which setting it leads to."""

from __future__ import annotations

import re
import ssl
from typing import Final, NamedTuple

import aiohttp

from core.errors import StoreUnavailableError

#: Of X.509 chains, from OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = frozenset({18, 19})
_OTHER_HOST: Final = frozenset({62, 64})

_REASON = re.compile(r"\[(?:SSL|X509)(?:: ([A-Z0-9_]+))?\]")
#: What OpenSSL calls the alerts by which the other side refuses a certificate: all but the last word or two.
_CERTIFICATE_ALERTS: Final = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)
_OLD_TLS: Final = (
    "PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_SSL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "VERSION_TOO_LOW",
)
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


class Trouble(NamedTuple):
    """Why there was no good answer.

    Attributes:
        reason: as StoreUnavailableError has it.
        text: for the operator; shows no secret, and nothing that the other side chose.
        setting: that most likely has to be changed; None: waiting may help.
        lasting: whether it stays so until somebody changes this service's settings or files.
    """

    reason: str
    text: str
    setting: str | None = None
    lasting: bool = False

    @property
    def line(self) -> str:
        """What is wrong, beginning with the setting if there is one."""
        return self.text if self.setting is None else f"{self.setting}: {self.text}"


#: The DNAStore does not know the name in this service's certificate.
FORBIDDEN: Final = Trouble(
    "forbidden",
    "the DNAStore does not let this certificate's name in, or not to this tenant",
    "DNASTORE_CLIENT_CERT",
    lasting=True,
)


class AttemptFailedError(StoreUnavailableError):
    """One request came to nothing.

    Attributes:
        trouble: why.
        repeatable: whether the same request may well succeed in a moment.
        counts: whether it speaks against the DNAStore, so that the breaker counts it.
        wait: seconds that the DNAStore asks to be left alone for; None if it does not say.
        problem: the code of the problem that the DNAStore answered with.
    """

    def __init__(
        self,
        trouble: Trouble,
        *,
        repeatable: bool = False,
        counts: bool = True,
        wait: int | None = None,
        problem: str = "",
    ) -> None:
        super().__init__(trouble.reason, **({} if wait is None else {"retry_after": max(wait, 1)}))
        self.trouble = trouble
        self.repeatable = repeatable
        self.counts = counts
        self.wait = wait
        self.problem = problem


class RequestRefusedError(AttemptFailedError):
    """The DNAStore is well and does not take this request: it is wrong, or too large."""

    def __init__(self, status: int, problem: str) -> None:
        text = f"the DNAStore refuses the request with status {status}"
        super().__init__(Trouble("refused", text), counts=False, problem=problem)


class AnswerTooLargeError(AttemptFailedError):
    """The answer has more bytes than are taken."""

    def __init__(self) -> None:
        text = "not a DNAStore's answer, or larger than this service takes"
        super().__init__(Trouble("invalid_answer", text), counts=False)


def invalid_answer(text: str) -> AttemptFailedError:
    """The failure that an answer means which no DNAStore gives."""
    return AttemptFailedError(Trouble("invalid_answer", f"not a DNAStore's answer: {text}", "DNASTORE_URL"))


def failure_of(error: BaseException) -> AttemptFailedError:
    """What an exception of aiohttp means, or any other that an attempt ended with."""
    cause = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, TimeoutError):
        return AttemptFailedError(Trouble("timeout", "no answer in time"), repeatable=True)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return AttemptFailedError(_distrust(cause))
    if isinstance(cause, OSError):
        named = _REASON.search(str(cause))
        if named or isinstance(cause, ssl.SSLError):
            return AttemptFailedError(tls_trouble((named and named[1]) or ""))
        text = f"no connection: {cause.strerror or type(cause).__name__}"
        return AttemptFailedError(Trouble("connection", text), repeatable=True)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerConnectionError):
        return AttemptFailedError(Trouble("connection", "the connection was cut off"), repeatable=True)
    return invalid_answer(type(error).__name__)


def tls_trouble(reason: str) -> Trouble:
    """What OpenSSL's name for the end of a connection means."""
    if reason.endswith(_CERTIFICATE_ALERTS):
        words = reason.rpartition("ALERT_")[2].lower().replace("_", " ")
        text = f"the DNAStore refuses this service's certificate: {words}"
        return Trouble("tls", text, "DNASTORE_CLIENT_CERT", lasting=True)
    if reason.endswith(_OLD_TLS):
        return Trouble(
            "tls", "what answers there does not speak TLS 1.2 or newer", "DNASTORE_URL", lasting=True
        )
    if reason.endswith(_NO_TLS):
        return Trouble("tls", "what answers there does not speak TLS", "DNASTORE_URL", lasting=True)
    words = reason.lower().replace("_", " ") or "unknown cause"
    return Trouble("tls", f"no TLS connection: {words}", "DNASTORE_URL")


def _distrust(error: ssl.SSLCertVerificationError) -> Trouble:
    code = error.verify_code
    if code in _OTHER_HOST:
        return Trouble("tls", "the DNAStore's certificate is for another host", "DNASTORE_URL", lasting=True)
    if code in {_EXPIRED, _NOT_YET_VALID}:
        # Its operator mends that, and nothing needs to be changed here.
        text = (
            "the DNAStore's certificate has expired"
            if code == _EXPIRED
            else ("the DNAStore's certificate is not valid yet")
        )
        return Trouble("tls", f"{text}, or an authority's", "DNASTORE_URL")
    if code in _SELF_SIGNED:
        text = "the DNAStore's certificate is self-signed, or its authority is not trusted"
        return Trouble("tls", text, "DNASTORE_CA_CERT", lasting=True)
    text = f"the DNAStore's certificate is not trusted: {error.verify_message}"
    return Trouble("tls", text, "DNASTORE_CA_CERT", lasting=True)
