"""The memory of verified tokens: what it keeps, for how long, and who has to make room."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable

import pytest

from app.authentication.key_set import read_key_set
from app.authentication.key_sources import FixedKeys
from app.authentication.public_keys import PublicKey
from app.authentication.roles import ROLES
from app.authentication.verified_tokens import VerifiedToken, VerifiedTokens
from app.http.context import Caller
from tests.service.authentication.forge import Forge


@pytest.fixture(scope="module")
def keys(forge: Forge) -> tuple[PublicKey, ...]:
    """Some keys."""
    return read_key_set(json.dumps({"keys": forge.key_set}).encode()).keys


def verified(keys: tuple[PublicKey, ...], tenant: str = "acme", expires_at: float = 100.0) -> VerifiedToken:
    """What is remembered of a token."""
    return VerifiedToken(Caller("i", tenant, "s", frozenset(ROLES)), expires_at, keys[0], FixedKeys(keys))


def known(tokens: VerifiedTokens, names: Iterable[str]) -> list[str]:
    """Those of the tokens that are remembered."""
    return [name for name in names if tokens.get(name.encode(), 0.0) is not None]


def test_the_least_used_makes_room(keys: tuple[PublicKey, ...]) -> None:
    """A full memory drops what was not used for the longest time, of whichever tenant."""
    tokens = VerifiedTokens(most=16)
    for number in range(16):
        tokens.add(b"%d" % number, verified(keys, f"tenant-{number}"), now=0.0)
    assert tokens.get(b"0", 0.0) is not None
    tokens.add(b"16", verified(keys, "tenant-16"), now=0.0)
    assert len(tokens) == 16
    assert known(tokens, map(str, range(17))) == ["0", *map(str, range(2, 17))]


def test_a_tenant_with_many_tokens_drives_out_its_own(keys: tuple[PublicKey, ...]) -> None:
    """However many good tokens one tenant shows, those of others stay."""
    tokens = VerifiedTokens(most=64)
    others = [f"other-{number}" for number in range(8)]
    for name in others:
        tokens.add(name.encode(), verified(keys, name), now=0.0)
    for number in range(1000):
        tokens.add(b"flood-%d" % number, verified(keys, "flood"), now=0.0)
    assert len(tokens) == 64
    assert known(tokens, others) == others
    assert known(tokens, ["flood-999", "flood-0"]) == ["flood-999"]


def test_one_tenant_may_use_all(keys: tuple[PublicKey, ...]) -> None:
    """Where there is only one tenant, the whole memory is its own."""
    tokens = VerifiedTokens(most=64)
    for number in range(100):
        tokens.add(b"%d" % number, verified(keys), now=0.0)
    assert known(tokens, map(str, range(100))) == [*map(str, range(36, 100))]


def test_expiry_and_repetition(keys: tuple[PublicKey, ...]) -> None:
    """An expired token is dropped when it is shown; one that is added again is there once."""
    tokens = VerifiedTokens()
    tokens.add(b"a", verified(keys, expires_at=100.0), now=0.0)
    tokens.add(b"a", verified(keys, tenant="globex", expires_at=200.0), now=0.0)
    assert len(tokens) == 1
    found = tokens.get(b"a", 199.0)
    assert found is not None
    assert found.caller.tenant == "globex"
    assert tokens.get(b"a", 200.0) is None
    assert len(tokens) == 0


def test_forgetting_a_key(keys: tuple[PublicKey, ...]) -> None:
    """With a key its tokens go, and no others."""
    tokens = VerifiedTokens()
    tokens.add(b"a", verified(keys), now=0.0)
    tokens.add(b"b", verified(keys[1:]), now=0.0)
    tokens.forget([keys[0]])
    assert known(tokens, ["a", "b"]) == ["b"]
    assert len(tokens) == 1


@pytest.mark.unsanitized
def test_memory_is_bounded(keys: tuple[PublicKey, ...]) -> None:
    """Even full of the longest tokens, each of another tenant, it takes less than 50 MB."""
    tokens = VerifiedTokens()
    source = FixedKeys(keys)
    tracemalloc.start()
    for number in range(5000):
        caller = Caller("i", f"{number:0128}", f"{number:0255}", frozenset(ROLES))
        tokens.add(b"%08185d" % number, VerifiedToken(caller, 100.0, keys[0], source), now=0.0)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tokens) == 4096
    assert size < 50e6


def test_expired_tokens_do_not_stay(keys: tuple[PublicKey, ...]) -> None:
    """What has expired goes within a minute of new tokens, though nobody shows it again."""
    tokens = VerifiedTokens()
    for number in range(100):
        tokens.add(b"%d" % number, verified(keys, f"tenant-{number % 3}", expires_at=100.0), now=0.0)
    tokens.add(b"lasting", verified(keys, expires_at=1000.0), now=50.0)
    assert len(tokens) == 101
    tokens.add(b"new", verified(keys, expires_at=1000.0), now=111.0)
    assert len(tokens) == 2
    assert known(tokens, ["lasting", "new", "7"]) == ["lasting", "new"]
