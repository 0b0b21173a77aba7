"""The service's own TLS, seen from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sigil_native
from tests.service.running import SIGILS, Service
from tests.service.server.tls_files import DAY, NOW, Authority, client, trusting, variables
from tests.service.server.wire import request


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the service's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the clients' certificates."""
    return Authority(tmp_path_factory.mktemp("client-authority"))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Service]:
    """A service that speaks TLS to everybody."""
    folder = tmp_path_factory.mktemp("encrypted")
    running = Service(folder, **variables(authority.issue("service")), SIGIL_HSTS_SECONDS="600").start()
    yield trusting(running, client(authority))
    running.stop()


@pytest.fixture(scope="module")
def mutual(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, client_authority: Authority
) -> Iterator[Service]:
    """A service that wants to see certificates."""
    folder = tmp_path_factory.mktemp("mutual")
    running = Service(folder, **variables(authority.issue("mutual"), client_authority.path)).start()
    yield running
    running.stop()


def handshake(service: Service, context: ssl.SSLContext) -> str | None:
    """Shake hands and be answered, and say in which version."""
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=30, context=context)
    try:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.version()
    finally:
        connection.close()


def test_encode_and_verify(encrypted: Service, tenant: str) -> None:
    """The API works over TLS, and the log names its https URL."""
    token = encrypted.token(tenant)
    record = encrypted.encode({"a": 1}, token=token)
    assert encrypted.verify(record["sigil"], {"a": 1}, token=token)["valid"]
    assert encrypted.url.startswith("https://127.0.0.1:")


def test_hsts_only_with_tls(encrypted: Service, service: Service) -> None:
    """Browsers are told to insist on https, in every answer, by a service that speaks it and by no other."""
    for path in ("/healthz", SIGILS, "/nowhere"):
        assert encrypted.call("GET", path).headers["strict-transport-security"] == "max-age=600"
        assert "strict-transport-security" not in service.call("GET", path).headers


@pytest.mark.parametrize(
    ("version", "accepted"),
    [
        (ssl.TLSVersion.TLSv1_1, None),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_versions(
    encrypted: Service, authority: Authority, version: ssl.TLSVersion, accepted: str | None
) -> None:
    """TLS 1.2 and 1.3 are spoken, older versions are not."""
    context = client(authority, version=version)
    if accepted is None:
        with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the moment has it
            handshake(encrypted, context)
    else:
        assert handshake(encrypted, context) == accepted


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE+AES:!AESGCM:!AESCCM", "DHE", "aNULL"])
def test_ciphers(encrypted: Service, authority: Authority, ciphers: str) -> None:
    """No cipher is used that keeps no forward secrecy, or whose encryption is not authenticated."""
    context = client(authority, version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(ciphers)
    with pytest.raises(OSError):  # noqa: PT011
        handshake(encrypted, context)


def test_only_http_1_is_offered(encrypted: Service, authority: Authority) -> None:
    """Whoever asks by ALPN gets HTTP/1.1."""
    context = client(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.selected_alpn_protocol() == "http/1.1"
        assert secured.compression() is None


@pytest.mark.parametrize(
    "sent", [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 300, b"\x16\x03\x01", b""]
)
def test_no_tls_is_closed(encrypted: Service, sent: bytes) -> None:
    """What is no handshake gets no answer and leaves no line in the log."""
    logged = encrypted.log_path.read_text()
    with socket.create_connection(("127.0.0.1", encrypted.port), timeout=30) as plain:
        plain.sendall(sent)
        plain.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in plain.recv(4096)
    assert encrypted.call("GET", "/healthz").status == 200
    assert encrypted.log_path.read_text() == logged


@pytest.mark.parametrize("who", ["nobody", "self-signed", "another authority's", "expired"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_strangers_are_refused(
    mutual: Service,
    authority: Authority,
    client_authority: Authority,
    tmp_path: Path,
    who: str,
    version: ssl.TLSVersion,
) -> None:
    """With a client authority set, nobody without a good certificate of it gets an answer."""
    identity = None
    if who == "self-signed":
        identity = Authority(tmp_path).itself()
    elif who == "another authority's":
        identity = authority.issue("stranger")
    elif who == "expired":
        identity = client_authority.issue("late", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    with pytest.raises((OSError, http.client.HTTPException)):
        handshake(mutual, client(authority, identity, version=version))


def test_known_clients_are_served(mutual: Service, authority: Authority, client_authority: Authority) -> None:
    """A client whose certificate the authority has issued is served; it needs its token all the same."""
    trusting(mutual, client(authority, client_authority.issue("client")))
    record = mutual.encode({"a": 1}, token=mutual.token())
    assert record["status"] == "active"
    assert mutual.call("GET", SIGILS).status == 401


def test_stalled_handshakes(encrypted: Service) -> None:
    """Connections that never finish their handshake hold nobody up."""
    stalled = [socket.create_connection(("127.0.0.1", encrypted.port)) for _ in range(50)]
    try:
        for connection in stalled[::2]:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert encrypted.call("GET", "/healthz").status == 200
    finally:
        for connection in stalled:
            connection.close()


def test_places_of_clients_that_say_no_goodbye(
    new_service: Callable[..., Service], authority: Authority
) -> None:
    """Whom the service has closed has neither place nor descriptor, said goodbye or not; all hear why."""
    settings = variables(authority.issue("narrow")) | {"SIGIL_MAX_CONNECTIONS": "10"}
    service = trusting(new_service(**settings).start(), client(authority))
    service.token()
    before = len(os.listdir(f"/proc/{service.pid}/fd"))  # noqa: PTH208

    def most() -> bool:
        # One may be on its way in, and one on its way out.
        return len(os.listdir(f"/proc/{service.pid}/fd")) <= before + 12  # noqa: PTH208

    with contextlib.ExitStack() as stack:

        def connected(sent: bytes = b"") -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            assert service.tls is not None
            connection = stack.enter_context(service.tls.wrap_socket(plain, server_hostname="127.0.0.1"))
            connection.sendall(sent)
            return connection

        silent = [connected() for _ in range(40)]
        wait_for(most)
        assert silent[0].recv(100) == b""
        assert [connected(b"nonsense\r\n\r\n").recv(12) for _ in range(40)] == [b"HTTP/1.1 400"] * 40
        wait_for(most)
        head = request(SIGILS, "Expect: 100-continue", method="POST", body=b"{}", token=service.token())
        busy = [connected(head.removesuffix(b"{}")) for _ in range(10)]
        assert {one.recv(12) for one in busy} == {b"HTTP/1.1 100"}
        assert [connected().recv(12) for _ in range(40)] == [b"HTTP/1.1 503"] * 40
        wait_for(most)


def test_stop_waits_for_nobody(new_service: Callable[..., Service], authority: Authority) -> None:
    """Neither a stalled handshake nor an idle client that does not say goodbye holds up a stop."""
    given = variables(authority.issue("stopped"))
    service = trusting(new_service(**given, SIGIL_SHUTDOWN_SECONDS="25").start(), client(authority))
    idle = service.connection()
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    with socket.create_connection(("127.0.0.1", service.port)) as stalled:
        stalled.sendall(b"\x16")
        assert service.stop() == 0
    idle.close()
    # It would, and be logged, if the stop had waited for its limit.
    log = service.log_path.read_text()
    assert "exceeded" not in log
    assert "stopped" in log


def test_stop_finishes_what_runs(new_service: Callable[..., Service], authority: Authority) -> None:
    """After SIGTERM a request that was half sent over TLS is answered."""
    service = new_service(**variables(authority.issue("finishing"))).start()
    context = client(authority)
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(
            f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {service.token()}\r\n"
            "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert secured.recv(4096).startswith(b"HTTP/1.1 100 ")
        os.kill(service.pid, signal.SIGTERM)
        secured.sendall(b'{"data":{}}')
        assert secured.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert service.wait() == 0


def serial(service: Service, context: ssl.SSLContext) -> str:
    """Which certificate the service shows now."""
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        shown = secured.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


@contextlib.contextmanager
def callers(service: Service) -> Iterator[list[str]]:
    """Clients that call all the time, each call by a new connection; what went wrong."""
    wrong: list[str] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            try:
                status = service.call("GET", "/healthz").status
            except (OSError, http.client.HTTPException) as error:
                wrong.append(repr(error))
            else:
                wrong.extend([] if status == 200 else [str(status)])

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        done.set()
        for thread in threads:
            thread.join()


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
def test_certificate_changes_under_load(
    new_service: Callable[..., Service], authority: Authority, workers: int
) -> None:
    """SIGHUP takes up a new certificate without a failed request; a broken one keeps the last good one."""
    certificate, key = authority.issue(f"changing-{workers}")
    given = variables((certificate, key))
    context = client(authority)
    service = trusting(new_service(**given, SIGIL_WORKERS=str(workers)).start(), context)
    lasting = service.connection()
    lasting.request("GET", "/healthz")
    lasting.getresponse().read()
    with callers(service) as wrong:
        first = serial(service, context)
        certificate.write_text("broken")
        os.kill(service.pid, signal.SIGHUP)
        wait_for(lambda: len(service.logged("certificate refused")) == workers)
        assert {serial(service, context) for _ in range(10)} == {first}
        for path, other in zip((certificate, key), authority.issue("next"), strict=True):
            other.replace(path)
        os.kill(service.pid, signal.SIGHUP)
        wait_for(lambda: len(service.logged("certificate changed")) == workers)
        shown = {serial(service, context) for _ in range(10)}
        assert len(shown) == 1
        assert shown != {first}
    assert wrong == []
    (refused, *_) = service.logged("certificate refused")
    assert refused["cause"] == "certificate: the file holds no certificate in PEM form"
    audited = (service.data_dir / "audit.jsonl").read_text()
    assert (
        audited.count('"event":"certificate.refused"')
        == audited.count('"event":"certificate.changed"')
        == workers
    )
    lasting.request("GET", "/healthz")  # what was connected before still is
    assert lasting.getresponse().read()
    lasting.close()


def test_certificate_file_changes(new_service: Callable[..., Service], authority: Authority) -> None:
    """A changed file is taken up without being asked."""
    certificate, key = authority.issue("watched")
    context = client(authority)
    given = variables((certificate, key))
    service = trusting(new_service(**given, SIGIL_RELOAD_SECONDS="0.05").start(), context)
    first = serial(service, context)
    for path, other in zip((certificate, key), authority.issue("next"), strict=True):
        other.replace(path)
    wait_for(lambda: serial(service, context) != first)


def test_new_client_authority(
    new_service: Callable[..., Service], authority: Authority, tmp_path: Path
) -> None:
    """Once a client authority has been replaced, its clients are refused, also those that come back."""
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    given = variables(authority.issue("trusting"), old.path)
    service = new_service(**given).start()
    known = client(authority, old.issue("client"), version=ssl.TLSVersion.TLSv1_2)
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain,
        known.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        session = secured.session
    new.path.replace(old.path)
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: bool(service.logged("certificate changed")))
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain, pytest.raises(OSError):  # noqa: PT011
        known.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
    assert handshake(service, client(authority, new.issue("client")))


def test_key_that_others_may_read(new_service: Callable[..., Service], authority: Authority) -> None:
    """A key that everybody may read works, as mounted secrets have such modes, and is warned of."""
    certificate, key = authority.issue("readable")
    key.chmod(0o644)
    service = trusting(new_service(**variables((certificate, key))).start(), client(authority))
    assert service.call("GET", "/healthz").status == 200
    assert service.logged("SIGIL_TLS_KEY can be read by everybody on this machine")


@pytest.mark.skipif(sigil_native.backend != "native", reason="production refuses the pure backend")
@pytest.mark.parametrize("encrypted", [False, True])
def test_plain_http_beyond_this_machine(
    new_service: Callable[..., Service], authority: Authority, encrypted: bool
) -> None:
    """Whoever listens to other machines without TLS is warned, once."""
    service = new_service(
        SIGIL_ENVIRONMENT="production",
        SPIRAL_EVENT_SECRET="p" * 32,
        SIGIL_AUDIT_SECRET="a" * 32,
        JWT_ISSUER="https://issuer.example",
        JWT_AUDIENCE="sigil",
        JWT_JWKS_URI="https://127.0.0.1:1/jwks",
        SIGIL_HOST="0.0.0.0",  # noqa: S104
        SIGIL_WORKERS="2",
        **(variables(authority.issue("everywhere")) if encrypted else {}),
    ).start()
    assert len(service.logged("plain HTTP beyond this machine")) == (not encrypted)
