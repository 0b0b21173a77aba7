"""Who is not let in by TLS, and what the server's log says about it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.dnastore.handshakes import HandshakeLog
from tests.service.dnastore.running import CLIENT, DnaStore
from tests.service.server.tls_files import DAY, NOW, Authority, client

_SECONDS = 20.0
_CLIENT_CA = "DNASTORE_SERVER_CLIENT_CA"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnaStore]:
    """A server whose log no other tests write to."""
    running = DnaStore(tmp_path_factory.mktemp("closed")).start()
    yield running
    running.stop()


def ask(dnastore: DnaStore, context: ssl.SSLContext) -> None:
    """Send a request, whatever the moment at which the server hangs up."""
    connection = http.client.HTTPSConnection("127.0.0.1", dnastore.port, timeout=30, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        connection.getresponse()


def refusals(dnastore: DnaStore, more_than: int) -> list[dict[str, str]]:
    """The log's lines about refused clients, when there are more than so many."""
    deadline = time.monotonic() + _SECONDS
    while len(found := dnastore.logged("handshake refused")) <= more_than:
        assert time.monotonic() < deadline, "nothing was logged"
        time.sleep(0.01)
    return found


def presented(who: str, dnastore: DnaStore, folder: Path) -> tuple[Path, Path] | None:
    """The files of a client that is not let in."""
    if who == "nobody":
        return None
    if who == "another authority's":
        return Authority(folder).issue("foreign", host=CLIENT)
    if who == "self-signed":
        return Authority(folder).itself()
    return dnastore.authority.issue(who, host=CLIENT, not_before=NOW - 2 * DAY, not_after=NOW - DAY)


@pytest.mark.parametrize(
    ("who", "cause"),
    [
        ("nobody", "the client has shown no certificate"),
        ("another authority's", "refused: unable to get local issuer certificate"),
        ("self-signed", "refused: self-signed certificate"),
        ("expired", "refused: certificate has expired"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates(
    closed: DnaStore, tmp_path: Path, who: str, cause: str, version: ssl.TLSVersion
) -> None:
    """A client without a good certificate gets no answer; the log says why, and names the setting."""
    before = len(closed.logged("handshake refused"))
    context = client(closed.authority, presented(who, closed, tmp_path))
    context.minimum_version = context.maximum_version = version
    with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the moment has it
        ask(closed, context)
    line = refusals(closed, before)[-1]
    assert line["cause"].endswith(cause)
    assert (line["peer"], line["setting"]) == ("127.0.0.1", _CLIENT_CA)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_protocols(new_dnastore: Callable[..., DnaStore]) -> None:
    """Old TLS, plain HTTP and what is neither get no answer, and a line of the log says what it was."""
    dnastore = new_dnastore().start()
    old = client(dnastore.authority, dnastore.identity, version=ssl.TLSVersion.TLSv1_1)
    with pytest.raises(OSError):  # noqa: PT011
        ask(dnastore, old)
    assert refusals(dnastore, 0)[-1]["cause"] == "the client speaks no TLS 1.2 or newer"
    with socket.create_connection(("127.0.0.1", dnastore.port), timeout=30) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in plain.recv(4096)
    assert refusals(dnastore, 1)[-1]["cause"] == "the client speaks plain HTTP"
    with socket.create_connection(("127.0.0.1", dnastore.port), timeout=30) as garbage:
        garbage.sendall(b"\0" * 100)
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in garbage.recv(4096)
    assert refusals(dnastore, 2)[-1]["cause"] == "the client speaks no TLS"


def test_distrustful_clients(new_dnastore: Callable[..., DnaStore], tmp_path: Path) -> None:
    """When it is the client that refuses, the log says so, and which of the server's settings it is about."""
    dnastore = new_dnastore().start()
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(dnastore, client(Authority(tmp_path / "other"), dnastore.identity))
    line = refusals(dnastore, 0)[-1]
    assert line["cause"] == "the client does not trust this server's certificate"
    assert line["setting"] == "DNASTORE_SERVER_CERT"


def test_the_log_is_bounded() -> None:
    """However many clients are refused, few lines are written; those who just go away are no news."""
    log = HandshakeLog()
    error = ssl.SSLError(1, "[SSL: HTTP_REQUEST] http request")
    error.reason = "HTTP_REQUEST"
    with capture_logs() as lines:
        for _ in range(100):
            log.refused("127.0.0.1", error)
            log.refused("127.0.0.1", ConnectionResetError())
    assert len(lines) == 10
