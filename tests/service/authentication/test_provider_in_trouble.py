"""Providers that misbehave: known keys go on working, nothing hangs, recovery needs no restart."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme

from app.authentication.key_download import DownloadError, KeySetDownload, Timeouts
from app.authentication.remote_keys import RemoteKeys
from core.errors import KeysUnavailableError
from tests.service.authentication.forge import Forge, public
from tests.service.authentication.provider import Provider, running_provider

_QUICK = Timeouts(total=0.4, connect=0.3, read=0.2)


def _plain(body: bytes, *headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""])

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(head.encode() + body)
        handler.close_connection = True

    return answer


def _endless(first: bytes, then: bytes, pause: float = 0.0) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(first)
            for _ in range(100_000):
                handler.wfile.write(then)
                time.sleep(pause)
        handler.close_connection = True

    return answer


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys":[')
    handler.close_connection = True


_HEAD = b"HTTP/1.1 200 OK\r\n"
_BOMB = gzip.compress(b'{"keys":[' + b" " * (5 << 20) + b"]}", 1)

_ANSWERS: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
    "hangs up": _hang_up,
    "cuts its answer off": _cut_off,
    "drips its body": _endless(_HEAD + b"Content-Length: 100000\r\n\r\n", b" ", 0.05),
    "drips its head": _endless(_HEAD, b"X-A: b\r\n", 0.05),
    "sends headers without end": _endless(_HEAD, b"X-A: b\r\n" * 100),
    "sends one header without end": _endless(_HEAD + b"X-A: ", b"b" * 1000),
    "sends a body without end": _endless(_HEAD + b"\r\n" + b'{"keys":[', b" " * 10_000),
    "sends chunks without end": _endless(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 100),
    "announces 10 MB": _plain(b'{"keys":[' + b" " * (10 << 20) + b"]}"),
    "sends a gzip bomb": _plain(_BOMB, "Content-Encoding: gzip"),
    "compresses in secret": _plain(_BOMB),
    "sends garbage": _plain(bytes(range(256)) * 10),
    "sends a page": _plain(b"<!doctype html><title>Sign in</title>", "Content-Type: text/html"),
    "sends nothing": _plain(b""),
    "sends a list": _plain(b"[]"),
    "sends no keys": _plain(b'{"keys":[]}'),
    "sends secret keys": _plain(b'{"keys":[{"kty":"oct","k":"AAAA","kid":"1"}]}'),
    "sends no HTTP": _endless(b"\x16\x03\x01\x00", b"\0" * 100),
}

_STATUSES = {"fails": 500, "is overloaded": 503, "has nothing": 204, "has lost it": 404, "wants a login": 401}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A key server."""
    with running_provider() as server:
        yield server


@pytest.mark.parametrize("trouble", [*_ANSWERS, *_STATUSES, "redirects", "is frozen", "is down"])
async def test_trouble(provider: Provider, forge: Forge, trouble: str) -> None:
    """Whatever a provider does, known keys work, without any the truth is said, and then it recovers."""
    now = 1000.0

    def source(uri: str = provider.uri) -> RemoteKeys:
        download = KeySetDownload(uri, development=True, timeouts=_QUICK)
        return RemoteKeys(download, issuer="i", clock=lambda: now)

    lucky, unlucky = source(), source()
    provider.serve(public(forge.ec, kid="1"))
    assert await lucky.find("1", "ES256") is not None
    if trouble in _ANSWERS:
        provider.answer = _ANSWERS[trouble]
    elif trouble in _STATUSES:
        provider.status = _STATUSES[trouble]
    elif trouble == "redirects":
        provider.status, provider.headers = 302, {"Location": provider.uri + "?elsewhere"}
    elif trouble == "is frozen":
        provider.going.clear()
    else:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = closed.getsockname()
        unlucky = source(f"http://127.0.0.1:{address[1]}/")
    fetches = provider.fetches
    with pytest.raises(KeysUnavailableError):
        await unlucky.find("1", "ES256")
    assert provider.fetches <= fetches + 1
    now += 11
    if trouble != "is down":
        assert await lucky.find("2", "ES256") is None
    assert await lucky.find("1", "ES256") is not None
    provider.serve(public(forge.ec, kid="1"), public(forge.ed, kid="2"))
    now += 61
    assert await lucky.find("2", "EdDSA") is not None
    if trouble != "is down":
        assert await unlucky.find("1", "ES256") is not None
    for keys in (lucky, unlucky):
        await keys.close()


@pytest.mark.parametrize("content_type", ["application/json", "application/jwk-set+json", "text/plain", ""])
async def test_any_content_type(provider: Provider, forge: Forge, content_type: str) -> None:
    """Providers name their key sets in all ways; what counts is that one can be read."""
    provider.serve(public(forge.ec, kid="1"))
    provider.headers = {"Content-Type": content_type} if content_type else {}
    download = KeySetDownload(provider.uri, development=True)
    assert await download.fetch() == provider.body
    await download.close()


async def test_proxies_of_the_environment_are_not_used(
    provider: Provider, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody between us and the provider is asked."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    provider.serve(public(forge.ec, kid="1"))
    download = KeySetDownload(provider.uri, development=True)
    assert await download.fetch() == provider.body
    await download.close()


async def test_names(provider: Provider, forge: Forge) -> None:
    """A provider is found by its name; a name that nobody has is a failure like any other."""
    provider.serve(public(forge.ec, kid="1"))
    download = KeySetDownload(provider.uri.replace("127.0.0.1", "localhost"), development=True)
    assert await download.fetch() == provider.body
    await download.close()
    download = KeySetDownload("https://nobody.invalid/jwks")
    with pytest.raises(DownloadError):
        await download.fetch()
    await download.close()


def test_a_name_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is never resolved costs no more time than a fetch has, also when the service stops."""
    answering = threading.Event()

    def hang(*_: object, **__: object) -> None:
        answering.wait()

    async def fetch() -> None:
        download = KeySetDownload("https://issuer.example/jwks", timeouts=_QUICK)
        with pytest.raises(TimeoutError):
            await download.fetch()
        await download.close()

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    stopped = threading.Thread(target=lambda: asyncio.run(fetch()))
    stopped.start()
    stopped.join(20)
    still_waits = stopped.is_alive()
    answering.set()
    stopped.join()
    assert not still_waits


@pytest.mark.parametrize(
    ("uri", "development"),
    [
        ("http://issuer.example/jwks", False),
        ("http://issuer.example/jwks", True),
        ("http://127.0.0.1/jwks", False),
        ("http://127.0.0.1.evil.example/jwks", True),
        ("file:///etc/passwd", True),
    ],
)
def test_only_https(uri: str, development: bool) -> None:
    """Keys come over https, or in development from this machine; whoever asks for more is refused."""
    with pytest.raises(ValueError, match="https"):
        KeySetDownload(uri, development=development)


async def test_certificates(forge: Forge, tmp_path: Path) -> None:
    """A provider must have a certificate of an authority that is known, for its own name."""
    authority, other = trustme.CA(), trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    for issuer, name, good in (
        (authority, "127.0.0.1", True),
        (other, "127.0.0.1", False),
        (authority, "x.example", False),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(name).configure_cert(context)
        with running_provider(context) as server:
            server.serve(public(forge.ec, kid="1"))
            trusting = RemoteKeys(KeySetDownload(server.uri, ca_cert=bundle), issuer="i")
            ordinary = RemoteKeys(KeySetDownload(server.uri), issuer="i")
            if good:
                assert await trusting.find("1", "ES256") is not None
            else:
                with pytest.raises(KeysUnavailableError):
                    await trusting.find("1", "ES256")
            with pytest.raises(KeysUnavailableError):
                await ordinary.find("1", "ES256")
            assert server.fetches == (1 if good else 0)
            await trusting.close()
            await ordinary.close()
