"""What the client refuses, and what it says when it is refused: why, and which setting leads there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from core.dnastore.connection_test import trouble_with
from core.dnastore.failures import Trouble
from core.errors import StoreUnavailableError
from core.tls import ClientFiles, Identity, client_context
from tests.heavy import HEAVY
from tests.service.dnastore.running import CLIENT, DnaStore
from tests.service.dnastore.scripted import client_of, files_of, scripted
from tests.service.running import Service
from tests.service.server.tls_files import DAY, NOW, Authority
from tests.service.store.store_records import record

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")


Setup = Callable[[Authority, Path], tuple[ssl.SSLContext | None, ssl.SSLContext]]


def serving(
    identity: tuple[Path, Path],
    clients: Path | None = None,
    *,
    lowest: ssl.TLSVersion | None = None,
    highest: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """A server's context, without our checks of its files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if highest is not None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = lowest or highest
        context.maximum_version = highest
    return context


def client(authority: Authority) -> ssl.SSLContext:
    """The client's context with good files."""
    return client_context(files_of(authority))


def other_client(authority: Authority, folder: Path) -> ssl.SSLContext:
    """The client's context with a certificate of an authority that the server does not know."""
    stranger = Authority(folder / "stranger")
    return client_context(ClientFiles(Identity(*stranger.issue("client")), authority.path))


def late_client(authority: Authority) -> ssl.SSLContext:
    """The client's context with a certificate that has expired since it was read."""
    context = client(authority)
    context.load_cert_chain(*authority.issue("late", not_before=NOW - 2 * DAY, not_after=NOW - DAY))
    return context


def wrong_authority(authority: Authority, folder: Path) -> ssl.SSLContext:
    """The client's context that trusts another authority."""
    return client_context(
        ClientFiles(Identity(*authority.issue("client")), Authority(folder / "another").path)
    )


#: The service's, first of all.
LOOPS = [uvloop.new_event_loop, asyncio.new_event_loop][: 2 if HEAVY else 1]
TLS_1_1, TLS_1_2 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2

CASES: dict[str, tuple[Setup, str | None, str, bool]] = {
    "good": (lambda a, _: (serving(a.issue("s"), a.path), client(a)), None, "", False),
    "good with 1.2": (
        lambda a, _: (serving(a.issue("s"), a.path, highest=TLS_1_2), client(a)),
        None,
        "",
        False,
    ),
    "wrong authority": (
        lambda a, folder: (serving(a.issue("s"), a.path), wrong_authority(a, folder)),
        "DNASTORE_CA_CERT",
        "not trusted",
        True,
    ),
    "self-signed": (
        lambda a, folder: (serving(Authority(folder / "self").itself(), a.path), client(a)),
        "DNASTORE_CA_CERT",
        "self-signed",
        True,
    ),
    "expired": (
        lambda a, _: (
            serving(a.issue("s", not_before=NOW - 2 * DAY, not_after=NOW - DAY), a.path),
            client(a),
        ),
        "DNASTORE_URL",
        "the DNAStore's certificate has expired",
        False,
    ),
    "not valid yet": (
        lambda a, _: (
            serving(a.issue("s", not_before=NOW + DAY, not_after=NOW + 2 * DAY), a.path),
            client(a),
        ),
        "DNASTORE_URL",
        "not valid yet",
        False,
    ),
    "another host": (
        lambda a, _: (serving(a.issue("s", host="other.example"), a.path), client(a)),
        "DNASTORE_URL",
        "for another host",
        True,
    ),
    "another address": (
        lambda a, _: (serving(a.issue("s", host="127.0.0.2"), a.path), client(a)),
        "DNASTORE_URL",
        "for another host",
        True,
    ),
    "strange client": (
        lambda a, folder: (serving(a.issue("s"), a.path), other_client(a, folder)),
        "DNASTORE_CLIENT_CERT",
        "does not trust it",
        True,
    ),
    "strange client with 1.2": (
        lambda a, folder: (serving(a.issue("s"), a.path, highest=TLS_1_2), other_client(a, folder)),
        "DNASTORE_CLIENT_CERT",
        "does not trust it",
        True,
    ),
    "expired client": (
        lambda a, _: (serving(a.issue("s"), a.path), late_client(a)),
        "DNASTORE_CLIENT_CERT",
        "does not trust it",
        True,
    ),
    "TLS 1.1": (
        lambda a, _: (serving(a.issue("s"), a.path, highest=TLS_1_1), client(a)),
        "DNASTORE_URL",
        "TLS 1.2 or newer",
        False,
    ),
    "plain HTTP": (lambda a, _: (None, client(a)), "DNASTORE_URL", "does not speak TLS", True),
}


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[str]:
    """A server that answers everything in plain HTTP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", CASES)
def test_matrix(
    authority: Authority,
    tmp_path: Path,
    case: str,
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Each side refuses what it must; the line says why and leads to the setting; callers hear of a 503."""
    setup, setting, said, lasting = CASES[case]
    server, context = setup(authority, tmp_path)

    async def attempt() -> tuple[Trouble | None, str | None]:
        async with contextlib.AsyncExitStack() as stack:
            if server is None:
                url = await stack.enter_async_context(plain())
            else:
                url = (await stack.enter_async_context(scripted(authority, server))).url
            trouble = await trouble_with(url, lambda: context, seconds=5)
            store = client_of(url, files_of(authority), timeout=2, breaker_failures=1)
            store._transport._tls = lambda: context
            try:
                await store.put([record(1)])
            except StoreUnavailableError as error:
                await asyncio.sleep(0)
                return trouble, error.reason
            finally:
                await store.close()
            return trouble, None

    with asyncio.Runner(loop_factory=loop) as runner:
        trouble, reason = runner.run(attempt())
    if setting is None:
        assert (trouble, reason) == (None, None)
        return
    assert trouble is not None
    assert (trouble.setting, trouble.lasting) == (setting, lasting)
    assert trouble.reason == ("connection" if case == "TLS 1.1" else "tls")
    assert said in trouble.text
    assert trouble.line.startswith(f"{setting}: ")
    assert reason in {"tls", "connection", "open"}


@contextlib.contextmanager
def outspoken(context: ssl.SSLContext) -> Iterator[str]:
    """A server that says in an alert why it refuses, as those of asyncio do not."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("strange client", "unknown ca"),
        ("strange client with 1.2", "unknown ca"),
        ("expired client", "certificate expired"),
        ("TLS 1.1", "TLS 1.2 or newer"),
    ],
)
def test_what_a_server_says(authority: Authority, tmp_path: Path, case: str, said: str) -> None:
    """Where the other side says why it refuses, that is what the line says."""
    setup, setting, _, _ = CASES[case]
    server, context = setup(authority, tmp_path)
    assert server is not None
    with outspoken(server) as url:
        trouble = asyncio.run(trouble_with(url, lambda: context, seconds=5))
    assert trouble is not None
    assert (trouble.reason, trouble.setting, trouble.lasting) == ("tls", setting, True)
    assert said in trouble.text


def test_a_name_that_is_not_allowed(dnastore: DnaStore) -> None:
    """A good certificate with a name that the DNAStore does not know leads to the certificate's setting."""
    stranger = dnastore.authority.issue("stranger", host="stranger")
    context = client_context(ClientFiles(Identity(*stranger), dnastore.authority.path))
    trouble = asyncio.run(trouble_with(dnastore.url, lambda: context, seconds=5))
    assert trouble is not None
    assert (trouble.reason, trouble.setting, trouble.lasting) == ("forbidden", "DNASTORE_CLIENT_CERT", True)


def test_nobody_is_verified_on_request(authority: Authority, tmp_path: Path) -> None:
    """Where verification is off, whoever answers is believed, and the service still shows who it is."""
    identity = Identity(*authority.issue("client"))
    files = ClientFiles(identity, Authority(tmp_path / "another").path, verify=False)

    async def attempt() -> Trouble | None:
        async with scripted(
            authority, serving(authority.issue("s", host="x.example"), authority.path)
        ) as server:
            return await trouble_with(server.url, lambda: client_context(files), seconds=5)

    assert asyncio.run(attempt()) is None


@pytest.mark.parametrize(
    ("case", "setting"),
    [("a name", "DNASTORE_CLIENT_CERT"), ("wrong authority", "DNASTORE_CA_CERT"), ("host", "DNASTORE_URL")][
        : 3 if HEAVY else 1
    ],
)
def test_the_start_fails_where_only_settings_help(
    dnastore: DnaStore, new_service: Callable[..., Service], tmp_path: Path, case: str, setting: str
) -> None:
    """The service does not start with what cannot work, exits with 78, and names the setting in one line."""
    variables = dnastore.client_variables
    if case == "wrong authority":
        variables["DNASTORE_CA_CERT"] = str(Authority(tmp_path / "another").path)
    elif case == "a name":
        certificate, key = dnastore.authority.issue("unknown", host=f"not-{CLIENT}")
        variables |= {"DNASTORE_CLIENT_CERT": str(certificate), "DNASTORE_CLIENT_KEY": str(key)}
    else:
        variables["DNASTORE_URL"] = f"https://localhost:{dnastore.port}"
    code, said = new_service(**variables).start_in_vain()
    assert code == 78, said
    assert [line.partition(":")[0].strip() for line in said.splitlines() if line.startswith("  ")] == [
        setting
    ]


@pytest.mark.heavy("starts one more service")
def test_verification_off_is_loud(dnastore: DnaStore, new_service: Callable[..., Service]) -> None:
    """Each start without verification says so."""
    variables = {**dnastore.client_variables, "DNASTORE_REJECT_UNAUTHORIZED": "false"}
    service = new_service(**variables).start()
    assert service.logged("DNASTORE_REJECT_UNAUTHORIZED IS FALSE: NOBODY CHECKS WHO THE DNASTORE IS")
    service.encode({"n": 1}, token=service.token())
