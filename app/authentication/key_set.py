"""Sets of public keys (RFC 7517): how one is read, and how a token's key is found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from app.authentication.public_keys import KeyRefusedError, PublicKey, public_key
from sigil_native import CanonicalizationError, canonicalize_json

_MOST_KEYS: Final = 100


class ReadKeySet(NamedTuple):
    """What a document held.

    Attributes:
        keys: that tokens may be checked with.
        refused: for each other member where it stands and why it is not used, for the operator; those
            beyond the limit count as one.
    """

    keys: tuple[PublicKey, ...]
    refused: tuple[tuple[int, str], ...]


class _Document(msgspec.Struct):
    keys: list[msgspec.Raw]


def read_key_set(raw: bytes, known: Iterable[PublicKey] = ()) -> ReadKeySet:
    """Read a set key by key, so that a bad one does not take the others with it.

    Args:
        raw: the document.
        known: keys of an earlier reading; those that are still there keep their identity.

    Raises:
        KeyRefusedError: no key can be used, or the document is no key set.
    """
    try:
        members = msgspec.json.decode(raw, type=_Document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise KeyRefusedError("not a key set") from None
    imported: dict[int, PublicKey] = {}
    refused: dict[int, str] = {}
    if len(members) > _MOST_KEYS:
        beyond = len(members) - _MOST_KEYS
        refused[_MOST_KEYS] = f"the set has more than {_MOST_KEYS} members; {beyond} are not looked at"
    for position, member in enumerate(members[:_MOST_KEYS]):
        try:
            key = public_key(_jwk(member))
        except KeyRefusedError as error:
            refused[position] = str(error)
            continue
        if not any(key.says_the_same(other) for other in imported.values()):
            imported[position] = key
    for position in _ambiguous(imported):
        del imported[position]
        refused[position] = "its kid is also another key's"
    if not imported:
        raise KeyRefusedError("the key set has no usable key")
    before = tuple(known)
    keys = tuple(_known_form(key, before) for key in imported.values())
    return ReadKeySet(keys, tuple(sorted(refused.items())))


def choose(keys: Iterable[PublicKey], key_id: str | None, algorithm: str) -> PublicKey | None:
    """The key that a token names; without a name, the only one that fits its algorithm."""
    fitting = [key for key in keys if algorithm in key.algorithms and key_id in {None, key.key_id}]
    return fitting[0] if len(fitting) == 1 else None


def _jwk(member: msgspec.Raw) -> dict[str, Any]:
    try:
        jwk = msgspec.json.decode(canonicalize_json(bytes(member)))
    except CanonicalizationError as error:
        raise KeyRefusedError(f"malformed: {error.problem}") from None
    if not isinstance(jwk, dict):
        raise KeyRefusedError("malformed: not an object")
    return jwk


def _ambiguous(imported: dict[int, PublicKey]) -> list[int]:
    """Where keys stand that tokens cannot tell apart.

    Which of them a token means cannot be known, and trying one after the other would let a
    caller choose how much work a token makes.
    """
    names = Counter((key.key_id, algorithm) for key in imported.values() for algorithm in key.algorithms)
    return [
        position
        for position, key in imported.items()
        if key.key_id is not None and any(names[key.key_id, algorithm] > 1 for algorithm in key.algorithms)
    ]


def _known_form(key: PublicKey, known: Iterable[PublicKey]) -> PublicKey:
    return next((earlier for earlier in known if earlier.says_the_same(key)), key)
