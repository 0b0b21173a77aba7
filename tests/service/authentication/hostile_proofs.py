"""Tokens with wrong algorithms, headers, keys and signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from tests.service.authentication.forge import OTHER_ISSUER, Forge, claims, public, segment
from tests.service.authentication.hostile_kinds import Kinds

#: The orders of the groups: of P-256, P-521 and Ed25519 (SEC 2, RFC 8032).
_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P521 = int(
    "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
    "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    16,
)
_ED25519 = 2**252 + 27742317777372353535851937790883648493


def algorithms(forge: Forge) -> Kinds:
    """Algorithms that must not be, and keys that are no secrets."""
    _, payload, signature = forge.good().split(".")
    spellings = ("none", "None", "NONE", "nOnE", "none ", "\u0000none", "")
    kinds: Kinds = {
        f"the algorithm {spelling!r}": (
            "algorithm",
            f"{segment({'alg': spelling, 'kid': 'ec'})}.{payload}.{signature}",
        )
        for spelling in spellings
    }
    secrets = {
        "the public key's PEM": forge.ec.as_pem(private=False),
        "the public key's PEM without newline": forge.ec.as_pem(private=False).strip(),
        "the public key's DER": forge.ec.as_der(private=False),
        "the public key's JWK": json.dumps(forge.ec.as_dict(private=False)).encode(),
        "the RSA key's PEM": forge.rsa.as_pem(private=False),
        "the key set": json.dumps({"keys": forge.key_set}).encode(),
        "nothing": b"",
    }
    kinds |= {f"HMAC with {name}": ("algorithm", _hmac_token(secret)) for name, secret in secrets.items()}
    return kinds | {
        "the algorithm none without signature": ("malformed", f"{segment({'alg': 'none'})}.{payload}."),
        "no algorithm": ("algorithm", forge.with_header(alg=None)),
        "a null algorithm": ("algorithm", forge.sign({"alg": None, "kid": "ec"}, claims())),
        "a list of algorithms": ("algorithm", forge.with_header(alg=["ES256"])),
        "an object as algorithm": ("algorithm", forge.with_header(alg={"name": "ES256"})),
        "a number as algorithm": ("algorithm", forge.with_header(alg=256)),
        "an algorithm in small letters": ("algorithm", forge.with_header(alg="es256")),
        "an algorithm with a wide letter": ("algorithm", forge.with_header(alg="\uff25S256")),
        "an encryption algorithm": ("algorithm", forge.with_header(alg="RSA-OAEP")),
        "an algorithm of another curve of the kind": ("algorithm", forge.with_header(alg="ES256K")),
        "an algorithm that nobody knows": ("algorithm", forge.with_header(alg="XS256")),
        "an algorithm that this issuer does not use": (
            "algorithm",
            forge.sign(
                {"alg": "RS256", "kid": "ec"}, claims(iss=OTHER_ISSUER, aud="theirs"), forge.rsa, "RS256"
            ),
        ),
    }


def _hmac_token(secret: bytes) -> str:
    text = f"{segment({'alg': 'HS256', 'kid': 'ec'})}.{segment(claims())}"
    return f"{text}.{segment(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def members(forge: Forge) -> Kinds:
    """Header members that bring a key, or demand what nobody may."""
    own_key = public(forge.stranger)
    members: dict[str, dict[str, object]] = {
        "its own key": {"jwk": own_key},
        "a null key of its own": {"jwk": None},
        "its own certificate": {"x5c": [base64.b64encode(b"0").decode()]},
        "its own key's address": {"jku": "https://issuer.example/jwks"},
        "its own key's address on this machine": {"jku": "http://127.0.0.1/jwks"},
        "its own certificate's address": {"x5u": "https://issuer.example/x5u"},
        "its own certificate's file": {"x5u": "file:///etc/passwd"},
        "a critical extension": {"crit": ["exp"], "exp": 1},
        "a critical extension that nobody knows": {"crit": ["x"], "x": 1},
        "an empty list of critical extensions": {"crit": []},
        "a payload that is not encoded": {"b64": False, "crit": ["b64"]},
        "a payload that is encoded, said so": {"b64": True},
        "a compressed payload": {"zip": "DEF"},
        "an encryption": {"enc": "A256GCM"},
        "a nested token, said so": {"cty": "JWT"},
        "another type": {"typ": "secevent+jwt"},
        "the type of logouts": {"typ": "logout+jwt"},
        "the type of proofs": {"typ": "dpop+jwt"},
        "a list of types": {"typ": ["JWT"]},
        "a number as type": {"typ": 1},
        "an empty type": {"typ": ""},
        "a type with a space": {"typ": "JWT "},
        "a number as kid": {"kid": 1},
        "a list as kid": {"kid": ["ec"]},
        "an object as kid": {"kid": {"kid": "ec"}},
        "true as kid": {"kid": True},
        "a very long kid": {"kid": "x" * 257},
    }
    kinds: Kinds = {}
    for name, more in members.items():
        key = forge.stranger if "its own" in name else forge.ec
        header = {"alg": "ES256", "kid": "ec", "typ": "JWT", **more}
        kinds[name] = ("header", forge.sign(header, claims(), key))
    inner = forge.good()
    kinds["a null kid"] = ("header", forge.sign({"alg": "ES256", "kid": None}, claims()))
    kinds["a null type"] = ("header", forge.sign({"alg": "ES256", "kid": "ec", "typ": None}, claims()))
    kinds["a nested token"] = ("claims", forge.sign({"alg": "ES256", "kid": "ec"}, inner.encode()))
    return kinds


def keys(forge: Forge) -> Kinds:
    """Key ids that mean nothing, and keys that may not sign."""
    ids = {
        "a path": "../../../../dev/null",
        "a file of the system": "/etc/passwd",
        "SQL": "ec' OR '1'='1",
        "SQL that joins": "x' UNION SELECT 'secret",
        "a shell command": "ec; id",
        "a null byte": "ec\0",
        "a newline": "ec\n",
        "a format": "%s%n{0}${jndi:ldap://127.0.0.1/}",
        "an address": "https://127.0.0.1/key",
        "capital letters": "EC",
        "a space": " ec",
        "a letter that looks right": "e\u0441",
        "nothing": "",
        "256 characters": "\u00e9" * 256,
    }
    kinds: Kinds = {
        f"as kid: {name}": ("unknown_key", forge.with_header(kid=key_id)) for name, key_id in ids.items()
    }
    return kinds | {
        "no kid where several keys fit": (
            "unknown_key",
            forge.sign({"alg": "PS256"}, claims(), forge.rsa, "PS256"),
        ),
        "a key that is not in the set": ("signature", forge.by(forge.stranger, "ec", "ES256")),
        "an RSA key of 1024 bits": ("unknown_key", forge.by(forge.small_rsa, "small", "RS256")),
        "a key for encryption": ("unknown_key", forge.by(forge.encrypting, "encrypting", "ES256")),
        "a key that may only sign": ("unknown_key", forge.by(forge.signing_only, "signing-only", "ES256")),
        "a key of another curve of this size": ("unknown_key", forge.by(forge.bitcoin, "bitcoin", "ES256")),
        "a name of two keys, the first": ("unknown_key", forge.by(forge.twins[0], "twin", "ES256")),
        "a name of two keys, the second": ("unknown_key", forge.by(forge.twins[1], "twin", "ES256")),
        "a curve's key for another curve's algorithm": ("unknown_key", forge.with_header(kid="ec384")),
        "a key of another kind": ("unknown_key", forge.with_header(kid="rsa")),
        "a key pinned to another algorithm": ("unknown_key", forge.by(forge.rsa, "rsa-pss", "RS256")),
        "EdDSA said, ECDSA done": ("signature", forge.sign({"alg": "EdDSA", "kid": "ed"}, claims())),
        "EdDSA with a key of ECDSA": ("unknown_key", forge.sign({"alg": "EdDSA", "kid": "ec"}, claims())),
        "Ed448 said": ("algorithm", forge.sign({"alg": "Ed448", "kid": "ed"}, claims())),
        "the other issuer's key for this issuer": ("signature", forge.by(forge.other_issuers, "ec", "ES256")),
        "the other issuer's key by its name": (
            "unknown_key",
            forge.by(forge.other_issuers, "theirs", "ES256"),
        ),
        "this issuer's key for the other issuer": (
            "signature",
            forge.by(forge.ec, "ec", "ES256", iss=OTHER_ISSUER, aud="theirs"),
        ),
        "the other issuer's token for this audience": (
            "audience",
            forge.by(forge.other_issuers, "ec", "ES256", iss=OTHER_ISSUER),
        ),
    }


def signatures(forge: Forge) -> Kinds:
    """Signatures that are none."""
    header, payload, signature = forge.good().split(".")
    text = f"{header}.{payload}"
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = raw[:32], raw[32:]
    private = forge.ec.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    order, zero = _P256.to_bytes(32, "big"), bytes(32)
    values = {
        "of zeros": bytes(64),
        "with r zero": zero + s,
        "with s zero": r + zero,
        "with r the order": order + s,
        "with s the order": r + order,
        "with both the order": order * 2,
        "with r one and s one": (1).to_bytes(32, "big") * 2,
        "of ones": b"\xff" * 64,
        "with the high bit of r turned": bytes([r[0] ^ 0x80]) + r[1:] + s,
        "with the low bit of s turned": raw[:-1] + bytes([raw[-1] ^ 1]),
        "with its halves exchanged": s + r,
        "in DER": private.sign(text.encode(), ec.ECDSA(SHA256())),
        "of another hash": _raw_ecdsa(private, text),
        "with a zero before each half": b"\0" + r + b"\0" + s,
        "twice": raw * 2,
        "of 63 bytes": raw[:-1],
        "of its first half": r,
        "of 65 bytes": raw + b"\0",
    }
    kinds: Kinds = {
        f"a signature {name}": ("signature", f"{text}.{segment(value)}") for name, value in values.items()
    }
    kinds["an ECDSA signature with r beyond the order"] = ("signature", _beyond_the_order(forge))
    kinds["an EdDSA signature with S beyond the order"] = ("signature", _ed25519_beyond_the_order(forge))
    return kinds | _rsa_signatures(forge)


def _raw_ecdsa(private: ec.EllipticCurvePrivateKey, text: str) -> bytes:
    r, s = utils.decode_dss_signature(private.sign(text.encode(), ec.ECDSA(SHA384())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _beyond_the_order(forge: Forge) -> str:
    """The bytes of a P-521 signature have room for r plus the order, which is equal modulo the order."""
    token = forge.by(forge.ec521, "ec521", "ES512")
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r = int.from_bytes(raw[:66], "big") + _P521
    return f"{text}.{segment(r.to_bytes(66, 'big') + raw[66:])}"


def _ed25519_beyond_the_order(forge: Forge) -> str:
    token = forge.by(forge.ed, "ed", "EdDSA")
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = int.from_bytes(raw[32:], "little") + _ED25519
    return f"{text}.{segment(raw[:32] + s.to_bytes(32, 'little'))}"


def _rsa_signatures(forge: Forge) -> Kinds:
    text, _, signature = forge.by(forge.rsa, "rsa", "RS256").rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    modulus = forge.rsa.public_key.public_numbers().n
    header = {"alg": "PS256", "kid": "rsa"}
    return {
        "PKCS #1 said, PSS done": (
            "signature",
            f"{text}.{segment(forge.signature(text, forge.rsa, 'PS256'))}",
        ),
        "PSS said, PKCS #1 done": ("signature", forge.sign(header, claims(), forge.rsa, "RS256")),
        "another hash of RSA": ("signature", f"{text}.{segment(forge.signature(text, forge.rsa, 'RS512'))}"),
        "an RSA signature with a zero before it": ("signature", f"{text}.{segment(bytes(1) + raw)}"),
        "an RSA signature of zero": ("signature", f"{text}.{segment(bytes(256))}"),
        "an RSA signature of one": ("signature", f"{text}.{segment(bytes(255) + bytes([1]))}"),
        "an RSA signature of the modulus": ("signature", f"{text}.{segment(modulus.to_bytes(256, 'big'))}"),
        "an RSA signature of the modulus less one": (
            "signature",
            f"{text}.{segment((modulus - 1).to_bytes(256, 'big'))}",
        ),
    }
