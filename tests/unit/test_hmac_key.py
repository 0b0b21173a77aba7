"""HmacKey and the functions beside it: the same behaviour from both backends."""

from __future__ import annotations

import array
import copy
import hashlib
import hmac
import importlib
import importlib.util
import pickle
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.errors import InvalidOptionError, WeakSecretError

SECRET = bytes(range(40))
# Sizes on both sides of every place where padding or blocks change.
EDGES = sorted({64 * blocks + rest for blocks in range(6) for rest in (0, 1, 54, 55, 56, 57, 62, 63)})


def _module(name: str) -> Any:
    return pytest.param(
        name,
        id=name.removeprefix("sigil_native."),
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name) is None and "_pure" in name, reason=f"no {name} yet"
        ),
    )


@pytest.fixture(
    params=[_module("sigil_native._hashing"), _module("sigil_native._pure.hashing")], scope="module"
)
def hashing(request: pytest.FixtureRequest) -> Any:
    """The hashing module of a backend."""
    return importlib.import_module(request.param)


@pytest.fixture
def key(hashing: Any) -> Any:
    """A key made from SECRET."""
    return hashing.HmacKey(SECRET)


def readers(key: Any) -> list[Callable[[Any], object]]:
    """Every call that reads a message, as a function of the message alone."""
    return [
        key.digest,
        key.hexdigest,
        lambda data: key.verify(data, b""),
        lambda data: key.digest_many([data]),
    ]


def reference(data: bytes, secret: bytes = SECRET) -> bytes:
    """The tag as the standard library computes it."""
    return hmac.digest(secret, data, "sha256")


# -- tags --------------------------------------------------------------------------


def test_digest_at_block_edges(key: Any) -> None:
    """Messages that end anywhere around a block's edge get the standard library's tag."""
    for size in EDGES:
        data = random.Random(size).randbytes(size)
        assert (size, key.digest(data)) == (size, reference(data))
        assert key.hexdigest(data) == reference(data).hex()


@given(secret=st.binary(min_size=32, max_size=200), data=st.binary(max_size=400))
def test_digest_of_any_message(hashing: Any, secret: bytes, data: bytes) -> None:
    """Any key and message give the standard library's tag, and verify it."""
    key = hashing.HmacKey(secret)
    assert key.digest(data) == reference(data, secret)
    assert key.verify(data, reference(data, secret)) is True


@given(data=st.binary(max_size=400), secret=st.binary(max_size=200))
def test_functions_on_every_kernel(hashing: Any, data: bytes, secret: bytes) -> None:
    """Each kernel gives what hashlib and hmac give, with keys of any length."""
    for kernel in (None, *hashing.kernels()):
        assert hashing.sha256(data, kernel=kernel) == hashlib.sha256(data).digest()
        assert hashing.hmac_sha256(secret, data, kernel=kernel) == reference(data, secret)


@pytest.mark.parametrize("size", [2047, 2048, 2049, 100_000, 3_000_001])
def test_long_messages(hashing: Any, key: Any, size: int) -> None:
    """Sizes for which the GIL is released give the same tags."""
    data = random.Random(size).randbytes(size)
    assert key.digest(data) == reference(data)
    for kernel in hashing.kernels():
        assert hashing.sha256(data, kernel=kernel) == hashlib.sha256(data).digest()


def test_a_str_secret_is_its_utf8(hashing: Any) -> None:
    """A secret given as text is the secret of its UTF-8 bytes."""
    text = "schlüssel " * 4
    assert hashing.HmacKey(text).digest(b"data") == reference(b"data", text.encode())


# -- batches -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 15, 16, 17, 255, 256, 257, 600])
def test_batches_of_mixed_sizes(key: Any, count: int) -> None:
    """A batch's tags come in the order of its messages, whatever their sizes."""
    source = random.Random(count)
    messages = [source.randbytes(source.choice([0, 55, 56, 64, 200, 1000, 4000, 9000])) for _ in range(count)]
    assert key.digest_many(messages) == [reference(message) for message in messages]


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_batches_of_any_messages(hashing: Any, messages: list[bytes]) -> None:
    """A batch gives what its messages give one at a time."""
    key = hashing.HmacKey(SECRET)
    assert key.digest_many(messages) == [key.digest(message) for message in messages]


def test_batches_of_very_long_messages(key: Any) -> None:
    """Messages beyond the sizes that are sorted by counting are paired rightly too."""
    messages = [bytes([size & 255]) * size for size in (20_000, 8_200, 64, 50_000, 8_100, 9_999, 8_200)]
    assert key.digest_many(messages) == [reference(message) for message in messages]


def test_batches_take_any_iterable_of_any_buffers(key: Any) -> None:
    """Generators, and bytes, bytearrays and views in one batch."""
    messages: list[Any] = [b"a", bytearray(b"bb"), memoryview(b"ccc"), array.array("H", [1, 2])]
    expected = [reference(bytes(memoryview(message))) for message in messages]
    assert key.digest_many(message for message in messages) == expected


def test_a_batch_lets_go_of_its_buffers(key: Any) -> None:
    """After a batch, also a refused one, a bytearray can be resized again."""
    data = bytearray(b"x" * 100)
    key.digest_many([data, data])
    with pytest.raises(TypeError):
        key.digest_many([data, "text"])
    data.append(0)


# -- buffers -----------------------------------------------------------------------


class _Bytes(bytes):
    """A subclass, for which the quick way in is not taken."""


@pytest.mark.parametrize(
    "wrap", [bytes, _Bytes, bytearray, memoryview, lambda data: memoryview(b"__" + data)[2:]]
)
@pytest.mark.parametrize("size", [0, 100, 5000])
def test_bytes_like_data(key: Any, wrap: Callable[[bytes], Any], size: int) -> None:
    """Everything bytes-like is read as the bytes it holds."""
    data = random.Random(size).randbytes(size)
    tag = reference(data)
    assert key.digest(wrap(data)) == tag
    assert key.verify(wrap(data), wrap(tag)) is True


def test_data_of_wider_items(key: Any) -> None:
    """A buffer of numbers is read as its bytes."""
    numbers = array.array("d", [1.5, -2.5])
    assert key.digest(numbers) == reference(numbers.tobytes())


def test_data_that_is_not_contiguous(key: Any) -> None:
    """A view with gaps is refused, in every place that takes bytes."""
    gaps = memoryview(bytes(range(64)))[::2]
    for call in readers(key):
        with pytest.raises(TypeError, match=r"^data must be contiguous$"):
            call(gaps)


def test_a_buffer_is_let_go(key: Any) -> None:
    """A bytearray can be resized after each kind of call."""
    data = bytearray(reference(b""))
    key.digest(data)
    key.hexdigest(data)
    key.verify(data, data)
    data.append(0)


# -- verification ------------------------------------------------------------------


def test_verify_finds_every_flipped_bit(key: Any) -> None:
    """No tag but the right one is accepted, wherever the difference is."""
    tag = reference(b"data")
    assert key.verify(b"data", tag) is True
    for bit in range(256):
        wrong = (int.from_bytes(tag, "big") ^ (1 << bit)).to_bytes(32, "big")
        assert key.verify(b"data", wrong) is False


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_verify_refuses_other_lengths(key: Any, size: int) -> None:
    """A tag cut short or extended is wrong, even if it begins rightly."""
    assert key.verify(b"data", (reference(b"data") * 2)[:size]) is False


def test_keys_do_not_verify_for_each_other(hashing: Any, key: Any) -> None:
    """The tag of one key is wrong for another."""
    assert hashing.HmacKey(b"y" * 32).verify(b"data", key.digest(b"data")) is False


# -- refusals ----------------------------------------------------------------------


@pytest.mark.parametrize("data", ["text", 5, None, ["list"]])
def test_data_of_wrong_type(key: Any, data: Any) -> None:
    """What is not bytes-like is refused by the name of its type."""
    message = rf"^data must be bytes-like, not {type(data).__name__}$"
    for call in readers(key):
        with pytest.raises(TypeError, match=message):
            call(data)


def test_tag_of_wrong_type(key: Any) -> None:
    """A tag as text is a caller's mistake, not a wrong tag."""
    with pytest.raises(TypeError, match=r"^tag must be bytes-like, not str$"):
        key.verify(b"data", key.hexdigest(b"data"))


def test_a_str_is_no_batch(key: Any) -> None:
    """Text is iterable, but not of messages."""
    with pytest.raises(TypeError, match=r"^data must be bytes-like, not str$"):
        key.digest_many("text")


@pytest.mark.parametrize("size", [0, 1, 31])
def test_short_secrets(hashing: Any, size: int) -> None:
    """Fewer than 32 bytes are refused, and the message tells the size only."""
    with pytest.raises(WeakSecretError, match=rf"^a secret has at least 32 bytes, this one has {size}$"):
        hashing.HmacKey(b"s" * size)


def test_secrets_of_wrong_type(hashing: Any) -> None:
    """A secret is str or bytes-like, and is given."""
    with pytest.raises(TypeError, match=r"^secret must be str or bytes-like, not int$"):
        hashing.HmacKey(5)
    with pytest.raises(TypeError):
        hashing.HmacKey()


def test_secrets_without_utf8(hashing: Any) -> None:
    """A lone surrogate has no UTF-8 form."""
    with pytest.raises(InvalidOptionError, match=r"^secret is not valid Unicode$"):
        hashing.HmacKey("\ud800" * 40)


# -- the object --------------------------------------------------------------------


def test_repr_tells_nothing(key: Any) -> None:
    """The text form holds neither the secret nor an address."""
    assert repr(key) == str(key) == "<HmacKey>"


def test_cannot_be_copied_or_pickled(key: Any) -> None:
    """No way out of the process for a key."""
    calls: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy]
    calls += [partial(pickle.dumps, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)]
    for call in calls:
        with pytest.raises(TypeError, match=r"^HmacKey holds a secret and cannot be copied or pickled$"):
            call(key)


def test_is_final(hashing: Any) -> None:
    """No subclass can get between a key and its use."""
    with pytest.raises(TypeError):
        type("Subclass", (hashing.HmacKey,), {})


def test_takes_no_attributes(key: Any) -> None:
    """A key is what its secret made it."""
    with pytest.raises(AttributeError):
        key.label = "mine"


def test_the_secret_stays_untouched(hashing: Any) -> None:
    """Wiping concerns the library's copies, never the caller's objects."""
    secrets: list[Any] = [b"s" * 40, bytearray(b"s" * 40), _Bytes(b"s" * 40)]
    text = "s" * 40
    for secret in (*secrets, text):
        hashing.HmacKey(secret)
    assert [bytes(secret) for secret in secrets] == [b"ssss" * 10] * 3
    assert text == "ssss" * 10


def test_a_subclass_of_str_counts_by_its_text(hashing: Any) -> None:
    """What its encode() would give is neither taken for the secret nor wiped."""

    class Odd(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return other

    other = b"o" * 40
    assert hashing.HmacKey(Odd("s" * 40)).digest(b"") == hashing.HmacKey("s" * 40).digest(b"")
    assert other == b"oooo" * 10


def test_threads_share_a_key(key: Any) -> None:
    """Many threads get the right tags from one key."""
    data = random.Random(1).randbytes(4096)
    messages = [data[:size] for size in range(0, 4096, 37)]
    expected = [reference(message) for message in messages]
    wrong: list[str] = []

    def work() -> None:
        for _ in range(5):
            if key.digest_many(messages) != expected or [key.digest(m) for m in messages] != expected:
                wrong.append(threading.current_thread().name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- functions ---------------------------------------------------------------------


def _expanded(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    # RFC 5869 §2.2 and §2.3, by the standard library.
    key = hmac.digest(salt, secret, "sha256")

    def parts() -> Iterator[bytes]:
        part = b""
        for number in range(1, 256):
            part = hmac.digest(key, part + info + bytes([number]), "sha256")
            yield part

    return b"".join(parts())[:length]


@given(
    secret=st.binary(max_size=100),
    salt=st.binary(max_size=100),
    info=st.binary(max_size=200),
    length=st.integers(1, 8160),
)
def test_hkdf(hashing: Any, secret: bytes, salt: bytes, info: bytes, length: int) -> None:
    """Any secret, salt, info and length give what the RFC's formulas give."""
    derived = hashing.hkdf_sha256(secret, salt=salt, info=info, length=length)
    assert derived == _expanded(secret, salt, info, length)


@pytest.mark.parametrize("length", [0, -1, 8161, 10**30])
def test_hkdf_lengths(hashing: Any, length: int) -> None:
    """Lengths that the RFC does not allow are refused."""
    with pytest.raises(InvalidOptionError, match=r"^length must be between 1 and 8160$"):
        hashing.hkdf_sha256(SECRET, salt=b"", info=b"", length=length)


@pytest.mark.parametrize(
    "call",
    [
        lambda hashing: hashing.sha256("text"),
        lambda hashing: hashing.hmac_sha256("text", b""),
        lambda hashing: hashing.hmac_sha256(b"", "text"),
        lambda hashing: hashing.hkdf_sha256("text", salt=b"", info=b"", length=1),
        lambda hashing: hashing.hkdf_sha256(b"", salt="text", info=b"", length=1),
        lambda hashing: hashing.hkdf_sha256(b"", salt=b"", info="text", length=1),
    ],
)
def test_functions_refuse_text(hashing: Any, call: Callable[[Any], object]) -> None:
    """The functions take bytes only."""
    with pytest.raises(TypeError, match=r"must be bytes-like, not str$"):
        call(hashing)


def test_unknown_kernels(hashing: Any) -> None:
    """A kernel that does not exist is refused by name."""
    assert hashing.kernel() in hashing.kernels()
    with pytest.raises(InvalidOptionError, match=r"^kernel must be one of "):
        hashing.sha256(b"", kernel="abacus")
    with pytest.raises(InvalidOptionError, match=r"^kernel must be one of "):
        hashing.hmac_sha256(b"", b"", kernel="abacus")
