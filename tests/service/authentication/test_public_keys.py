"""Public keys: which are used, and how a set of them is read."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.util import int_to_base64

from app.authentication.key_set import choose, read_key_set
from app.authentication.public_keys import KeyRefusedError, PublicKey, public_key
from core.issuers import Algorithm
from tests.service.authentication.forge import Forge, public


def key_set(*keys: object) -> bytes:
    """The document of a set."""
    return json.dumps({"keys": keys}).encode()


def test_keys_that_are_used(forge: Forge) -> None:
    """Each asymmetric kind checks its own algorithms; a named algorithm is the only one."""
    rsa = public_key(public(forge.rsa, kid="r"))
    assert rsa.algorithms == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    assert public_key(public(forge.rsa, alg="PS256")).algorithms == {"PS256"}
    used = set(rsa.algorithms)
    for key, algorithms in (
        (forge.ec, {"ES256"}),
        (forge.ec384, {"ES384"}),
        (forge.ec521, {"ES512"}),
        (forge.ed, {"EdDSA", "Ed25519"}),
    ):
        assert public_key(public(key, use="sig", key_ops=["verify"])).algorithms == algorithms
        used |= algorithms
    assert used == set(get_args(Algorithm))


def test_keys_that_are_refused(forge: Forge) -> None:
    """Small, symmetric, private, encrypting, misnamed and malformed keys are refused."""
    good, rsa = public(forge.ec, kid="e"), public(forge.rsa)
    modulus = forge.rsa.public_key.public_numbers().n
    refused: list[dict[str, Any]] = [
        public(forge.small_rsa),
        {**rsa, "n": int_to_base64(2**9000 + 1)},
        {**rsa, "n": int_to_base64(modulus - 1)},
        {**rsa, "e": int_to_base64(1)},
        {**rsa, "e": int_to_base64(65536)},
        {**rsa, "e": int_to_base64(2**64 + 1)},
        {**rsa, "n": ""},
        {**rsa, "n": 5},
        {**rsa, "n": rsa["n"] + "="},
        OctKey.generate_key(256).as_dict(),
        forge.ec.as_dict(private=True),
        {**good, "use": "enc"},
        {**good, "use": None},
        {**good, "use": ["sig"]},
        {**good, "key_ops": ["sign"]},
        {**good, "key_ops": []},
        {**good, "key_ops": "verify"},
        {**good, "key_ops": 1},
        {**good, "alg": "ES384"},
        {**good, "alg": "HS256"},
        {**good, "alg": "none"},
        {**good, "alg": None},
        {**good, "alg": ["ES256"]},
        {**good, "kid": 1},
        {**good, "kid": "x" * 257},
        {**good, "x": good["y"]},
        {**good, "x": ""},
        {**good, "crv": "P-384"},
        {**good, "crv": "secp256k1"},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": "P-256"},
        {},
        public(OKPKey.generate_key("X25519")),
        public(OKPKey.generate_key("Ed448")),
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


def test_a_set_is_read_key_by_key(forge: Forge) -> None:
    """A bad key does not take the others with it, and is named by its place."""
    good = public(forge.ec, kid="good")
    bad: list[object] = [
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {},
        [],
        None,
        "key",
        1,
        public(forge.small_rsa),
    ]
    read = read_key_set(key_set(*bad, good))
    assert [key.key_id for key in read.keys] == ["good"]
    assert [position for position, _ in read.refused] == list(range(len(bad)))
    twice = json.dumps(good)[:-1] + ',"kid":"evil"}'
    read = read_key_set(b'{"keys":[' + twice.encode() + b"," + json.dumps(public(forge.ed)).encode() + b"]}")
    assert [key.key_id for key in read.keys] == [None]
    assert [position for position, _ in read.refused] == [0]


def test_documents_that_are_no_key_set(forge: Forge) -> None:
    """What holds no usable key is refused as a whole."""
    good = key_set(public(forge.ec, kid="e"))
    documents = [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[{}]}',
        b'{"keys":' + b"[" * 5000,
        b"\xef\xbb\xbf" + good,
        good.decode().encode("utf-16"),
        good[:-1],
        good + b"x",
        b"\xff" + good,
    ]
    for document in documents:
        with pytest.raises(KeyRefusedError):
            read_key_set(document)


def test_names_that_several_keys_have(forge: Forge) -> None:
    """Keys that a token could not tell apart are all refused; a key that is there twice is not."""
    first, second = (public(twin, kid="twin") for twin in forge.twins)
    other = public(forge.ed, kid="twin")
    read = read_key_set(key_set(first, second, other))
    assert [key.algorithms for key in read.keys] == [{"EdDSA", "Ed25519"}]
    assert [position for position, _ in read.refused] == [0, 1]
    read = read_key_set(key_set(first, other, first))
    assert len(read.keys) == 2
    assert not read.refused


def test_very_many_keys(forge: Forge) -> None:
    """Of a set only the first hundred members are looked at; the others are refused together."""
    keys = [public(forge.ed, kid=str(number)) for number in range(103)]
    read = read_key_set(key_set(*keys))
    assert len(read.keys) == 100
    assert read.refused == ((100, "the set has more than 100 members; 3 are not looked at"),)
    assert len(read_key_set(key_set(keys[0], *[0] * 50_000)).refused) == 100


def test_keys_that_stay_are_the_same(forge: Forge) -> None:
    """A key keeps its identity as long as tokens mean the same by it, whatever else the set says."""

    def known(*keys: object) -> dict[str | None, PublicKey]:
        read = read_key_set(key_set(*keys), before.values())
        return {key.key_id: key for key in read.keys}

    before: dict[str | None, PublicKey] = {}
    before = known(public(forge.ec, kid="e"), public(forge.rsa, kid="r"))
    after = known(
        public(forge.rsa, kid="r"), public(forge.ec, kid="e", x5t="AAAA"), public(forge.ed, kid="n")
    )
    assert after["e"] is before["e"]
    assert after["r"] is before["r"]
    assert known(public(forge.stranger, kid="e"))["e"] is not before["e"]
    assert known(public(forge.rsa, kid="r", alg="RS256"))["r"] is not before["r"]
    assert known(public(forge.rsa, kid="s"))["s"] is not before["r"]


def test_a_key_verifies_by_its_own_algorithms_only(forge: Forge) -> None:
    """Even asked directly, a key does not check by an algorithm that it is not for."""
    pinned = public_key(public(forge.rsa, alg="PS256"))
    assert pinned.verifies("PS256", b"text", forge.signature("text", forge.rsa, "PS256"))
    assert not pinned.verifies("RS256", b"text", forge.signature("text", forge.rsa, "RS256"))
    assert not pinned.verifies("none", b"text", b"")


def test_large_rsa_keys_that_are_used() -> None:
    """A key of 3072 bits, which providers have, is used."""
    key = RSAKey.generate_key(3072)
    assert "RS256" in public_key(public(key)).algorithms
