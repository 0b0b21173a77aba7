"""Sealing and verifying one payload: every refusal, in its order."""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import (
    InvalidExpiryError,
    InvalidOptionError,
    InvalidTenantError,
    JsonSyntaxError,
    NestingTooDeepError,
    NoActiveKeyError,
    UnknownKeyError,
    UnsupportedTypeError,
)
from tests.backends import load_backend
from tests.sigils import (
    CANONICAL,
    PAYLOAD,
    SECRET,
    TENANT,
    as_strand,
    as_text,
    as_token,
    make_sigil,
    refusal,
    ring_of,
)


@pytest.fixture
def codec(library: SimpleNamespace) -> Any:
    """A codec with the one key of these tests."""
    return library.SigilCodec(ring_of(library))


# -- sealing -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "strand", "token", "binary"])
@pytest.mark.parametrize("door", ["encode", "encode_json"])
def test_seal_is_what_the_format_says(codec: Any, form: str, door: str) -> None:
    """Tag, header and form are those that hashlib and hmac give by hand."""
    payload = PAYLOAD if door == "encode" else b' {"b":[1,25e-1,"\\u00e9"],"a":null}'
    before = time.time_ns() // 1_000_000
    result = getattr(codec, door)(payload, tenant=TENANT, form=form, expires_in=1.5)
    after = time.time_ns() // 1_000_000
    sigil = codec.decode(result)
    assert before <= sigil.issued_at_ms <= after + 1
    assert sigil.expires_at_ms == sigil.issued_at_ms + 1500
    raw = make_sigil(CANONICAL, expires_ms=sigil.expires_at_ms, identifier=sigil.header[16:])
    forms = {
        "text": as_text(raw),
        "strand": as_strand(raw),
        "token": as_token(raw, CANONICAL),
        "binary": raw,
    }
    assert result == forms[form]
    assert type(result) is type(forms[form])


def test_text_is_the_default_form_and_never_the_default_expiry(codec: Any) -> None:
    """Without options the result is text that does not expire."""
    result = codec.encode(PAYLOAD, tenant=TENANT)
    assert result.startswith("sgl1_")
    assert codec.decode(result).expires_at is None


@pytest.mark.parametrize("tenant", ["a", "é" * 64, "x" * 128, "\x00", "a b/c"])
def test_tenants_of_1_to_128_bytes(codec: Any, tenant: str) -> None:
    """A tenant is any text of 1 to 128 bytes, and its sigils verify for it."""
    codec.verify(codec.encode(1, tenant=tenant), 1, tenant=tenant)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"tenant": ""}, InvalidTenantError, "a tenant has 1 to 128 bytes of UTF-8"),
        ({"tenant": "x" * 129}, InvalidTenantError, "a tenant has 1 to 128 bytes of UTF-8"),
        ({"tenant": "é" * 65}, InvalidTenantError, "a tenant has 1 to 128 bytes of UTF-8"),
        ({"tenant": "\ud800"}, InvalidTenantError, "a tenant has 1 to 128 bytes of UTF-8"),
        ({"tenant": b"acme"}, TypeError, "tenant must be str, not bytes"),
        ({"tenant": None}, TypeError, "tenant must be str, not NoneType"),
        ({"expires_in": 0}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": 0.0005}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": -1}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": math.nan}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": math.inf}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": 253402300799}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": 1e300}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": 10**400}, InvalidExpiryError, "expires_in is out of range"),
        ({"expires_in": True}, TypeError, "expires_in must be a number of seconds or None, not bool"),
        ({"expires_in": "60"}, TypeError, "expires_in must be a number of seconds or None, not str"),
        ({"form": "hex"}, InvalidOptionError, 'form must be "text", "strand", "token" or "binary"'),
        ({"form": None}, InvalidOptionError, 'form must be "text", "strand", "token" or "binary"'),
        ({"form": ["text"]}, InvalidOptionError, 'form must be "text", "strand", "token" or "binary"'),
    ],
)
def test_bad_options_of_encode(
    codec: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """Each bad option has its error, before the payload is looked at."""
    for call in (codec.encode, codec.encode_json, codec.encode_many, codec.encode_ndjson):
        bad_payload: Any = [b"{"] if call == codec.encode_many else b"{"
        if call == codec.encode_ndjson and "form" in options:
            message = 'form must be "text", "strand" or "token"'
        with pytest.raises(kind) as caught:
            call(bad_payload, **{"tenant": TENANT, **options})
        assert type(caught.value) is kind
        assert str(caught.value) == message


def test_order_of_checks_in_encode(library: SimpleNamespace) -> None:
    """Tenant, expiry, form, payload, key: the first that is wrong is told."""
    codec = library.SigilCodec(library.KeyRing())
    bad = object()
    assert isinstance(
        refusal(lambda: codec.encode(bad, tenant="", expires_in=0, form="x")), InvalidTenantError
    )
    assert isinstance(
        refusal(lambda: codec.encode(bad, tenant="t", expires_in=0, form="x")), InvalidExpiryError
    )
    assert isinstance(refusal(lambda: codec.encode(bad, tenant="t", form="x")), InvalidOptionError)
    assert isinstance(refusal(lambda: codec.encode(bad, tenant="t")), UnsupportedTypeError)
    assert isinstance(refusal(lambda: codec.encode_json(b"{", tenant="t")), JsonSyntaxError)
    assert isinstance(refusal(lambda: codec.encode(1, tenant="t")), NoActiveKeyError)
    assert isinstance(refusal(lambda: codec.encode_json(b"1", tenant="t")), NoActiveKeyError)


def test_longest_lifetime_ends_with_the_year_9999(codec: Any) -> None:
    """The last moment that a sigil can hold is accepted, within a second of it."""
    longest = 253402300799 - int(time.time()) - 1
    sigil = codec.decode(codec.encode(1, tenant="t", expires_in=longest))
    assert 253402300799_999 - 3000 <= sigil.expires_at_ms <= 253402300799_999
    refusal(lambda: codec.encode(1, tenant="t", expires_in=longest + 3))


def test_one_millisecond_is_the_shortest_lifetime(codec: Any) -> None:
    """Lifetimes count in whole milliseconds, the nearest."""
    for seconds, milliseconds in ((0.001, 1), (0.0019999, 2), (1, 1000), (1.001, 1001), (2.5, 2500)):
        sigil = codec.decode(codec.encode(1, tenant="t", expires_in=seconds))
        assert sigil.expires_at_ms - sigil.issued_at_ms == milliseconds


@pytest.mark.parametrize("text", [None, 1, [b"1"], {"a": 1}])
def test_json_text_is_text(codec: Any, text: Any) -> None:
    """encode_json and verify_json take text, and nothing else."""
    message = f"text must be str or bytes-like, not {type(text).__name__}"
    with pytest.raises(TypeError, match=message):
        codec.encode_json(text, tenant="t")
    with pytest.raises(TypeError, match=message):
        codec.verify_json(make_sigil(b"1"), text, tenant="t")


# -- options of the codec ----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"max_future_skew": -1}, InvalidOptionError, "max_future_skew is out of range"),
        ({"max_future_skew": math.nan}, InvalidOptionError, "max_future_skew is out of range"),
        ({"max_future_skew": math.inf}, InvalidOptionError, "max_future_skew is out of range"),
        ({"max_future_skew": None}, TypeError, "max_future_skew must be a number of seconds, not NoneType"),
        ({"max_future_skew": True}, TypeError, "max_future_skew must be a number of seconds, not bool"),
        ({"integers": "big"}, InvalidOptionError, 'integers must be "safe" or "exact"'),
        ({"max_depth": 0}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": 2049}, InvalidOptionError, "max_depth must be between 1 and 2048"),
        ({"max_depth": True}, TypeError, "max_depth must be int, not bool"),
        ({"max_bytes": -1}, InvalidOptionError, "max_bytes must not be negative"),
        ({"max_bytes": 1.0}, TypeError, "max_bytes must be int or None, not float"),
    ],
)
def test_bad_options_of_the_codec(
    library: SimpleNamespace, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """Each option is judged when the codec is made."""
    with pytest.raises(kind) as caught:
        library.SigilCodec(library.KeyRing(), **options)
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_codec_takes_a_ring(library: SimpleNamespace) -> None:
    """Anything else in the ring's place is the caller's mistake."""
    with pytest.raises(TypeError, match="ring must be KeyRing, not bytes"):
        library.SigilCodec(SECRET)


def test_codec_that_was_never_initialised_has_no_key() -> None:
    """``__new__`` alone makes a codec of the compiled backend that refuses, not one that crashes."""
    native = load_backend("native")
    codec = native.SigilCodec.__new__(native.SigilCodec)
    for _ in range(2):
        assert isinstance(refusal(lambda: codec.encode(1, tenant="t")), NoActiveKeyError)
    assert isinstance(refusal(lambda: codec.encode_many([1], tenant="t")), NoActiveKeyError)
    assert isinstance(
        refusal(lambda: codec.verify(as_text(make_sigil(CANONICAL)), 1, tenant="t")), UnknownKeyError
    )
    codec = native.SigilCodec(native.KeyRing.__new__(native.KeyRing))
    for _ in range(2):
        assert isinstance(refusal(lambda: codec.encode(1, tenant="t")), NoActiveKeyError)


def test_options_concern_the_payload(library: SimpleNamespace) -> None:
    """Integers, depth and size are limited as the codec was told."""
    ring = ring_of(library)
    exact = library.SigilCodec(ring, integers="exact")
    token = exact.encode(2**64, tenant="t", form="token")
    assert exact.verify_token(token, tenant="t")[1] == b"18446744073709551616"
    shallow = library.SigilCodec(ring, max_depth=1)
    shallow.encode([1], tenant="t")
    assert isinstance(refusal(lambda: shallow.encode([[1]], tenant="t")), NestingTooDeepError)
    assert isinstance(refusal(lambda: shallow.encode_json("[[1]]", tenant="t")), NestingTooDeepError)
    small = library.SigilCodec(ring, max_bytes=3)
    small.encode_json("[1]", tenant="t")
    error = refusal(lambda: small.encode_json("[1] ", tenant="t"))
    assert (error.code, str(error)) == ("document_too_large", "document too large (byte 3)")
    assert refusal(lambda: small.encode([12], tenant="t")).code == "document_too_large"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_codec_cannot_be_copied(codec: Any, duplicate: Callable[[object], object]) -> None:
    """A codec leads to secrets."""
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        duplicate(codec)


def test_repr_of_the_codec(codec: Any) -> None:
    """The repr tells the number of keys, no more."""
    assert repr(codec) == "<SigilCodec with <KeyRing of 1 key>>"
