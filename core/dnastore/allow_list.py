"""The file that says which clients a DNAStore serves, and which tenants each of them may touch."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from core.plain_files import read_plain, require_plain
from core.tenants import is_tenant
from sigil_native import CanonicalizationError, canonicalize_json

#: Stands for all tenants, and for nothing else.
EVERY: Final = "*"
_LARGEST_FILE: Final = 16 << 20
_LONGEST_NAME: Final = 2048

_decoder: Final = msgspec.json.Decoder(dict[str, list[str]])


class Grant:
    """The tenants that a client may touch."""

    __slots__ = ("_every", "_tenants")

    def __init__(self, tenants: Iterable[str]) -> None:
        """Grant these; ``*`` grants all."""
        self._tenants = frozenset(tenants)
        self._every = EVERY in self._tenants

    def __contains__(self, tenant: str) -> bool:
        return self._every or tenant in self._tenants

    def __or__(self, other: Grant) -> Grant:
        """What both grant together."""
        return Grant(self._tenants | other._tenants)


class AllowList:
    """The clients that may call, by the names of their certificates. A name without tenants is not in it."""

    def __init__(self, tenants: Mapping[str, Sequence[str]]) -> None:
        """Allow these names these tenants."""
        self.tenants = {name: tuple(allowed) for name, allowed in tenants.items() if allowed}
        self._grants = {name: Grant(allowed) for name, allowed in self.tenants.items()}

    def grant(self, names: Iterable[str]) -> Grant | None:
        """What a client of these names may touch, by all of them together; None if none is in the list."""
        found: Grant | None = None
        for name in names:
            one = self._grants.get(name)
            if one is not None:
                found = one if found is None else found | one
        return found


def read_allow_list(path: Path) -> AllowList:
    """The list that a file holds: a JSON object of certificate names, each with a list of tenants.

    It holds no secret, so others may read it.

    Raises:
        ValueError: saying what is wrong with the file, and where; or that others may change it.
    """
    if require_plain(path) & stat.S_IWOTH:
        raise ValueError("others may change the file; chmod o-w it")
    try:
        # Refuses duplicate members, of which JSON readers would take one or the other.
        text = canonicalize_json(read_plain(path, largest=_LARGEST_FILE))
    except CanonicalizationError as error:
        raise ValueError(f"not JSON that can be used: {error.problem}") from None
    try:
        tenants = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    for name, allowed in tenants.items():
        _check(name, allowed)
    return AllowList(tenants)


def _check(name: str, allowed: Sequence[str]) -> None:
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"a client's name has 1 to {_LONGEST_NAME} characters")
    if EVERY in name:
        raise ValueError(f"client {name!r}: names are whole; {EVERY} stands for all tenants only")
    for tenant in allowed:
        if tenant == EVERY:
            continue
        if not is_tenant(tenant):
            raise ValueError(f"client {name!r}: a tenant has 1 to 128 bytes of UTF-8, without NUL")
        if EVERY in tenant:
            raise ValueError(f"client {name!r}: {EVERY} stands alone, for all tenants; no part of a name")
