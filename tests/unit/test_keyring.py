"""The key ring: ids, states, times, rotation, and that no secret comes out of it."""

from __future__ import annotations

import copy
import math
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native._arguments import secret_bytes
from sigil_native._keyinfo import KeyInfo
from sigil_native.errors import (
    DuplicateKeyError,
    InvalidOptionError,
    NoActiveKeyError,
    NoSuchKeyError,
    RevokedKeyError,
    WeakSecretError,
)
from tests.backends import load_backend
from tests.sigils import key_id_of, ring_of

A, B, C = (bytes([letter]) * 32 for letter in b"ABC")
PAST = time.time() - 1000
FUTURE = time.time() + 1000


def signer_of(library: SimpleNamespace, ring: Any) -> int:
    """The id of the key that signs now."""
    codec = library.SigilCodec(ring)
    return int(codec.decode(codec.encode(1, tenant="t")).key_id)


# -- adding ------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [A, bytearray(A), memoryview(A), A.decode(), b"x" * 1000, "é" * 16])
def test_key_id_is_derived_from_the_secret(library: SimpleNamespace, secret: Any) -> None:
    """Any spelling of a secret gives the id that HKDF gives."""
    ring = library.KeyRing()
    raw = secret.encode() if isinstance(secret, str) else bytes(secret)
    assert ring.add(secret) == key_id_of(raw)
    assert ring.keys() == [KeyInfo(key_id_of(raw), "active", None, None)]
    assert len(ring) == 1


def test_keys_are_told_in_order_of_addition(library: SimpleNamespace) -> None:
    """keys() tells state and times of each key, and no secret."""
    ring = library.KeyRing()
    ring.add(C, "verify-only", retire_at=7)
    ring.add(A, "revoked", 5, 6.5)
    ring.add(B)
    assert ring.keys() == [
        KeyInfo(key_id_of(C), "verify-only", None, 7.0),
        KeyInfo(key_id_of(A), "revoked", 5.0, 6.5),
        KeyInfo(key_id_of(B), "active", None, None),
    ]
    assert {type(info) for info in list(ring.keys())} == {KeyInfo}


@pytest.mark.parametrize("state", ["active", "verify-only", "revoked"])
def test_second_secret_of_one_id_is_refused(library: SimpleNamespace, state: str) -> None:
    """A ring holds a key once, whatever its state; the ring stays as it was."""
    ring = library.KeyRing()
    ring.add(A, state)
    with pytest.raises(DuplicateKeyError, match=f"the ring already holds key {key_id_of(A):08x}"):
        ring.add(A)
    with pytest.raises(DuplicateKeyError):
        ring.rotate(A)
    assert ring.keys() == [KeyInfo(key_id_of(A), state, None, None)]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((b"x" * 31,), WeakSecretError, "a secret has at least 32 bytes, this one has 31"),
        (("",), WeakSecretError, "a secret has at least 32 bytes, this one has 0"),
        (("\ud800" * 32,), InvalidOptionError, "secret is not valid Unicode"),
        ((None,), TypeError, "secret must be str or bytes-like, not NoneType"),
        ((A, "aktiv"), InvalidOptionError, 'state must be "active", "verify-only" or "revoked"'),
        ((A, None), InvalidOptionError, 'state must be "active", "verify-only" or "revoked"'),
        ((A, "active", -1), InvalidOptionError, "not_before is out of range"),
        ((A, "active", None, -0.001), InvalidOptionError, "retire_at is out of range"),
        ((A, "active", 253402300800), InvalidOptionError, "not_before is out of range"),
        ((A, "active", math.nan), InvalidOptionError, "not_before is out of range"),
        ((A, "active", None, math.inf), InvalidOptionError, "retire_at is out of range"),
        ((A, "active", 10**400), InvalidOptionError, "not_before is out of range"),
        ((A, "active", "1"), TypeError, "not_before must be a number of seconds or None, not str"),
        ((A, "active", None, True), TypeError, "retire_at must be a number of seconds or None, not bool"),
    ],
)
def test_bad_arguments_of_add(
    library: SimpleNamespace, arguments: tuple[Any, ...], kind: type[Exception], message: str
) -> None:
    """Each bad argument has its error and leaves the ring as it was."""
    ring = library.KeyRing()
    with pytest.raises(kind) as caught:
        ring.add(*arguments)
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert len(ring) == 0


def test_limits_of_times_are_accepted(library: SimpleNamespace) -> None:
    """The first and the last second of a sigil's calendar are times like others."""
    ring = library.KeyRing()
    ring.add(A, "active", 0, 253402300799)
    assert signer_of(library, ring) == key_id_of(A)


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_cache_size_changes_no_result(library: SimpleNamespace, size: int) -> None:
    """However few tenants' keys are kept, sigils of many tenants verify."""
    ring = library.KeyRing(tenant_cache_size=size)
    ring.add(A)
    codec = library.SigilCodec(ring)
    sigils = {tenant: codec.encode(1, tenant=tenant) for tenant in map(str, range(20))}
    for tenant, sigil in sigils.items():
        codec.verify(sigil, 1, tenant=tenant)


def test_tenant_of_a_subclass_counts_by_its_text(library: SimpleNamespace) -> None:
    """What its encode() would give is not asked for, and cannot pass for another tenant."""

    class Name(bytes):
        __slots__ = ()

        def decode(self, *_: object) -> str:
            return "acme"

    class Odd(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return Name(b"other")

    signer, verifier = (library.SigilCodec(ring_of(library)) for _ in range(2))
    for tenant in (Odd("evil"), "acme"):
        verifier.verify(signer.encode(1, tenant=tenant), 1, tenant=str.__str__(tenant))


def test_want_of_memory_makes_no_other_key(library: SimpleNamespace) -> None:
    """Whichever allocation fails, a tenant's key is the right one or none, now and later."""
    failing = pytest.importorskip("_testcapi")
    signer, verifier = (library.SigilCodec(ring_of(library)) for _ in range(2))
    for place in range(1, 30):
        tenant, sigils = f"tenant {place}", []
        try:
            failing.set_nomemory(place, place + 1)
            try:
                sigil = signer.encode(1, tenant=tenant)
            finally:
                failing.remove_mem_hooks()
            sigils.append(sigil)
        except MemoryError:
            pass
        sigils.append(signer.encode(1, tenant=tenant))
        for sigil in sigils:
            verifier.verify(sigil, 1, tenant=tenant)


@pytest.mark.parametrize(
    ("size", "kind", "message"),
    [
        (-1, InvalidOptionError, "tenant_cache_size is out of range"),
        (10**30, InvalidOptionError, "tenant_cache_size is out of range"),
        (1.0, TypeError, "tenant_cache_size must be int, not float"),
        (True, TypeError, "tenant_cache_size must be int, not bool"),
    ],
)
def test_bad_cache_size(library: SimpleNamespace, size: Any, kind: type[Exception], message: str) -> None:
    """The cache's size is a count."""
    with pytest.raises(kind, match=message):
        library.KeyRing(tenant_cache_size=size)


# -- which key signs ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([(A, "active", None, None)], A),
        ([(A, "active", None, None), (B, "active", None, None)], B),
        ([(A, "active", PAST, None), (B, "active", None, None)], A),
        ([(A, "active", PAST, None), (B, "active", PAST - 1, None)], A),
        ([(A, "active", PAST, None), (B, "active", PAST, None), (C, "active", None, None)], B),
        ([(A, "active", None, None), (B, "active", 0, None)], B),
        ([(A, "active", 0, None), (B, "active", None, None)], B),
        ([(A, "active", None, None), (B, "active", FUTURE, None)], A),
        ([(A, "active", None, None), (B, "active", None, PAST)], A),
        ([(A, "active", None, FUTURE), (B, "verify-only", None, None)], A),
        ([(A, "active", None, None), (B, "revoked", PAST, None)], A),
        ([(A, "active", PAST, FUTURE), (B, "active", PAST - 1, FUTURE)], A),
    ],
)
def test_latest_not_before_signs(
    library: SimpleNamespace, keys: list[tuple[Any, ...]], expected: bytes
) -> None:
    """Of the active keys of now, the one with the latest not_before; of equals the last added."""
    ring = library.KeyRing()
    for key in keys:
        ring.add(*key)
    assert signer_of(library, ring) == key_id_of(expected)


@pytest.mark.parametrize(
    "key",
    [
        None,
        (A, "verify-only"),
        (A, "revoked"),
        (A, "active", FUTURE),
        (A, "active", None, PAST),
        (A, "active", PAST, PAST),
        (A, "active", FUTURE, PAST),
    ],
)
def test_no_key_may_sign(library: SimpleNamespace, key: tuple[Any, ...] | None) -> None:
    """Without an active key of now nothing is sealed."""
    ring = library.KeyRing()
    if key is not None:
        ring.add(*key)
    with pytest.raises(NoActiveKeyError, match="the ring holds no key that may sign now"):
        library.SigilCodec(ring).encode(1, tenant="t")


def test_key_begins_and_ceases_to_sign_as_time_passes(library: SimpleNamespace) -> None:
    """The signing key is chosen anew when a key's time has come."""
    ring, now = library.KeyRing(), time.time()
    ring.add(A, "active", None, now + 0.2)
    ring.add(B, "active", now + 0.1)
    seen: list[int] = []
    while not seen or seen[-1] != key_id_of(B):
        seen.append(signer_of(library, ring))
        assert time.time() < now + 30
    assert seen[0] == key_id_of(A)
    time.sleep(max(0, now + 0.25 - time.time()))
    assert signer_of(library, ring) == key_id_of(B)


# -- rotation and revocation -------------------------------------------------------


def test_rotation_demotes_active_keys(library: SimpleNamespace) -> None:
    """After a rotation the new key alone signs; others keep their state or verify only."""
    ring = library.KeyRing()
    ring.add(A, "active", 1, 99)
    ring.add(B, "revoked")
    assert ring.rotate(C) == key_id_of(C)
    assert ring.keys() == [
        KeyInfo(key_id_of(A), "verify-only", 1.0, 99.0),
        KeyInfo(key_id_of(B), "revoked", None, None),
        KeyInfo(key_id_of(C), "active", None, None),
    ]
    assert signer_of(library, ring) == key_id_of(C)


def test_rotation_may_retire_the_previous_keys(library: SimpleNamespace) -> None:
    """retire_previous_at concerns the keys that were active, and no others."""
    ring = library.KeyRing()
    ring.add(A, "verify-only", None, 50)
    ring.add(B, "active", None, 60)
    ring.rotate(C, retire_previous_at=70)
    told = list(ring.keys())
    assert [info.retire_at for info in told] == [50.0, 70.0, None]


@pytest.mark.parametrize(
    ("secret", "options", "kind"),
    [
        (b"short", {}, WeakSecretError),
        (A, {}, DuplicateKeyError),
        (B, {"retire_previous_at": -1}, InvalidOptionError),
        (B, {"retire_previous_at": "x"}, TypeError),
    ],
)
def test_refused_rotation_changes_nothing(
    library: SimpleNamespace, secret: bytes, options: dict[str, Any], kind: type[Exception]
) -> None:
    """A rotation happens as a whole or not at all."""
    ring = library.KeyRing()
    ring.add(A)
    before = ring.keys()
    with pytest.raises(kind):
        ring.rotate(secret, **options)
    assert ring.keys() == before


def test_revoked_key_neither_signs_nor_verifies(library: SimpleNamespace) -> None:
    """Revoking takes effect at once, for codecs that exist already as well."""
    ring = library.KeyRing()
    key_id = ring.add(A)
    codec = library.SigilCodec(ring)
    sigil = codec.encode(1, tenant="t")
    ring.revoke(key_id)
    ring.revoke(key_id)
    with pytest.raises(RevokedKeyError):
        codec.verify(sigil, 1, tenant="t")
    with pytest.raises(NoActiveKeyError):
        codec.encode(1, tenant="t")
    assert ring.keys()[0].state == "revoked"


@pytest.mark.parametrize("key_id", [0, 1, -1, 2**32, 2**32 + key_id_of(A), 10**30])
def test_unknown_key_cannot_be_revoked(library: SimpleNamespace, key_id: int) -> None:
    """An id that the ring does not hold is named in the error."""
    ring = library.KeyRing()
    ring.add(A)
    with pytest.raises(NoSuchKeyError) as caught:
        ring.revoke(key_id)
    assert str(caught.value) == f"the ring holds no key {key_id:08x}"


@pytest.mark.parametrize("key_id", [None, "1a2b3c4d", 1.0, True])
def test_key_id_is_an_int(library: SimpleNamespace, key_id: Any) -> None:
    """Other types are the caller's mistake."""
    with pytest.raises(TypeError, match=f"key_id must be int, not {type(key_id).__name__}"):
        library.KeyRing().revoke(key_id)


# -- secrets -----------------------------------------------------------------------


def test_repr_counts_keys(library: SimpleNamespace) -> None:
    """The repr holds no secret and no id."""
    ring = library.KeyRing()
    assert repr(ring) == "<KeyRing of 0 keys>"
    ring.add(A)
    assert repr(ring) == "<KeyRing of 1 key>"
    ring.add(B)
    assert repr(ring) == "<KeyRing of 2 keys>"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_ring_cannot_be_copied(library: SimpleNamespace, duplicate: Any) -> None:
    """No copy of a secret is made behind anybody's back."""
    with pytest.raises(TypeError, match="KeyRing holds secrets and cannot be copied or pickled"):
        duplicate(library.KeyRing())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_ring_cannot_be_pickled(library: SimpleNamespace, protocol: int) -> None:
    """No protocol gets round it."""
    with pytest.raises(TypeError, match="KeyRing holds secrets"):
        pickle.dumps(library.KeyRing(), protocol)


def test_ring_is_final(library: SimpleNamespace) -> None:
    """No subclass can look into it."""
    with pytest.raises(TypeError):
        type("Other", (library.KeyRing,), {})


def test_ring_keeps_its_own_copy_of_a_secret(library: SimpleNamespace) -> None:
    """The caller may overwrite the buffer that held the secret."""
    ring, secret = library.KeyRing(), bytearray(A)
    ring.add(secret)
    codec = library.SigilCodec(ring)
    sigil = codec.encode(1, tenant="t")
    secret[:] = bytes(32)
    codec.verify(sigil, 1, tenant="t")
    assert codec.decode(codec.encode(1, tenant="t")).key_id == key_id_of(A)


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("_keyring", lambda native: native.KeyRing().add(A)),
        ("_keyring", lambda native: native.KeyRing().rotate(A.decode())),
        ("_keyring", lambda native: native.KeyRing().add(A, retire_at=-1)),
        ("_signature", lambda native: native.sign_event({}, A)),
        ("_hashing", lambda native: native.HmacKey(A)),
    ],
)
def test_copies_of_secrets_are_wiped(
    monkeypatch: pytest.MonkeyPatch, module: str, use: Callable[[SimpleNamespace], object]
) -> None:
    """The compiled backend overwrites what it copied, also where it then refuses."""
    copies: list[bytes] = []

    def copied(secret: object) -> bytes:
        copies.append(secret_bytes(secret))
        return copies[-1]

    monkeypatch.setattr(f"sigil_native.{module}.secret_bytes", copied)
    with suppress(InvalidOptionError):
        use(load_backend("native"))
    assert copies == [bytes(32)]


def test_ring_changes_while_threads_use_it(library: SimpleNamespace) -> None:
    """Rotations in one thread and seals in others do not disturb each other."""
    ring = library.KeyRing()
    ring.add(A)
    codec = library.SigilCodec(ring)
    failures: list[BaseException] = []

    def seal() -> None:
        try:
            for number in range(200):
                codec.verify(codec.encode(number, tenant="t"), number, tenant="t")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        ring.rotate(f"{number:032d}")
    for thread in threads:
        thread.join()
    assert not failures
    assert len(ring) == 51
