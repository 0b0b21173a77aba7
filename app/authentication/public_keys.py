"""Public keys that tokens are checked with, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

#: Asymmetric algorithms only (RFC 8725 §3.1).
_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVE_ALGORITHMS: Final = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
ALGORITHMS: Final = frozenset(_RSA_ALGORITHMS).union(*_CURVE_ALGORITHMS.values())

_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192


class KeyRefusedError(ValueError):
    """A key of a set that must not, or cannot, check tokens."""


class PublicKey(msgspec.Struct, frozen=True):
    """A key and the algorithms it may be used with."""

    key_id: str | None
    algorithms: frozenset[str]
    key: Key


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
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise KeyRefusedError("not for signatures")
    key_id = jwk.get("kid")
    if not isinstance(key_id, str | None):
        raise KeyRefusedError("its kid is no string")
    key = import_key(dict(jwk))
    algorithms = frozenset(_possible_algorithms(key))
    if "alg" in jwk:
        algorithms &= {jwk["alg"]}
    if not algorithms:
        raise KeyRefusedError("its algorithm is not allowed")
    return PublicKey(key_id, algorithms, key)


def _possible_algorithms(key: Key) -> tuple[str, ...]:
    if isinstance(key, RSAKey):
        if not _SMALLEST_RSA_BITS <= key.public_key.key_size <= _LARGEST_RSA_BITS:
            raise KeyRefusedError("its RSA modulus is too small, or absurdly large")
        return _RSA_ALGORITHMS
    if isinstance(key, ECKey | OKPKey):
        key.public_key  # noqa: B018 - decodes the point, which must lie on the curve
        return _CURVE_ALGORITHMS.get((key.key_type, key.curve_name), ())
    return ()


def choose(keys: Iterable[PublicKey], key_id: str | None, algorithm: str) -> PublicKey | None:
    """The key that a token names; without a name, the only one that fits its algorithm."""
    fitting = [key for key in keys if algorithm in key.algorithms and key_id in {None, key.key_id}]
    if key_id is None and len(fitting) > 1:
        return None
    return fitting[0] if fitting else None
