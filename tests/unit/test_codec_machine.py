"""A ring and its codec through any sequence of additions, rotations, revocations and seals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sigil_native._keyinfo import KeyInfo
from sigil_native.errors import (
    DuplicateKeyError,
    KeyNotYetValidError,
    NoActiveKeyError,
    NoSuchKeyError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    TagMismatchError,
)
from tests.sigils import key_id_of

# Whole days around the time of the run, so that no test straddles an edge.
NOW = int(time.time())
DAY = 86_400
DAYS = st.none() | st.integers(-3, 3).map(lambda days: NOW + days * DAY + DAY // 2)
SECRETS = st.integers(0, 7).map(lambda number: f"{number:032d}")
TENANTS = st.sampled_from(["a", "b", "é"])
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3), st.lists, max_leaves=3
)
FORMS = st.sampled_from(["text", "strand", "token", "binary"])


@dataclass
class Key:
    """What the model knows of a key."""

    key_id: int
    state: str
    not_before: float | None
    retire_at: float | None

    def verdict(self, now: float) -> type | None:
        """Why this key refuses at a moment; None if it does not."""
        if self.state == "revoked":
            return RevokedKeyError
        if self.not_before is not None and now < self.not_before:
            return KeyNotYetValidError
        if self.retire_at is not None and now >= self.retire_at:
            return RetiredKeyError
        return None


@dataclass
class Seal:
    """What the model knows of a sigil."""

    form: Any
    key: Key
    tenant: str
    payload: object
    expires_in: int | None


class RingMachine(RuleBasedStateMachine):
    """Compares a ring with a list of keys. Subclassed for each backend."""

    library: SimpleNamespace
    seals = Bundle("seals")

    def __init__(self) -> None:
        super().__init__()
        self.ring = self.library.KeyRing(tenant_cache_size=2)
        self.codec = self.library.SigilCodec(self.ring, max_future_skew=10 * DAY)
        self.keys: list[Key] = []

    def holds(self, secret: str) -> bool:
        """Whether a key with this secret was added."""
        return any(key.key_id == key_id_of(secret.encode()) for key in self.keys)

    @rule(secret=SECRETS, state=st.sampled_from(["active", "verify-only", "revoked"]), start=DAYS, end=DAYS)
    def add(self, secret: str, state: str, start: float | None, end: float | None) -> None:
        """A key is added once."""
        if self.holds(secret):
            with pytest.raises(DuplicateKeyError):
                self.ring.add(secret, state, start, end)
            return
        key_id = self.ring.add(secret, state, start, end)
        self.keys.append(Key(key_id, state, start, end))

    @rule(secret=SECRETS, end=DAYS)
    def rotate(self, secret: str, end: float | None) -> None:
        """A rotation demotes whatever was active."""
        if self.holds(secret):
            with pytest.raises(DuplicateKeyError):
                self.ring.rotate(secret, retire_previous_at=end)
            return
        key_id = self.ring.rotate(secret, retire_previous_at=end)
        for key in self.keys:
            if key.state == "active":
                key.state = "verify-only"
                key.retire_at = key.retire_at if end is None else end
        self.keys.append(Key(key_id, "active", None, None))

    @rule(secret=SECRETS)
    def revoke(self, secret: str) -> None:
        """Only a key that the ring holds can be revoked."""
        key_id = key_id_of(secret.encode())
        if not self.holds(secret):
            with pytest.raises(NoSuchKeyError):
                self.ring.revoke(key_id)
            return
        self.ring.revoke(key_id)
        for key in self.keys:
            if key.key_id == key_id:
                key.state = "revoked"

    @rule(target=seals, tenant=TENANTS, payload=PAYLOADS, form=FORMS, expires_in=st.none() | st.just(5 * DAY))
    def seal(self, tenant: str, payload: object, form: str, expires_in: int | None) -> Seal | None:
        """The right key signs, or none may."""
        usable = [key for key in self.keys if key.state == "active" and key.verdict(NOW) is None]
        if not usable:
            with pytest.raises(NoActiveKeyError):
                self.codec.encode(payload, tenant=tenant, form=form, expires_in=expires_in)
            return None
        latest = max(key.not_before or 0 for key in usable)
        signer = [key for key in usable if (key.not_before or 0) == latest][-1]
        form = self.codec.encode(payload, tenant=tenant, form=form, expires_in=expires_in)
        assert self.codec.decode(form).key_id == signer.key_id
        return Seal(form, signer, tenant, payload, expires_in)

    @rule(seal=seals, tenant=TENANTS, payload=PAYLOADS | st.none(), days=st.integers(-6, 6))
    def verify(self, seal: Seal | None, tenant: str, payload: object, days: int) -> None:
        """A sigil verifies if its key is good, nothing was changed and it has not expired."""
        if seal is None:
            return
        now = NOW + days * DAY
        expected = seal.key.verdict(now)
        if expected is None and (tenant != seal.tenant or repr(payload) != repr(seal.payload)):
            expected = TagMismatchError
        if expected is None and seal.expires_in is not None and days > 5:
            expected = SigilExpiredError
        if expected is None and days == 5 and seal.expires_in is not None:
            return  # within the seconds that the run takes
        if expected is None:
            assert self.codec.verify(seal.form, payload, tenant=tenant, now=now) == self.codec.decode(
                seal.form
            )
            return
        with pytest.raises(expected) as caught:
            self.codec.verify(seal.form, payload, tenant=tenant, now=now)
        assert type(caught.value) is expected

    @invariant()
    def keys_are_those_of_the_model(self) -> None:
        """The ring tells what the model knows."""
        expected = [KeyInfo(key.key_id, key.state, key.not_before, key.retire_at) for key in self.keys]
        assert self.ring.keys() == expected
        assert len(self.ring) == len(self.keys)


def test_ring_and_codec_follow_the_model(library: SimpleNamespace) -> None:
    """No sequence of operations leads the ring away from the list of keys."""
    machine = type("Machine", (RingMachine,), {"library": library})
    # A run is many steps, and so counts for many examples.
    runs = max(10, settings().max_examples // 25)
    run_state_machine_as_test(machine, settings=settings(max_examples=runs))
