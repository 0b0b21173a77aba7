"""Both backends hash and sign alike."""

from __future__ import annotations

import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parity.outcomes import NATIVE, PURE, assert_same, outcome
from tests.parity.strategies import python_values
from tests.sigils import SECRET

blobs = st.binary(max_size=300) | st.integers(0, 5000).map(lambda size: b"x" * size)
no_bytes: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        1,
        "text",
        [],
        memoryview(b"abcd")[::2],
        array.array("I", [1, 2]),
        memoryview(b"abcd").cast("B", (2, 2)),
    ]
)
secrets: st.SearchStrategy[Any] = (
    st.binary(max_size=80) | st.text(max_size=50) | st.sampled_from([None, 1, [], "\ud800" * 40, SECRET])
)


@given(data=blobs | no_bytes)
def test_sha256(data: Any) -> None:
    """Digests are the same."""
    assert_same("sha256", data)


@given(secret=blobs | no_bytes, data=blobs | no_bytes)
def test_hmac_sha256(secret: Any, data: Any) -> None:
    """Tags are the same for secrets of any length."""
    assert_same("hmac_sha256", secret, data)


@given(
    secret=blobs | no_bytes,
    salt=blobs | no_bytes,
    info=blobs | no_bytes,
    length=st.integers(-1, 8200) | st.sampled_from([None, 1.0, True, "1"]),
)
def test_hkdf_sha256(secret: Any, salt: Any, info: Any, length: Any) -> None:
    """Derived bytes are the same."""
    assert_same("hkdf_sha256", secret, salt=salt, info=info, length=length)


@given(secret=secrets, data=blobs | no_bytes, tag=st.binary(max_size=40) | no_bytes)
def test_hmac_key(secret: Any, data: Any, tag: Any) -> None:
    """A key is refused alike, or signs and verifies alike."""
    keys = [outcome(lambda lib=lib: repr(lib.HmacKey(secret))) for lib in (NATIVE, PURE)]
    assert keys[0] == keys[1]
    if keys[0][0] == "error":
        return
    native, pure = NATIVE.HmacKey(secret), PURE.HmacKey(secret)
    for name in ("digest", "hexdigest"):
        assert outcome(getattr(native, name), data) == outcome(getattr(pure, name), data)
    assert outcome(native.verify, data, tag) == outcome(pure.verify, data, tag)
    if isinstance(data, bytes):
        assert native.verify(data, pure.digest(data))
        assert pure.verify(data, native.digest(data))


@given(messages=st.lists(blobs, max_size=40) | st.lists(blobs | no_bytes, max_size=3) | st.just(None))
def test_digest_many(messages: Any) -> None:
    """Many tags are the same as one at a time."""
    native, pure = (outcome(library.HmacKey(SECRET).digest_many, messages) for library in (NATIVE, PURE))
    if messages is not None:
        assert native == pure
    assert native[0] == pure[0]


@given(
    payload=python_values,
    key=st.just(SECRET) | secrets,
    text=st.sampled_from(["jcs", "json-stringify", "jcs", "json-stringify", "x", None, [], b"jcs"]),
    signature=st.sampled_from(["", "a" * 64, b"0" * 64, "A" * 64, "é" * 64, None, 1, "\ud800"]),
)
def test_event_signatures(payload: object, key: Any, text: Any, signature: Any) -> None:
    """Events are signed, verified and refused alike."""
    signed = assert_same("sign_event", payload, key, text=text)
    assert_same("verify_event", payload, signature, key, text=text)
    if signed[0] is str:
        for spelling in (signed[1], signed[1].encode(), signed[1].upper(), signed[1] + "\n", signed[1][:-1]):
            assert_same("verify_event", payload, spelling, key, text=text)


@pytest.mark.parametrize("text", ["jcs", "json-stringify"])
def test_keys_that_are_prepared(text: str) -> None:
    """An HmacKey signs as its secret does."""
    signatures = {
        library.sign_event({"b": 1, "2": [1.5]}, key, text=text)
        for library in (NATIVE, PURE)
        for key in (SECRET, library.HmacKey(SECRET))
    }
    assert len(signatures) == 1
