"""Tokens that must never let anybody in, each with the reason that the service must find."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from app.authentication.refusals import RefusalReason
from tests.service.forge import AUDIENCE, ISSUER, OTHER_ISSUER, Forge, claims, public, segment

#: The orders of the groups: of P-256, P-521 and Ed25519 (SEC 2, RFC 8032).
_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P521 = int(
    "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
    "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    16,
)
_ED25519 = 2**252 + 27742317777372353535851937790883648493


class Hostile(NamedTuple):
    """Authorization headers, and why they are refused."""

    reason: RefusalReason
    headers: list[bytes]


Kinds = dict[str, tuple[RefusalReason, str | bytes]]


def hostile_requests(forge: Forge) -> dict[str, Hostile]:
    """Every kind, by its name."""
    kinds = {name: Hostile(reason, headers) for name, (reason, headers) in _bearers(forge).items()}
    for family in (_shapes, _encodings, _algorithms, _members, _keys, _signatures, _texts, _claims, _times):
        for name, (reason, token) in family(forge).items():
            assert name not in kinds
            raw = token.encode() if isinstance(token, str) else token
            kinds[name] = Hostile(reason, [b"Bearer " + raw])
    return kinds


def _bearers(forge: Forge) -> dict[str, tuple[RefusalReason, list[bytes]]]:
    good = forge.good().encode()
    return {
        "two headers": ("malformed", [b"Bearer " + good] * 2),
        "two headers, one good": ("malformed", [b"Bearer x", b"Bearer " + good]),
        "two tokens with a comma": ("malformed", [b"Bearer " + good + b", Bearer " + good]),
        "two tokens with a space": ("malformed", [b"Bearer " + good + b" " + good]),
        "a tab after the scheme": ("malformed", [b"Bearer\t" + good]),
        "a tab before the token": ("malformed", [b"Bearer \t" + good]),
        "no space after the scheme": ("malformed", [b"Bearer" + good]),
        "a colon after the scheme": ("malformed", [b"Bearer: " + good]),
        "no scheme": ("malformed", [good]),
        "the scheme alone": ("malformed", [b"Bearer"]),
        "the scheme and spaces": ("malformed", [b"Bearer   "]),
        "an empty header": ("malformed", [b""]),
        "another scheme": ("malformed", [b"Basic " + good]),
        "another scheme first": ("malformed", [b"Basic x, Bearer " + good]),
        "the scheme twice": ("malformed", [b"Bearer Bearer " + good]),
        "the token as a parameter": ("malformed", [b"Bearer token=" + good]),
        "the token in quotes": ("malformed", [b'Bearer "' + good + b'"']),
        "a scheme that only looks right": ("malformed", ["Be\u0430rer ".encode() + good]),
        "far from its scheme": ("malformed", [b"Bearer" + b" " * 9000 + good]),
    }


def _shapes(forge: Forge) -> Kinds:
    good = forge.good()
    header, payload, signature = good.split(".")
    parts = {"protected": header, "payload": payload, "signature": signature}
    cut = {
        f"the {name} cut by {count}": ".".join(
            part[:-count] if place == number else part for place, part in enumerate(good.split("."))
        )
        for number, name in enumerate(("header", "payload"))
        for count in (4, 8)
    }
    kinds: Kinds = {name: ("header" if "header" in name else "claims", token) for name, token in cut.items()}
    return kinds | {
        "nothing but dots": ("malformed", ".."),
        "no header": ("malformed", f".{payload}.{signature}"),
        "no payload": ("malformed", f"{header}..{signature}"),
        "no signature": ("malformed", f"{header}.{payload}."),
        "two parts": ("malformed", f"{header}.{payload}"),
        "four parts": ("malformed", f"{good}.{signature}"),
        "five parts, as encrypted tokens have": ("malformed", f"{header}.{payload}.{signature}.AAAA.AAAA"),
        "an encrypted token": (
            "malformed",
            ".".join(
                segment(part) for part in ({"alg": "RSA-OAEP", "enc": "A256GCM"}, b"k", b"i", b"c", b"t")
            ),
        ),
        "the flattened JSON form": ("malformed", json.dumps(parts)),
        "the general JSON form": ("malformed", json.dumps({"payload": payload, "signatures": [parts]})),
        "too long": ("malformed", forge.good(filler="x" * 9000)),
        "a signature of one byte": ("signature", f"{header}.{payload}.AA"),
        "the signature cut by one character": ("malformed", good[:-1]),
        "the parts in another order": ("algorithm", f"{payload}.{header}.{signature}"),
        "another token's signature": ("signature", f"{header}.{payload}.{forge.good(sub='t').split('.')[2]}"),
        "another token's payload": (
            "signature",
            f"{header}.{segment(claims(tenantId='globex'))}.{signature}",
        ),
        "another token's header": (
            "signature",
            f"{segment({'alg': 'ES256', 'kid': 'ec'})}.{payload}.{signature}",
        ),
    }


def _encodings(forge: Forge) -> Kinds:
    good = forge.good()
    header, payload, signature = good.split(".")
    # With bytes whose base64 has both characters that the two alphabets write differently.
    odd = forge.sign({"alg": "ES256", "kid": "ec"}, claims(sub="~~~???~~~???"))
    odd_header, odd_payload, odd_signature = odd.split(".")
    padded = odd_payload.replace("-", "+").replace("_", "/")
    assert padded != odd_payload or "+" in padded or "/" in padded
    unused = _with_unused_bits(signature)
    return {
        "a padded header": ("malformed", f"{header}=.{payload}.{signature}"),
        "a padded payload": ("malformed", f"{header}.{payload}==.{signature}"),
        "a padded signature": ("malformed", f"{good}=="),
        "the other alphabet": ("malformed", f"{odd_header}.{padded}+.{odd_signature}"),
        "the other alphabet's slash": ("malformed", f"{odd_header}.{padded}/.{odd_signature}"),
        "unused bits in the signature": ("malformed", f"{header}.{payload}.{unused}"),
        "unused bits in the header": ("header", _spelled_otherwise(forge, 0)),
        "unused bits in the payload": ("claims", _spelled_otherwise(forge, 1)),
        "a lonely character in the signature": ("malformed", f"{good}{'A' * 3}"),
        "white space in the header": ("malformed", f" {good[:9]} {good[9:]}"),
        "white space before a part": ("malformed", f"{header}. {payload}.{signature}"),
        "a newline at the end": ("malformed", f"{good}\n"),
        "a newline in the middle": ("malformed", f"{header}\n.{payload}.{signature}"),
        "a header line in the token": ("malformed", f"{good}\r\nX-Tenant: globex"),
        "a null byte at the end": ("malformed", f"{good}\0"),
        "percent signs": ("malformed", good.replace(".", "%2E")),
        "letters that look like letters": ("malformed", good.replace("e", "\u0435").encode()),
        "wide full stops": ("malformed", good.replace(".", "\uff0e").encode()),
        "an invisible character": ("malformed", good.replace(".", ".\u200b").encode()),
        "a byte order mark before it": ("malformed", b"\xef\xbb\xbf" + good.encode()),
        "bytes beyond ASCII": ("malformed", good.encode() + b"\xff"),
        "the token in UTF-16": ("malformed", good.encode("utf-16-le")),
        "the token in base64": ("malformed", segment(good.encode())),
        "the token in hexadecimal": ("malformed", good.encode().hex()),
    }


def _with_unused_bits(part: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) % 4, "every bit is used"
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]


def _spelled_otherwise(forge: Forge, place: int) -> str:
    """A token whose part has set bits that no byte uses, signed as it stands."""
    texts = ['{"alg":"ES256","kid":"ec"}', json.dumps(claims())]
    while len(texts[place]) % 3 == 0:
        texts[place] += " "
    parts = [segment(text.encode()) for text in texts]
    parts[place] = _with_unused_bits(parts[place])
    return ".".join([*parts, segment(forge.signature(".".join(parts)))])


def _algorithms(forge: Forge) -> Kinds:
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


def _members(forge: Forge) -> Kinds:
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


def _keys(forge: Forge) -> Kinds:
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


def _signatures(forge: Forge) -> Kinds:
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


def _texts(forge: Forge) -> Kinds:
    good = json.dumps(claims())
    es256 = {"alg": "ES256", "kid": "ec"}
    payloads = {
        "claims with a duplicate": good[:-1] + ',"tenantId":"globex"}',
        "claims with a duplicate in escapes": good[:-1] + ',"\\u0074enantId":"globex"}',
        "claims with a duplicate deep inside": good[:-1] + ',"more":{"a":1,"a":2}}',
        "claims with half a surrogate pair": good[:-1] + ',"x":"\\ud800"}',
        "claims with a comment": good + "/* */",
        "claims with a comma too many": good[:-1] + ",}",
        "claims with something behind": good + good,
        "claims in single quotes": good.replace('"', "'"),
        "claims nested deeply": good[:-1] + ',"x":' + "[" * 900 + "]" * 900 + "}",
        "claims that never close": good[:-1] + ',"x":' + "[" * 3000,
        "a list of claims": json.dumps([claims()]),
        "text instead of claims": '"claims"',
        "a number instead of claims": "1",
        "null instead of claims": "null",
        "an empty object": "{}",
        "white space instead of claims": " ",
        "claims with NaN": good[:-1] + ',"nbf":NaN}',
        "claims with infinity": good[:-1] + ',"nbf":-Infinity}',
        "claims with a number that overflows": good[:-1] + ',"nbf":1e400}',
        "claims with an integer that is not exact": good[:-1] + ',"nbf":9007199254740993}',
    }
    kinds: Kinds = {name: ("claims", forge.sign(es256, text.encode())) for name, text in payloads.items()}
    raw = {
        "claims after a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "claims in UTF-16": good.encode("utf-16"),
        "claims in UTF-32": good.encode("utf-32"),
        "claims in Latin-1": good.replace("acme", "\u00e4cme").encode("latin-1"),
        "claims in overlong UTF-8": good.encode().replace(b"acme", b"\xc1\xa1cme"),
        "claims compressed": b"\x1f\x8b\x08" + bytes(20),
    }
    kinds |= {name: ("claims", forge.sign(es256, text)) for name, text in raw.items()}
    headers = {
        "a header with a duplicate": b'{"alg":"none","alg":"ES256","kid":"ec"}',
        "a header with a duplicate kid": b'{"alg":"ES256","kid":"x","kid":"ec"}',
        "a header with a duplicate in escapes": b'{"alg":"ES256","kid":"x","\\u006bid":"ec"}',
        "a header that is a list": b'["ES256"]',
        "a header that is text": b'"ES256"',
        "a header that is no JSON": b"alg=ES256",
        "a header after a byte order mark": b'\xef\xbb\xbf{"alg":"ES256","kid":"ec"}',
        "a header in UTF-16": '{"alg":"ES256","kid":"ec"}'.encode("utf-16"),
        "a header nested deeply": b'{"alg":"ES256","kid":"ec","x":' + b"[" * 800 + b"]" * 800 + b"}",
        "a header with something behind": b'{"alg":"ES256","kid":"ec"}{}',
    }
    return kinds | {name: ("header", forge.sign(text, claims())) for name, text in headers.items()}


def _claims(forge: Forge) -> Kinds:
    def with_(**changes: object) -> str:
        return forge.sign({"alg": "ES256", "kid": "ec"}, {**claims(), **changes})

    wrong: dict[str, str] = {
        "no issuer": forge.good(iss=None),
        "a list of issuers": forge.good(iss=[ISSUER]),
        "a null issuer": with_(iss=None),
        "no audience": forge.good(aud=None),
        "a null audience": with_(aud=None),
        "an object as audience": forge.good(aud={AUDIENCE: True}),
        "a list with a number as audience": forge.good(aud=[AUDIENCE, 1]),
        "a list in a list as audience": forge.good(aud=[[AUDIENCE]]),
        "a number as subject": forge.good(sub=1),
        "a null subject": with_(sub=None),
        "a list as subject": forge.good(sub=["s"]),
        "a long subject": forge.good(sub="x" * 256),
        "a subject with a null byte": forge.good(sub="s\0"),
        "a number as tenant": forge.good(tenantId=1),
        "a list as tenant": forge.good(tenantId=["acme"]),
        "an object as tenant": forge.good(tenantId={"id": "acme"}),
        "true as tenant": forge.good(tenantId=True),
        "a second tenant that is a list": forge.good(tenant_id=["acme"]),
        "roles as text": forge.good(roles="sigil:read"),
        "roles as an object": forge.good(roles={"sigil:read": True}),
        "roles as a number": forge.good(roles=1),
        "roles as true": forge.good(roles=True),
        "a role in a list in a list": forge.good(roles=[["sigil:read"]]),
        "a role that is an object": forge.good(roles=["sigil:read", {"name": "sigil:revoke"}]),
        "a scope that is an object": forge.good(scope={"sigil:read": True}),
        "a scope that is a number": forge.good(scope=1),
    }
    kinds: Kinds = {name: ("claims", token) for name, token in wrong.items()}
    issuers = {
        "another issuer": "https://evil.example",
        "the issuer with a slash": ISSUER + "/",
        "the issuer in capitals": ISSUER.upper(),
        "the issuer with a space": ISSUER + " ",
        "the issuer with a null byte": ISSUER + "\0",
        "the issuer with letters that look right": ISSUER.replace("e", "\u0435"),
        "the beginning of the issuer": ISSUER[:-1],
        "an empty issuer": "",
    }
    kinds |= {name: ("issuer", forge.good(iss=value)) for name, value in issuers.items()}
    audiences: dict[str, object] = {
        "another audience": "other",
        "the beginning of the audience": AUDIENCE[:-1],
        "the audience in capitals": AUDIENCE.upper(),
        "the audience and another in one text": AUDIENCE + " other",
        "an empty audience": "",
        "no audience in a list": [],
        "other audiences in a list": ["other", "seal"],
        "the issuer as audience": ISSUER,
    }
    return kinds | {name: ("audience", forge.good(aud=value)) for name, value in audiences.items()}


def _times(forge: Forge) -> Kinds:
    now = int(time.time())
    wrong: Iterable[tuple[str, RefusalReason, dict[str, object]]] = (
        ("expired a second ago", "expired", {"exp": now - 1}),
        ("expired long ago", "expired", {"exp": 1}),
        ("expired before the epoch", "expired", {"exp": -1e15}),
        ("an expiry of zero", "expired", {"exp": 0}),
        ("expired a fraction ago", "expired", {"exp": now - 0.5}),
        ("an expiry in milliseconds", "claims", {"exp": (now + 600) * 1000}),
        ("an expiry beyond all time", "claims", {"exp": 1e300}),
        ("an integer beyond all time", "claims", {"exp": 10**30}),
        ("an expiry of true", "claims", {"exp": True}),
        ("an expiry in text", "claims", {"exp": str(now + 600)}),
        ("an expiry as a date", "claims", {"exp": "2099-01-01T00:00:00Z"}),
        ("an expiry in a list", "claims", {"exp": [now + 600]}),
        ("an expiry of infinity", "claims", {"exp": float("inf")}),
        ("an expiry that is no number", "claims", {"exp": float("nan")}),
        ("no expiry", "claims", {"exp": None}),
        ("not valid yet", "not_yet_valid", {"nbf": now + 120}),
        ("never valid", "not_yet_valid", {"nbf": 1e300}),
        ("a beginning in text", "claims", {"nbf": str(now)}),
        ("a beginning of true", "claims", {"nbf": True}),
        ("issued in the future", "not_yet_valid", {"iat": now + 120}),
        ("issued in milliseconds", "not_yet_valid", {"iat": now * 1000}),
        ("issued in text", "claims", {"iat": str(now)}),
        ("issued false", "claims", {"iat": False}),
    )
    kinds: Kinds = {name: (reason, forge.good(**changes)) for name, reason, changes in wrong}
    header = {"alg": "ES256", "kid": "ec"}
    for name in ("exp", "nbf", "iat"):
        kinds[f"null as {name}"] = ("claims", forge.sign(header, {**claims(), name: None}))
    return kinds
