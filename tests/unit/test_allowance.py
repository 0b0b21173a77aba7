"""Several limits of a caller at once."""

from __future__ import annotations

import pickle
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native import Allowance, Decision, TokenBucket
from sigil_native.asgi import RateHeaders, RatePolicy
from sigil_native.errors import InvalidOptionError

_HEADERS = RateHeaders([RatePolicy("user", 10, 1), RatePolicy("tenant", 20, 1)])


def _bucket(burst: int, clock: Any = lambda: 0) -> TokenBucket:
    return TokenBucket(burst, burst, clock=clock)


def test_all_or_none() -> None:
    """What one limit refuses costs the others nothing, and they say how they stand without it."""
    user, tenant = _bucket(10), _bucket(20)
    allowance = Allowance([(user, "alice"), (tenant, "acme")], _HEADERS)
    assert allowance.check(8) == [Decision(True, 10, 2, 0.0, 0.8), Decision(True, 20, 12, 0.0, 0.4)]
    refusal = [Decision(False, 10, 2, 0.1, 0.8), Decision(True, 20, 12, 0.0, 0.4)]
    assert allowance.check(3) == refusal
    assert allowance.take(3) == refusal
    assert user.check("alice", 0).remaining == 2
    assert tenant.check("acme", 0).remaining == 12


def test_the_lines_of_what_is_allowed() -> None:
    """Where all limits allow it, ``take`` tells what the header fields are."""
    allowance = Allowance([(_bucket(10), "alice"), (_bucket(20), b"acme")], _HEADERS)
    assert allowance.take(8) == (
        b"x-ratelimit-limit: 10\r\nx-ratelimit-remaining: 2\r\nx-ratelimit-reset: 1\r\n"
        b'ratelimit-policy: "user";q=10;w=1, "tenant";q=20;w=1\r\n'
        b'ratelimit: "user";r=2;t=1, "tenant";r=12;t=1\r\n'
    )
    assert Allowance([(_bucket(10), "alice")]).take() == b""


def test_what_never_fits() -> None:
    """A cost beyond a bucket is refused for ever, however large it is."""
    allowance = Allowance([(_bucket(10), "alice"), (_bucket(20), "acme")], _HEADERS)
    for cost in (15, 1 << 70):
        user, tenant = allowance.check(cost)
        assert (user.allowed, user.retry_after) == (False, float("inf"))
        assert tenant.remaining == 20


def test_a_clock_that_fails(library: SimpleNamespace) -> None:
    """A clock's error takes no tokens."""

    def broken() -> int:
        if is_broken:
            raise OSError("no clock")
        return 0

    is_broken = False
    good, bad = (library.TokenBucket(10, 10, clock=clock) for clock in (lambda: 0, broken))
    allowance = library.Allowance([(good, "a"), (bad, "a")])
    is_broken = True
    with pytest.raises(OSError, match="no clock"):
        allowance.check(5)
    assert good.check("a", 0).remaining == 10


def test_threads_get_no_more_than_the_limit() -> None:
    """However many threads ask, as many tokens are granted as a bucket holds."""
    user, tenant = _bucket(1000), _bucket(700)
    allowance = Allowance([(user, "alice"), (tenant, "acme")])
    granted: list[int] = []

    def ask() -> None:
        granted.append(sum(allowance.take() == b"" for _ in range(400)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 700
    assert user.check("alice", 0).remaining == 300


@pytest.mark.parametrize(
    ("places", "headers", "error"),
    [
        ([], None, InvalidOptionError),
        ([(_bucket(1), "a")] * 17, None, InvalidOptionError),
        ([(_bucket(1), "a")], _HEADERS, InvalidOptionError),
        ([(_bucket(1), "a")], "headers", TypeError),
        ([(_bucket(1), 1)], None, TypeError),
        ([(_bucket(1), "\ud800")], None, InvalidOptionError),
        ([("bucket", "a")], None, TypeError),
        ([_bucket(1)], None, TypeError),
        (None, None, TypeError),
    ],
)
def test_bad_arguments(places: Any, headers: Any, error: type[Exception]) -> None:
    """What is no allowance is refused with a clear error."""
    with pytest.raises(error):
        Allowance(places, headers)


@pytest.mark.parametrize(
    ("cost", "error"), [(-1, InvalidOptionError), (1.0, TypeError), (True, TypeError), (None, TypeError)]
)
def test_bad_costs(cost: Any, error: type[Exception]) -> None:
    """What is no cost is refused, and takes nothing."""
    bucket = _bucket(10)
    allowance = Allowance([(bucket, "a")])
    for call in (allowance.check, allowance.take):
        with pytest.raises(error):
            call(cost)
    assert bucket.check("a", 0).remaining == 10


def test_no_pickles() -> None:
    """An allowance belongs to the process of its buckets."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Allowance([(_bucket(1), "a")]))
