"""Verifying one sigil or token: every refusal, in its order."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import (
    InvalidOptionError,
    InvalidTenantError,
    IssuedInFutureError,
    KeyNotYetValidError,
    NestingTooDeepError,
    NoActiveKeyError,
    NonFiniteNumberError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    SigilFormatError,
    TagMismatchError,
    UnknownKeyError,
)
from tests.backends import load_backend
from tests.sigils import (
    CANONICAL,
    ISSUED_MS,
    NOW,
    PAYLOAD,
    SECRET,
    TENANT,
    as_strand,
    as_text,
    as_token,
    base64url,
    key_id_of,
    make_id,
    make_sigil,
    refusal,
    ring_of,
)

OTHER = b"B" * 32


@pytest.fixture
def codec(library: SimpleNamespace) -> Any:
    """A codec with the one key of these tests."""
    return library.SigilCodec(ring_of(library))


# -- verifying ---------------------------------------------------------------------


@pytest.mark.parametrize("spell", [bytes, as_text, as_strand])
def test_sigil_made_by_hand_verifies(codec: Any, spell: Callable[[bytes], Any]) -> None:
    """What hashlib and hmac sealed verifies in each form, by value and by text."""
    raw = make_sigil(CANONICAL)
    sigil = codec.verify(spell(raw), PAYLOAD, tenant=TENANT, now=NOW)
    assert bytes(sigil) == raw
    assert codec.verify_json(spell(raw), CANONICAL, tenant=TENANT, now=NOW) == sigil
    assert codec.verify(sigil, PAYLOAD, tenant=TENANT, now=NOW) == sigil


def test_token_made_by_hand_verifies(codec: Any) -> None:
    """A token verifies by itself, and with the payload that it carries."""
    raw = make_sigil(CANONICAL)
    token = as_token(raw, CANONICAL)
    sigil, payload = codec.verify_token(token, tenant=TENANT, now=NOW)
    assert (bytes(sigil), payload) == (raw, CANONICAL)
    assert codec.verify(token, PAYLOAD, tenant=TENANT, now=NOW) == sigil
    assert codec.verify_token(token.encode(), tenant=TENANT, now=NOW) == (sigil, payload)


def test_clock_of_the_system_is_the_default(codec: Any) -> None:
    """Without now, the clock decides."""
    sigil = codec.encode(1, tenant="t", expires_in=0.5)
    codec.verify(sigil, 1, tenant="t")
    time.sleep(0.51)
    assert isinstance(refusal(lambda: codec.verify(sigil, 1, tenant="t")), SigilExpiredError)


def test_any_changed_byte_is_noticed(codec: Any) -> None:
    """No byte of a sigil can change: version, reserved, id, and whatever the tag covers."""
    raw = make_sigil(CANONICAL)
    for position in range(64):
        for bit in (0x01, 0x80):
            changed = raw[:position] + bytes([raw[position] ^ bit]) + raw[position + 1 :]
            error = refusal(lambda changed=changed: codec.verify(changed, PAYLOAD, tenant=TENANT, now=NOW))  # type: ignore[misc]
            assert isinstance(error, (SigilFormatError, UnknownKeyError, TagMismatchError))


@pytest.mark.parametrize(
    "payload", [None, {}, {"b": [1, 2.5, "é"]}, {"b": [1, 2.5, "e"], "a": None}, [PAYLOAD]]
)
def test_other_payload_is_noticed(codec: Any, payload: Any) -> None:
    """Only the sealed payload verifies."""
    error = refusal(lambda: codec.verify(make_sigil(CANONICAL), payload, tenant=TENANT, now=NOW))
    assert isinstance(error, TagMismatchError)


@pytest.mark.parametrize("tenant", ["acmf", "Acme", "acme ", "a"])
def test_other_tenant_is_noticed(codec: Any, tenant: str) -> None:
    """A sigil of one tenant never verifies for another."""
    error = refusal(lambda: codec.verify(make_sigil(CANONICAL), PAYLOAD, tenant=tenant, now=NOW))
    assert isinstance(error, TagMismatchError)


@pytest.mark.parametrize(
    ("ring_options", "expires_ms", "now", "kind"),
    [
        ({"state": "verify-only"}, 0, NOW, None),
        ({"state": "revoked"}, 0, NOW, RevokedKeyError),
        ({"state": "revoked", "not_before": NOW + 9, "retire_at": NOW - 9}, 0, NOW, RevokedKeyError),
        ({"not_before": NOW}, 0, NOW, None),
        ({"not_before": NOW}, 0, NOW - 0.002, KeyNotYetValidError),
        ({"not_before": NOW + 9, "retire_at": NOW - 9}, 0, NOW, KeyNotYetValidError),
        ({"retire_at": NOW}, 0, NOW - 0.002, None),
        ({"retire_at": NOW}, 0, NOW, RetiredKeyError),
        ({"retire_at": NOW + 99}, 0, NOW + 100, RetiredKeyError),
        ({}, 0, ISSUED_MS / 1000 - 59, None),
        ({}, 0, ISSUED_MS / 1000 - 61, IssuedInFutureError),
        ({}, 0, 0, IssuedInFutureError),
        ({}, 0, 253402300799, None),
        ({}, ISSUED_MS + 1000, ISSUED_MS / 1000 + 0.99, None),
        ({}, ISSUED_MS + 1000, ISSUED_MS / 1000 + 1.01, SigilExpiredError),
        ({}, ISSUED_MS - 70_000, ISSUED_MS / 1000 - 65, IssuedInFutureError),
        ({}, 2**64 - 1, NOW, None),
        ({}, 2**63, NOW, None),
        ({}, 1, NOW, SigilExpiredError),
    ],
)
def test_keys_and_times_are_judged_by_the_verifiers_clock(
    library: SimpleNamespace, ring_options: dict[str, Any], expires_ms: int, now: float, kind: type | None
) -> None:
    """A key is valid from not_before to before retire_at; a sigil until before its expiry."""
    codec = library.SigilCodec(ring_of(library, **ring_options))
    raw = make_sigil(CANONICAL, expires_ms=expires_ms)
    if kind is None:
        codec.verify(raw, PAYLOAD, tenant=TENANT, now=now)
        return
    error = refusal(lambda: codec.verify(raw, PAYLOAD, tenant=TENANT, now=now))
    assert type(error) is kind
    assert bytes(error.sigil) == raw  # type: ignore[attr-defined]


@pytest.mark.parametrize(("skew", "ahead_ms"), [(0, 0), (0.5, 500), (60, 60_000), (1e6, 1_000_000_000)])
def test_limit_of_the_future_skew(library: SimpleNamespace, skew: float, ahead_ms: int) -> None:
    """A time of issue just at the limit is accepted, a millisecond beyond it is not."""
    codec = library.SigilCodec(ring_of(library), max_future_skew=skew)
    base = 1_700_000_000
    at_limit = make_sigil(b"1", identifier=make_id(base * 1000 + ahead_ms))
    codec.verify(at_limit, 1, tenant=TENANT, now=base)
    beyond = make_sigil(b"1", identifier=make_id(base * 1000 + ahead_ms + 1))
    assert isinstance(refusal(lambda: codec.verify(beyond, 1, tenant=TENANT, now=base)), IssuedInFutureError)


def test_order_of_checks_in_verify(library: SimpleNamespace) -> None:
    """Tenant, now, shape, payload, key, tag, issue, expiry: the first that is wrong is told."""
    ring = library.KeyRing()
    codec = library.SigilCodec(ring)
    raw = make_sigil(b"1", expires_ms=ISSUED_MS - 100_000)
    early = ISSUED_MS / 1000 - 90
    calls: list[tuple[type, tuple[Any, ...], dict[str, Any]]] = [
        (InvalidTenantError, ("x", math.nan), {"tenant": "", "now": -1}),
        (InvalidOptionError, ("x", math.nan), {"tenant": "t", "now": -1}),
        (SigilFormatError, ("x", math.nan), {"tenant": "t", "now": early}),
        (NonFiniteNumberError, (raw, math.nan), {"tenant": "t", "now": early}),
        (UnknownKeyError, (raw, 2), {"tenant": "t", "now": early}),
    ]
    for kind, arguments, options in calls:
        assert type(refusal(lambda a=arguments, o=options: codec.verify(*a, **o))) is kind  # type: ignore[misc]
    ring.add(SECRET)
    assert type(refusal(lambda: codec.verify(raw, 2, tenant=TENANT, now=early))) is TagMismatchError
    assert type(refusal(lambda: codec.verify(raw, 1, tenant=TENANT, now=early))) is IssuedInFutureError
    assert type(refusal(lambda: codec.verify(raw, 1, tenant=TENANT, now=NOW))) is SigilExpiredError


@pytest.mark.parametrize(
    ("now", "kind", "message"),
    [
        (-0.001, InvalidOptionError, "now is out of range"),
        (253402300800, InvalidOptionError, "now is out of range"),
        (math.nan, InvalidOptionError, "now is out of range"),
        (math.inf, InvalidOptionError, "now is out of range"),
        ("0", TypeError, "now must be a number of seconds or None, not str"),
        (False, TypeError, "now must be a number of seconds or None, not bool"),
    ],
)
def test_bad_now(codec: Any, now: Any, kind: type[Exception], message: str) -> None:
    """The verifier's clock is a number of seconds, whoever asks."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: codec.verify(b"", 1, tenant="t", now=now),
        lambda: codec.verify_json(b"", b"", tenant="t", now=now),
        lambda: codec.verify_token(b"", tenant="t", now=now),
        lambda: codec.verify_many([], [], tenant="t", now=now),
        lambda: codec.verify_ndjson(b"", tenant="t", now=now),
    )
    for call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind
        assert str(caught.value) == message


def test_one_key_of_many_is_found_by_its_id(library: SimpleNamespace) -> None:
    """Each sigil is judged by its own key; other keys' states do not matter."""
    ring = library.KeyRing()
    ring.add(OTHER, "revoked")
    ring.add(SECRET, "verify-only")
    codec = library.SigilCodec(ring)
    assert codec.verify(make_sigil(CANONICAL), PAYLOAD, tenant=TENANT, now=NOW).key_id == key_id_of(SECRET)
    other = make_sigil(CANONICAL, secret=OTHER)
    assert isinstance(refusal(lambda: codec.verify(other, PAYLOAD, tenant=TENANT, now=NOW)), RevokedKeyError)


# -- tokens ------------------------------------------------------------------------


def test_token_with_other_payload_is_refused(codec: Any) -> None:
    """A token must carry what its seal covers, and what the caller holds against it."""
    raw = make_sigil(CANONICAL)
    forged = as_token(raw, b'{"a":1}')
    assert isinstance(refusal(lambda: codec.verify_token(forged, tenant=TENANT, now=NOW)), TagMismatchError)
    # The caller's payload is the sealed one, the token's is not.
    assert isinstance(
        refusal(lambda: codec.verify(forged, PAYLOAD, tenant=TENANT, now=NOW)), TagMismatchError
    )
    error = refusal(lambda: codec.verify_json(forged, CANONICAL, tenant=TENANT, now=NOW))
    assert isinstance(error, TagMismatchError)


def test_other_payload_of_a_token_comes_before_its_times(codec: Any) -> None:
    """A token's payload is part of the tag's check, before issue time and expiry."""
    forged = as_token(make_sigil(CANONICAL, expires_ms=1), b"1")
    assert isinstance(
        refusal(lambda: codec.verify(forged, PAYLOAD, tenant=TENANT, now=NOW)), TagMismatchError
    )


@pytest.mark.parametrize(
    "payload",
    [b'{"b":1,"a":2}', b" 1", b"1.0", b'"\\u0041"', b"{", b"\xff", b'{"a":1,"a":2}'],
)
def test_sealed_payload_that_is_not_canonical_is_refused(codec: Any, payload: bytes) -> None:
    """Whoever holds the key could seal any bytes; a token's payload is canonical JSON."""
    error = refusal(
        lambda: codec.verify_token(as_token(make_sigil(payload), payload), tenant=TENANT, now=NOW)
    )
    assert isinstance(error, SigilFormatError)
    assert error.problem == "payload"
    assert error.__cause__ is None


@pytest.mark.parametrize("payload", [1e16, -1e20, [9007199254740992.0], 2.0**69, 1e21, 1.5e300])
def test_large_floats_travel_in_tokens(codec: Any, payload: Any) -> None:
    """A float that is written without point or exponent is still canonical when it comes back."""
    token = codec.encode(payload, tenant=TENANT, form="token")
    sigil, canonical = codec.verify_token(token, tenant=TENANT)
    line = b'{"sigil":"%s","data":%s}' % (sigil.text.encode(), json.dumps(payload).encode())
    assert b'"valid":true' in codec.verify_ndjson(line, tenant=TENANT)
    assert codec.verify(token, payload, tenant=TENANT) == sigil
    assert json.loads(canonical, parse_int=float) == payload


def test_token_deeper_than_the_limit(library: SimpleNamespace) -> None:
    """A good token that this codec may not read says that it is too deep, not that it is wrong."""
    token = library.SigilCodec(ring_of(library)).encode([[1]], tenant=TENANT, form="token")
    codec = library.SigilCodec(ring_of(library), max_depth=1)
    assert isinstance(refusal(lambda: codec.verify_token(token, tenant=TENANT)), NestingTooDeepError)


def test_canonical_form_may_be_longer_than_the_limit(library: SimpleNamespace) -> None:
    """A limit on what is sealed does not refuse what came of it."""
    codec = library.SigilCodec(ring_of(library), max_bytes=220)
    text = b"[" + b",".join([b"1e20"] * 18) + b"]"
    token = codec.encode_json(text, tenant=TENANT, form="token")
    sigil, canonical = codec.verify_token(token, tenant=TENANT)
    assert len(canonical) > 220
    line = b'{"sigil":"%s","data":%s}' % (sigil.text.encode(), text)
    assert b'"valid":true' in codec.verify_ndjson(line, tenant=TENANT)


def test_a_sigil_expires_at_the_moment_it_names(codec: Any) -> None:
    """The float that expires_at gives is the moment of expiry, not the millisecond before."""
    for lifetime in range(1, 400):
        sigil = codec.verify(codec.encode(1, tenant=TENANT, expires_in=lifetime * 1.001), 1, tenant=TENANT)
        assert sigil.expires_at is not None
        error = refusal(lambda: codec.verify(sigil, 1, tenant=TENANT, now=sigil.expires_at))  # noqa: B023
        assert isinstance(error, SigilExpiredError)


def test_payload_of_a_token_is_judged_last(codec: Any) -> None:
    """An expired token is expired, whatever it carries."""
    token = as_token(make_sigil(b"{", expires_ms=1), b"{")
    assert isinstance(refusal(lambda: codec.verify_token(token, tenant=TENANT, now=NOW)), SigilExpiredError)


@pytest.mark.parametrize("spell", [bytes, as_text, as_strand])
def test_other_forms_are_no_tokens(codec: Any, spell: Callable[[bytes], Any]) -> None:
    """verify_token needs the payload."""
    error = refusal(lambda: codec.verify_token(spell(make_sigil(CANONICAL)), tenant=TENANT, now=NOW))
    assert isinstance(error, SigilFormatError)
    assert error.problem == "token"


def test_payload_of_a_token_may_be_large(codec: Any) -> None:
    """A token's payload has no limit of its own."""
    payload = {str(number): "x" * 1000 for number in range(300)}
    token = codec.encode(payload, tenant="t", form="token")
    sigil, canonical = codec.verify_token(token, tenant="t")
    assert codec.verify(sigil, payload, tenant="t") == sigil
    assert token.endswith("." + base64url(canonical))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.unsanitized
def test_memory_of_a_refused_payload_is_given_back() -> None:
    """A thread keeps no large payload until its next success."""

    def resident() -> int:
        with Path("/proc/self/statm").open() as figures:
            return int(figures.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    native = load_backend("native")
    codec, empty = native.SigilCodec(ring_of(native)), native.SigilCodec(native.KeyRing())
    sigil, payload, text = make_sigil(CANONICAL), ["x" * (48 << 20)], '["' + "x" * (48 << 20) + '"]'
    attempts: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: codec.verify(sigil, payload, tenant=TENANT), TagMismatchError),
        (lambda: codec.verify_json(sigil, text, tenant=TENANT), TagMismatchError),
        (lambda: codec.encode([payload, math.nan], tenant=TENANT), NonFiniteNumberError),
        (lambda: empty.encode_json(text, tenant=TENANT), NoActiveKeyError),
    ]
    before = resident()
    for attempt, kind in attempts:
        assert isinstance(refusal(attempt), kind)
        assert resident() - before < 16 << 20
