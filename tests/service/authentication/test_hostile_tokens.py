"""Tokens that must never let anybody in, and what they may cost."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.key_download import KeySetDownload
from app.authentication.key_set import read_key_set
from app.authentication.key_sources import FixedKeys
from app.authentication.public_keys import PublicKey
from app.authentication.refusals import TokenRefusedError
from app.authentication.remote_keys import Pace, RemoteKeys
from tests.service.authentication.forge import ISSUERS, OTHER_ISSUER, Forge, claims
from tests.service.authentication.hostile_kinds import Hostile
from tests.service.authentication.hostile_tokens import hostile_requests
from tests.service.authentication.provider import Provider
from tests.service.conftest import FOREVER
from tests.service.running import SIGILS, Service


@pytest.fixture(scope="module")
def hostile(forge: Forge) -> dict[str, Hostile]:
    """Every kind of hostile token."""
    return hostile_requests(forge)


@pytest_asyncio.fixture
async def authenticator(providers: tuple[Provider, Provider]) -> AsyncIterator[Authenticator]:
    """An authenticator that knows the keys of both issuers."""
    made = Authenticator(
        TrustedIssuer(
            issuer,
            RemoteKeys(
                KeySetDownload(provider.uri, development=True),
                issuer=issuer.issuer,
                pace=Pace(cooldown=FOREVER),
            ),
        )
        for issuer, provider in zip(ISSUERS, providers, strict=True)
    )
    yield made
    await made.close()


def test_there_are_enough_kinds(hostile: dict[str, Hostile]) -> None:
    """The collection has what the design demands, and much more; no two kinds are the same."""
    assert len(hostile) >= 200
    assert len({tuple(kind.headers) for kind in hostile.values()}) == len(hostile)


async def test_each_is_refused_for_its_reason_at_little_cost(
    authenticator: Authenticator,
    forge: Forge,
    hostile: dict[str, Hostile],
    providers: tuple[Provider, Provider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No kind makes us fetch a key or remember a token, and at most one signature is computed on."""
    ours = f"Bearer {forge.good()}".encode()
    theirs = forge.by(forge.other_issuers, "ec", "ES256", iss=OTHER_ISSUER, aud="theirs")
    for good in (ours, f"Bearer {theirs}".encode()):
        assert (await authenticator.authenticate([good])).tenant == "acme"
    fetches = [provider.fetches for provider in providers]
    verifications = 0
    verifies = PublicKey.verifies

    def counted(key: PublicKey, *arguments: Any) -> bool:
        nonlocal verifications
        verifications += 1
        return verifies(key, *arguments)

    monkeypatch.setattr(PublicKey, "verifies", counted)
    for name, (reason, headers) in hostile.items():
        verifications = 0
        with pytest.raises(TokenRefusedError) as refused:
            await authenticator.authenticate(headers)
        assert refused.value.reason == reason, (name, refused.value)
        # Tenant and roles are looked at last: a token with such claims is well signed.
        allowed = 1 if reason in {"signature", "claims"} else 0
        assert verifications <= allowed, name
    assert [provider.fetches for provider in providers] == fetches
    assert len(authenticator._verified) == 2


def test_all_get_the_same_answer(guarded: Service, forge: Forge, hostile: dict[str, Hostile]) -> None:
    """Over HTTP each gets the same 401 to the byte, and the service remains calm."""
    assert guarded.call("GET", SIGILS, token=forge.good()).status == 200
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=20)
    answers = set()
    for name, kind in hostile.items():
        if any(set(header) & set(b"\r\n\0") for header in kind.headers):
            continue  # what no header can hold never becomes a request
        connection.putrequest("GET", SIGILS)
        connection.putheader("X-Request-Id", "one-for-all")
        for header in kind.headers:
            connection.putheader("Authorization", header)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        assert response.status == 401, (name, body)
        headers = [(key, value) for key, value in response.getheaders() if key.lower() != "date"]
        answers.add((tuple(headers), body))
    connection.close()
    assert len(answers) == 1
    assert not guarded.logged("request failed")
    assert guarded.call("GET", SIGILS, token=forge.good()).status == 200


def test_good_tokens_of_every_kind(guarded: Service, forge: Forge) -> None:
    """What the hostile ones imitate is accepted: each algorithm, and each issuer with its own key."""
    tokens = [
        forge.by(forge.ec, "ec", "ES256"),
        forge.by(forge.ec384, "ec384", "ES384"),
        forge.by(forge.ec521, "ec521", "ES512"),
        forge.by(forge.ed, "ed", "EdDSA"),
        forge.by(forge.ed, "ed", "Ed25519"),
        *(forge.by(forge.rsa, "rsa", f"{kind}S{size}") for kind in "RP" for size in (256, 384, 512)),
        forge.by(forge.rsa, "rsa-pss", "PS256"),
        forge.by(forge.other_issuers, "ec", "ES256", iss=OTHER_ISSUER, aud="theirs"),
        forge.sign({"alg": "ES384"}, claims(), forge.ec384, "ES384"),
        forge.with_header(x5t="AAAA", unknown={"a": 1}),
        *(forge.with_header(typ=kind) for kind in (None, "jwt", "at+jwt", "application/at+jwt", "AT+JWT")),
    ]
    for token in tokens:
        assert guarded.call("GET", SIGILS, token=token).status == 200, token


@pytest.fixture(scope="module")
def fixed(forge: Forge) -> Authenticator:
    """An authenticator that needs no event loop of its own."""
    keys = read_key_set(json.dumps({"keys": forge.key_set}).encode()).keys
    return Authenticator([TrustedIssuer(ISSUERS[0], FixedKeys(keys))])


def _refused(authenticator: Authenticator, token: bytes) -> bool:
    """Whether a token is refused; nothing here waits, so the coroutine ends at its first step."""
    coroutine = authenticator.authenticate([b"Bearer " + token])
    try:
        coroutine.send(None)
    except TokenRefusedError:
        return True
    except StopIteration:
        return False
    raise AssertionError("the authenticator waits")


@given(data=st.data())
def test_changed_tokens_are_refused(fixed: Authenticator, forge: Forge, data: st.DataObject) -> None:
    """A good token with any bytes changed, added or taken away lets nobody in."""
    makes = {
        "ES256": lambda: forge.by(forge.ec, "ec", "ES256"),
        "EdDSA": lambda: forge.by(forge.ed, "ed", "EdDSA"),
        "RS256": lambda: forge.by(forge.rsa, "rsa", "RS256"),
        "PS256": lambda: forge.by(forge.rsa, "rsa-pss", "PS256"),
    }
    token = makes[data.draw(st.sampled_from(sorted(makes)))]().encode()
    assert not _refused(fixed, token)
    changed = data.draw(_mutations(token))
    if changed.lstrip(b" ") != token:
        assert _refused(fixed, changed), changed


@st.composite
def _mutations(draw: st.DrawFn, token: bytes) -> bytes:
    changed = bytearray(token)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \t"
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 8))
        more = bytes(draw(st.lists(st.one_of(st.sampled_from(alphabet), st.integers(0, 255)), max_size=8)))
        changed[place : place + length] = more
    return bytes(changed)
