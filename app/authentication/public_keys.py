"""Public keys that tokens are checked with, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVE_ALGORITHMS: Final = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}

_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192
#: Larger ones make each check slow, and no provider has them.
_LARGEST_RSA_EXPONENT: Final = 2**32
#: Of a key set and of tokens, in characters.
LONGEST_KEY_ID: Final = 256


class KeyRefusedError(ValueError):
    """A key of a set that must not, or cannot, check tokens."""


class PublicKey(msgspec.Struct, frozen=True, eq=False):
    """A key and the algorithms it may be used with. Equal to itself alone.

    Attributes:
        thumbprint: of the key proper (RFC 7638).
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    key: Key

    def says_the_same(self, other: PublicKey) -> bool:
        """Whether tokens that one verifies are the tokens that the other verifies."""
        mine = (self.key_id, self.algorithms, self.thumbprint)
        return mine == (other.key_id, other.algorithms, other.thumbprint)

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, by one of its algorithms."""
        if algorithm not in self.algorithms:
            return False
        # The algorithm itself and not joserfc's deserialize_compact, which would read the header a
        # second time, with a JSON reader that takes duplicate members.
        return JWSRegistry.algorithms[algorithm].verify(signed, signature, self.key)


def public_key(jwk: Mapping[str, Any]) -> PublicKey:
    """Import one member of a key set (RFC 7517).

    Raises:
        KeyRefusedError: symmetric, private, too small, for encryption, malformed.
    """
    try:
        return _import(jwk)
    except KeyRefusedError:
        raise
    except Exception as error:
        # Members of unexpected types; and joserfc lets errors of several libraries through.
        raise KeyRefusedError(f"malformed: {type(error).__name__}") from None


def _import(jwk: Mapping[str, Any]) -> PublicKey:
    if jwk["kty"] not in {"RSA", "EC", "OKP"} or "d" in jwk:
        raise KeyRefusedError("not an asymmetric public key")
    if jwk.get("use", "sig") != "sig" or not _may_verify(jwk.get("key_ops", ["verify"])):
        raise KeyRefusedError("not for signatures")
    key_id = jwk.get("kid")
    if not isinstance(key_id, str | None) or len(key_id or "") > LONGEST_KEY_ID:
        raise KeyRefusedError("its kid is no string, or too long")
    if jwk["kty"] == "RSA":
        _check_rsa_numbers(base64_to_int(jwk["n"]), base64_to_int(jwk["e"]))
    key = import_key(dict(jwk))
    algorithms = frozenset(_possible_algorithms(key))
    if "alg" in jwk:
        algorithms &= {jwk["alg"]}
    if not algorithms:
        raise KeyRefusedError("its algorithm is not allowed")
    return PublicKey(key_id, algorithms, key.thumbprint(), key)


def _may_verify(operations: object) -> bool:
    return isinstance(operations, list) and "verify" in operations


def _check_rsa_numbers(modulus: int, exponent: int) -> None:
    if not _SMALLEST_RSA_BITS <= modulus.bit_length() <= _LARGEST_RSA_BITS:
        raise KeyRefusedError("its RSA modulus is too small, or absurdly large")
    if modulus % 2 == 0 or exponent % 2 == 0 or not 3 <= exponent <= _LARGEST_RSA_EXPONENT:
        raise KeyRefusedError("its RSA numbers cannot be right")


def _possible_algorithms(key: Key) -> tuple[str, ...]:
    if isinstance(key, RSAKey):
        return _RSA_ALGORITHMS
    if isinstance(key, ECKey | OKPKey):
        key.public_key  # noqa: B018 - decodes the point, which must lie on the curve
        return _CURVE_ALGORITHMS.get((key.key_type, key.curve_name), ())
    return ()
