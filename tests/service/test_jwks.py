"""Keys from a provider: which are used, and what happens when it misbehaves."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from app.authentication.bearer import Authenticator, TokenRefusedError
from app.authentication.key_sources import RemoteKeys
from app.authentication.public_keys import KeyRefusedError, choose, public_key
from core.errors import KeysUnavailableError
from tests.service.running import SIGILS, Service


class Provider(ThreadingHTTPServer):
    """A key server under the tests' control."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uri = f"http://127.0.0.1:{self.server_port}/jwks"
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.answering = threading.Event()
        self.answering.set()
        self.fetches = 0

    def serve(self, *keys: dict[str, Any]) -> None:
        """Answer with these keys from now on."""
        self.status, self.headers = 200, {}
        self.body = json.dumps({"keys": keys}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.fetches += 1
        self.server.answering.wait()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A key server."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def public(key: Key, **members: Any) -> dict[str, Any]:
    """The public half as a member of a key set."""
    return {**key.as_dict(private=False), **members}


def test_keys_that_are_used() -> None:
    """Each asymmetric kind checks its own algorithms; a named algorithm is the only one."""
    rsa = public_key(public(RSAKey.generate_key(2048), kid="r"))
    assert rsa.algorithms == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    assert public_key(public(RSAKey.generate_key(2048), alg="PS256")).algorithms == {"PS256"}
    for curve, algorithm in (("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512")):
        assert public_key(public(ECKey.generate_key(curve))).algorithms == {algorithm}
    assert public_key(public(OKPKey.generate_key("Ed25519"))).algorithms == {"EdDSA", "Ed25519"}


def test_keys_that_are_refused() -> None:
    """Small, symmetric, private, encrypting, misnamed and malformed keys are refused."""
    good = public(ECKey.generate_key("P-256"), kid="e")
    with pytest.warns(Warning, match="bits|key size|length"):
        small = public(RSAKey.generate_key(1024))
    refused: list[dict[str, Any]] = [
        small,
        OctKey.generate_key(256).as_dict(),
        ECKey.generate_key("P-256").as_dict(private=True),
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "key_ops": 1},
        {**good, "alg": "ES384"},
        {**good, "alg": "HS256"},
        {**good, "alg": ["ES256"]},
        {**good, "kid": 1},
        {**good, "x": good["y"]},
        {**good, "crv": "secp256k1"},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {},
        public(OKPKey.generate_key("X25519")),
    ]
    for jwk in refused:
        with pytest.raises(KeyRefusedError):
            public_key(jwk)


def test_choice() -> None:
    """A key is chosen by id and algorithm; without an id only if there is no doubt."""
    one, two = (public_key(public(ECKey.generate_key("P-256"), kid=kid)) for kid in ("1", "2"))
    assert choose([one, two], "2", "ES256") is two
    assert choose([one, two], "3", "ES256") is None
    assert choose([one, two], "1", "RS256") is None
    assert choose([one, two], None, "ES256") is None
    assert choose([two], None, "ES256") is two


async def test_one_bad_key_does_not_hide_the_others(provider: Provider) -> None:
    """A set is read key by key."""
    good = public(ECKey.generate_key("P-256"), kid="good")
    provider.serve({"kty": "RSA", "n": "!", "e": "AQAB"}, {}, good)
    keys = RemoteKeys(provider.uri)
    assert await keys.find("good", "ES256") is not None
    await keys.close()


async def test_unknown_ids_cause_one_fetch(provider: Provider) -> None:
    """Many unknown key ids, at once and after, cause one fetch until the cooldown is over."""
    now = 1000.0
    provider.serve(public(ECKey.generate_key("P-256"), kid="1"))
    keys = RemoteKeys(provider.uri, clock=lambda: now)
    assert await keys.find("1", "ES256") is not None
    now += 11
    found = await asyncio.gather(*(keys.find(f"x{n}", "ES256") for n in range(50)))
    assert found == [None] * 50
    assert await keys.find("y", "ES256") is None
    assert provider.fetches == 2
    new = public(ECKey.generate_key("P-256"), kid="2")
    provider.serve(new)
    generation = keys.generation
    assert await keys.find("2", "ES256") is None
    now += 11
    assert await keys.find("2", "ES256") is not None
    assert await keys.find("1", "ES256") is None
    assert keys.generation == generation + 1
    await keys.close()


@pytest.mark.parametrize(
    "trouble", ["500", "redirect", "huge", "text", "list", "no keys", "bad keys", "silence"]
)
async def test_provider_in_trouble(provider: Provider, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a provider answers, known keys go on working, and without any the truth is said."""
    monkeypatch.setattr("app.authentication.key_sources._TIMEOUT", 0.2)
    now = 1000.0
    unlucky = RemoteKeys(provider.uri, clock=lambda: now)
    lucky = RemoteKeys(provider.uri, clock=lambda: now)
    provider.serve(public(ECKey.generate_key("P-256"), kid="1"))
    assert await lucky.find("1", "ES256") is not None
    good = provider.body
    match trouble:
        case "500":
            provider.status = 500
        case "redirect":
            provider.status, provider.headers = 302, {"Location": provider.uri + "?elsewhere"}
        case "huge":
            provider.body = b'{"keys":[' + b" " * (300 << 10) + b"]}"
        case "text":
            provider.body = b"<html>"
        case "list":
            provider.body = b"[]"
        case "no keys":
            provider.body = b'{"keys":[]}'
        case "bad keys":
            provider.body = b'{"keys":[{"kty":"oct","k":"AAAA"}]}'
        case "silence":
            provider.answering.clear()
    with pytest.raises(KeysUnavailableError):
        await unlucky.find("1", "ES256")
    now += 400
    assert await lucky.find("1", "ES256") is not None
    assert await lucky.find("2", "ES256") is None
    now += 24 * 3600
    with pytest.raises(KeysUnavailableError):
        await lucky.find("1", "ES256")
    provider.status, provider.body = 200, good
    provider.answering.set()
    now += 11
    assert await unlucky.find("1", "ES256") is not None
    assert await lucky.find("1", "ES256") is not None
    await unlucky.close()
    await lucky.close()


async def test_remembered_tokens_keep_keys_fresh(provider: Provider) -> None:
    """A token that was accepted falls with its key, and with a provider that is silent for too long."""
    now = 1000.0
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    keys = RemoteKeys(provider.uri, clock=lambda: now)
    authenticator = Authenticator(keys, issuer="i", audience="a")
    claims = {"iss": "i", "aud": "a", "exp": time.time() + 3600, "tenantId": "acme", "roles": ["r"]}
    token = jwt.encode({"alg": "ES256", "kid": "1"}, claims, key)
    header = [f"Bearer {token}".encode()]

    async def settled() -> None:
        if keys._fetching is not None:
            await asyncio.wait([keys._fetching])

    provider.serve(public(key, kid="1"))
    for _ in range(2):
        assert (await authenticator.authenticate(header)).tenant == "acme"
        now += 301
    await settled()
    assert provider.fetches == 2
    provider.serve(public(other, kid="2"))
    now += 301
    assert await authenticator.authenticate(header)  # starts the fetch, and does not wait for it
    await settled()
    with pytest.raises(TokenRefusedError) as refused:
        await authenticator.authenticate(header)
    assert refused.value.reason == "unknown_key"
    provider.serve(public(key, kid="1"))
    now += 11
    assert await authenticator.authenticate(header)
    provider.status = 500
    now += 24 * 3600 + 1
    with pytest.raises(KeysUnavailableError):
        await authenticator.authenticate(header)
    await authenticator.close()


def test_a_service_with_a_provider(new_service: Callable[..., Service], provider: Provider) -> None:
    """Tokens of a configured issuer are accepted, those of others are not; without keys it is 503."""
    rsa = RSAKey.generate_key(2048)
    settings = {"JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "seals", "JWT_JWKS_URI": provider.uri}
    provider.status = 500
    service = new_service(**settings).start()

    def token(key: Key, algorithm: str) -> str:
        claims = {"iss": "https://issuer.example", "aud": "seals", "exp": int(time.time()) + 60}
        claims |= {"tenant_id": "acme", "scope": "sigil:read"}
        return jwt.encode({"alg": algorithm, "kid": "k"}, claims, key, algorithms=[algorithm])

    good = token(rsa, "PS256")
    answer = service.call("GET", SIGILS, token=good)
    assert (answer.status, answer.json["code"]) == (503, "keys_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert service.call("GET", "/readyz").status == 503
    assert service.call("GET", "/healthz").status == 200
    service.stop()
    provider.serve(public(rsa, kid="k"))
    service.start()
    assert service.call("GET", SIGILS, token=good).status == 200
    assert service.call("GET", SIGILS, token=token(RSAKey.generate_key(2048), "RS256")).status == 401
    assert service.call("GET", SIGILS, token=token(ECKey.generate_key("P-256"), "ES256")).status == 401
    assert service.call("GET", SIGILS, token=service.token()).status == 401
    assert service.call("POST", SIGILS, {"data": {}}, token=good).status == 403
    assert service.call("GET", "/readyz").status == 200
