"""Tokens that are no tokens: headers, shapes, encodings and texts that nobody may accept."""

from __future__ import annotations

import json

from app.authentication.refusals import RefusalReason
from tests.service.authentication.forge import Forge, claims, segment
from tests.service.authentication.hostile_kinds import Kinds


def bearers(forge: Forge) -> dict[str, tuple[RefusalReason, list[bytes]]]:
    """Authorization headers that hold no token, or more than one."""
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


def shapes(forge: Forge) -> Kinds:
    """Tokens with parts that are missing, too many, cut or exchanged."""
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


def encodings(forge: Forge) -> Kinds:
    """Other spellings of good tokens."""
    good = forge.good()
    header, payload, signature = good.split(".")
    # Its base64url has both of the characters that ordinary base64 writes in another way.
    odd = forge.good(sub="~~~~~?????")
    assert "-" in odd.split(".")[1]
    assert "_" in odd.split(".")[1]
    unused = _with_unused_bits(signature)
    return {
        "a padded header": ("malformed", f"{header}=.{payload}.{signature}"),
        "a padded payload": ("malformed", f"{header}.{payload}==.{signature}"),
        "a padded signature": ("malformed", f"{good}=="),
        "the other alphabet": ("malformed", odd.replace("-", "+")),
        "the other alphabet's slash": ("malformed", odd.replace("_", "/")),
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


def texts(forge: Forge) -> Kinds:
    """Headers and claims that JSON readers understand differently, or not at all."""
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
