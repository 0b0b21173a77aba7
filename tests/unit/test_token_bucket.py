"""Token buckets: what they grant, what they say, and what they refuse to be."""

from __future__ import annotations

import copy
import math
import pickle
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.errors import InvalidOptionError
from tests.backends import load_backend

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that a test moves."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        """The moment it stands at."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def test_a_full_bucket_and_then_the_rate(library: SimpleNamespace, clock: Clock) -> None:
    """A full bucket is granted at once, and after it exactly what comes back."""
    bucket = library.TokenBucket(20, 200, clock=clock)
    assert sum(bucket.acquire("somebody") for _ in range(500)) == 200
    clock.now += SECOND // 20 - 1
    assert not bucket.acquire("somebody")
    clock.now += 1
    assert bucket.acquire("somebody")
    assert not bucket.acquire("somebody")
    clock.now += 10 * SECOND
    assert sum(bucket.acquire("somebody") for _ in range(500)) == 200


def test_keys_know_nothing_of_each_other(library: SimpleNamespace, clock: Clock) -> None:
    """Every key has a bucket of its own; a text and its UTF-8 bytes are one key."""
    bucket = library.TokenBucket(1, 1, clock=clock)
    for key in ("a", "b", "", "é", "日本", "x" * 1000, b"\xff\x00", b"\x00"):
        assert bucket.acquire(key)
        assert not bucket.acquire(key)
    assert not bucket.acquire(b"a")
    assert not bucket.acquire("é".encode())


def test_decisions(library: SimpleNamespace, clock: Clock) -> None:
    """A decision tells what is left, and how long to wait for what was asked and for a full bucket."""
    bucket = library.TokenBucket(10, 5, clock=clock)
    assert bucket.check("a", 3) == (True, 5, 2, 0.0, 0.3)
    assert bucket.check("a", 4) == (False, 5, 2, 0.2, 0.3)
    assert bucket.check("a", 0) == (True, 5, 2, 0.0, 0.3)
    assert bucket.check("a", 6) == (False, 5, 2, math.inf, 0.3)
    clock.now += 50_000_000
    assert bucket.check("a", 0) == (True, 5, 2, 0.0, 0.25)
    assert bucket.check("new", 0) == (True, 5, 5, 0.0, 0.0)
    assert bucket.live_keys() == 1


def test_refunds(library: SimpleNamespace, clock: Clock) -> None:
    """Tokens that are given back are there again, and a bucket gets no fuller than full."""
    bucket = library.TokenBucket(10, 5, clock=clock)
    bucket.refund("unknown", 3)
    assert bucket.acquire("a", 5)
    bucket.refund("a", 2)
    assert bucket.check("a", 0).remaining == 2
    bucket.refund("a", 1000)
    assert [bucket.acquire("a") for _ in range(6)] == [True] * 5 + [False]


def test_many_at_once(library: SimpleNamespace, clock: Clock) -> None:
    """A batch is what one call after the other would be."""
    bucket = library.TokenBucket(1, 2, clock=clock)
    keys: list[str | bytes] = ["a", "b", "a", "a", b"b", "é", "b"] * 20
    expected: dict[bytes, int] = {}
    granted = []
    for key in keys:
        raw = key if isinstance(key, bytes) else key.encode()
        expected[raw] = expected.get(raw, 0) + 1
        granted.append(expected[raw] <= 2)
    assert bucket.acquire_many(iter(keys)) == granted
    assert bucket.acquire_many([]) == []
    assert bucket.acquire_many(["c"] * 3, 2) == [True, False, False]


def test_a_bad_key_in_a_batch_takes_nothing(library: SimpleNamespace, clock: Clock) -> None:
    """Keys are looked at before the first token is taken."""
    bucket = library.TokenBucket(1, 1, clock=clock)
    for bad, error in ((1, TypeError), ("\ud800", InvalidOptionError), (None, TypeError)):
        with pytest.raises(error):
            bucket.acquire_many(["a", bad])
    assert bucket.acquire("a")


@pytest.mark.parametrize("call", ["acquire", "check", "refund"])
@pytest.mark.parametrize(
    ("key", "cost", "error", "text"),
    [
        (1, 1, TypeError, "key must be str or bytes, not int"),
        (bytearray(b"a"), 1, TypeError, "key must be str or bytes, not bytearray"),
        ("\udc00", 1, InvalidOptionError, "key is not valid Unicode"),
        ("a", 1.0, TypeError, "cost must be int, not float"),
        ("a", True, TypeError, "cost must be int, not bool"),
        ("a", -1, InvalidOptionError, "cost must not be negative"),
    ],
)
def test_bad_arguments(
    library: SimpleNamespace, call: str, key: Any, cost: Any, error: type[Exception], text: str
) -> None:
    """What is no key and no cost is refused in the same words, and takes nothing."""
    bucket = library.TokenBucket(1, 1)
    with pytest.raises(error) as caught:
        getattr(bucket, call)(key, cost)
    assert str(caught.value) == text
    assert bucket.live_keys() == 0


@pytest.mark.parametrize(
    ("rate", "burst", "options", "error"),
    [
        (0, 1, {}, InvalidOptionError),
        (-1, 1, {}, InvalidOptionError),
        (math.inf, 1, {}, InvalidOptionError),
        (math.nan, 1, {}, InvalidOptionError),
        (1e9 + 1, 1, {}, InvalidOptionError),
        (True, 1, {}, TypeError),
        ("1", 1, {}, TypeError),
        (1, 0, {}, InvalidOptionError),
        (1, 1.0, {}, TypeError),
        (1, True, {}, TypeError),
        (1, 366 * 86400 + 1, {}, InvalidOptionError),
        (1, 1, {"capacity": 0}, InvalidOptionError),
        (1, 1, {"capacity": 1 << 40}, InvalidOptionError),
        (1, 1, {"capacity": 1.0}, TypeError),
        (1, 1, {"when_full": "evict"}, InvalidOptionError),
        (1, 1, {"when_full": []}, InvalidOptionError),
        (1, 1, {"clock": 1}, TypeError),
    ],
)
def test_bad_buckets(
    library: SimpleNamespace, rate: Any, burst: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    """Buckets that cannot work are refused when they are made."""
    with pytest.raises(error):
        library.TokenBucket(rate, burst, **options)


@pytest.mark.parametrize(
    ("rate", "burst"), [(1e9, 1), (1e9, 10**15), (1, 366 * 86400), (1 / (366 * 86400), 1), (1e-7, 3), (3, 7)]
)
def test_the_ends_of_the_range(library: SimpleNamespace, rate: float, burst: int) -> None:
    """The fastest and the slowest bucket keep their limit, too."""
    clock = Clock()
    bucket = library.TokenBucket(rate, burst, clock=clock)
    assert bucket.acquire("a", burst)
    assert not bucket.acquire("a")
    wait = bucket.check("a").retry_after
    assert wait * rate == pytest.approx(1, abs=rate / 1e9)
    clock.now += math.ceil(wait * 1e9) + int(wait > 2**53 / 1e9)  # where a float has no single nanoseconds
    assert bucket.acquire("a")
    assert not bucket.acquire("a")


def test_a_clock_that_steps_back(library: SimpleNamespace, clock: Clock) -> None:
    """After a step back no key waits longer than an empty bucket takes to fill, and none gets more."""
    clock.now = 10_000 * SECOND
    bucket = library.TokenBucket(10, 5, clock=clock)
    assert bucket.acquire("a", 5)
    assert bucket.acquire("b", 1)
    clock.now -= 3600 * SECOND
    assert bucket.check("a", 0).reset_after == 0.5
    assert not bucket.acquire("a")
    assert not bucket.acquire("b")
    clock.now += SECOND // 2
    assert [bucket.acquire(key) for key in "aaaaaabbbbbb"] == ([True] * 5 + [False]) * 2


def test_a_clock_that_steps_ahead(library: SimpleNamespace, clock: Clock) -> None:
    """A step ahead fills a bucket once, however long it is."""
    bucket = library.TokenBucket(10, 5, clock=clock)
    assert bucket.acquire("a", 5)
    clock.now += 10**18
    assert [bucket.acquire("a") for _ in range(7)] == [True] * 5 + [False] * 2


def test_a_clock_that_fails(library: SimpleNamespace) -> None:
    """What the clock raises reaches the caller, and takes nothing."""
    moments = iter([0, 0])
    bucket = library.TokenBucket(1, 1, clock=moments.__next__)
    assert bucket.acquire("a")
    with pytest.raises(StopIteration):
        bucket.acquire("b")


def test_the_system_clock(library: SimpleNamespace) -> None:
    """Without a clock of one's own time goes by as it does."""
    bucket = library.TokenBucket(1000, 1)
    assert bucket.acquire("a")
    time.sleep(0.01)
    assert bucket.acquire("a")
    assert 0 < bucket.check("a").reset_after <= 0.001


def test_a_full_table_refuses_who_is_new(library: SimpleNamespace, clock: Clock) -> None:
    """Who has an entry keeps exactly its limit; who is new is refused and counted until one has passed."""
    bucket = library.TokenBucket(1, 10, capacity=64, clock=clock)
    assert bucket.acquire("known")
    newcomers = [bucket.acquire(f"newcomer {number}") for number in range(2000)]
    refused = newcomers.count(False)
    assert newcomers[:63] == [True] * 63
    assert refused > 1000
    assert bucket.full == refused
    assert [bucket.acquire("known") for _ in range(10)] == [True] * 9 + [False]
    assert bucket.check("one more") == (False, 10, 0, 1.0, 10.0)
    clock.now += SECOND
    assert bucket.acquire("one more")


def test_a_full_table_that_allows(library: SimpleNamespace, clock: Clock) -> None:
    """With the other policy who is new is granted, uncounted, as long as there is no room."""
    bucket = library.TokenBucket(1, 1, capacity=8, when_full="allow", clock=clock)
    assert all(bucket.acquire(f"newcomer {number}") for number in range(1000))
    assert bucket.full > 700
    known = next(f"newcomer {n}" for n in range(1000) if not bucket.check(f"newcomer {n}", 0).remaining)
    assert not bucket.acquire(known)


def test_entries_of_a_clock_that_was_set_back_make_room(library: SimpleNamespace, clock: Clock) -> None:
    """A table that was full when the clock was set back has room again when its buckets would be full."""
    clock.now = 10**6 * SECOND
    bucket = library.TokenBucket(1, 1, capacity=8, clock=clock)
    for number in range(1000):
        bucket.acquire(f"before {number}")
    clock.now = 0
    assert not bucket.acquire("after")
    clock.now += 2 * SECOND
    assert bucket.acquire("after")


def test_threads_share_a_limit(library: SimpleNamespace, clock: Clock) -> None:
    """Whatever threads do at once, they get one bucket's tokens together."""
    bucket = library.TokenBucket(1, 5000, clock=clock)
    granted: list[int] = []

    def work() -> None:
        mine = sum(bucket.acquire("one") for _ in range(1000))
        granted.append(mine + sum(bucket.acquire_many(["one"] * 1000)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 5000


def test_buckets_are_not_copied(library: SimpleNamespace) -> None:
    """A copy would be a second limit; and the text of a bucket shows no key."""
    bucket = library.TokenBucket(20, 200)
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            copied(bucket)
    assert repr(bucket) == "TokenBucket(rate=20, burst=200)"
    assert (bucket.rate, bucket.burst, bucket.capacity, bucket.full) == (20, 200, 1 << 20, 0)


rates = st.floats(1e-6, 1e9, allow_subnormal=False) | st.integers(1, 10**9)


@given(
    rate=rates,
    burst=st.integers(1, 10**4),
    steps=st.lists(
        st.tuples(
            st.integers(0, 10**10) | st.integers(0, 100) | st.integers(-(10**10), 0),
            st.sampled_from(["check", "acquire", "acquire_many", "refund"]),
            st.sampled_from(["a", "b", "é", b"\xff"]),
            st.integers(0, 10**4 + 10) | st.integers(0, 3) | st.just(1 << 80),
        ),
        max_size=40,
    ),
)
def test_both_backends_decide_alike(rate: float, burst: int, steps: list[tuple[int, str, Any, int]]) -> None:
    """The compiled table and the dict say the same of every request, to the last bit."""
    if burst > 366 * 86400 * rate:
        burst = 1
    clock = Clock(10**15)
    native, pure = (load_backend(name).TokenBucket(rate, burst, clock=clock) for name in ("native", "pure"))
    for advance, call, key, cost in steps:
        clock.now += advance
        arguments = ([key, "a", key], cost) if call == "acquire_many" else (key, cost)
        assert getattr(native, call)(*arguments) == getattr(pure, call)(*arguments)
    assert native.live_keys() == pure.live_keys()
