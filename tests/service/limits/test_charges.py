"""What a handler charges for a body's further items, in the test's own process and with its own clock."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.context import Caller, Context
from app.http.problems import ProblemError
from app.limits.callers import CountedCallers
from app.limits.outcomes import Outcomes
from core.audit.interface import NoAudit
from core.limits.counting import Counting
from core.limits.local import LocalLimiter
from core.limits.observation import NoObserver
from core.limits.quota import Quota, Quotas
from core.limits.routes import ROUTE_CLASSES
from sigil_native import TokenBucket
from tests.service.limits.limited import STAND

SECOND = 1_000_000_000


class Limits:
    """Callers' limits with a clock that the test moves."""

    def __init__(self, user: Quota, tenant: Quota, *, shadow: bool = False) -> None:
        self.now = SECOND
        #: Whether the last request got as far as its body.
        self.admitted = False
        local = LocalLimiter(clock=lambda: self.now)
        limiters = dict.fromkeys(ROUTE_CLASSES, local)
        counting = Counting(limiters, TokenBucket(1, 1), None, local, {})
        outcomes = Outcomes(NoAudit(), NoObserver(), lambda: counting.full, shadow=shadow)
        self.callers = CountedCallers(counting, Quotas(user, tenant), Fraction(1), outcomes, shadow=shadow)

    def wait(self, headers: dict[str, str]) -> None:
        """Let the seconds pass that a refusal names; and the nanosecond to which a clock rounds."""
        self.now += int(headers["retry-after"]) * SECOND + 1

    async def request(self, items: int = 1, subject: str = "tester") -> tuple[str, dict[str, str]]:
        """Ask for some items: what became of it, and what is told."""
        context = Context({"type": "http", "headers": [], "path": "/", "extensions": {}}, _receive)
        context.caller = Caller("issuer", "acme", subject, frozenset())
        outcome = "done"
        self.admitted = False
        try:
            await self.callers.admit(context, context.caller, "encode")
            self.admitted = True
            await self.callers.charge(context, items - 1)
        except ProblemError as error:
            outcome = error.detail
            if error.code != "rate_limited":
                raise
        return outcome, {name.decode(): value.decode() for name, value in context.rate_headers}


async def _receive() -> dict[str, object]:
    return {"type": "http.disconnect"}


def left(headers: dict[str, str]) -> dict[str, int]:
    """What each limit has left."""
    return {name: int(count) for name, count, _ in STAND.findall(headers["ratelimit"])}


async def test_a_batch_pays_for_each_item_or_for_none() -> None:
    """A batch takes a token an item from both limits; one that does not fit takes no more than a request."""
    limits = Limits(Quota(10, 10, 10), Quota(100, 10, 100))
    outcome, headers = await limits.request(6)
    assert (outcome, left(headers)) == ("done", {"user": 4, "tenant": 94})
    outcome, headers = await limits.request(5)
    assert outcome == "the limit of this user is used up"
    assert left(headers) == {"user": 3, "tenant": 93}
    # When all five are there at once: one of them was used up by asking.
    assert headers["retry-after"] == "2"
    limits.now += 2 * SECOND
    assert (await limits.request(5))[0] == "done"


async def test_a_batch_that_never_fits() -> None:
    """A batch of more than a full bucket holds is refused without a time at which it would be allowed."""
    limits = Limits(Quota(10, 10, 10), Quota(100, 10, 100))
    outcome, headers = await limits.request(11)
    assert outcome == "this asks for more than the user's limit ever allows at once"
    assert "retry-after" not in headers
    assert left(headers) == {"user": 9, "tenant": 99}


async def test_a_tenants_limit_holds_for_batches() -> None:
    """What the tenant's limit refuses is not taken from the user's."""
    limits = Limits(Quota(10, 10, 10), Quota(12, 10, 12))
    assert (await limits.request(8))[0] == "done"
    outcome, headers = await limits.request(6, subject="other")
    assert outcome == "the limit of this tenant is used up"
    assert left(headers) == {"user": 9, "tenant": 3}


async def test_shadow_charges_pass() -> None:
    """Limits that only count let every batch through, and tell nothing."""
    limits = Limits(Quota(2, 10, 2), Quota(2, 10, 2), shadow=True)
    for items in (1, 50, 1, 1):
        assert await limits.request(items) == ("done", {})


@given(
    st.integers(1, 20),
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3 * SECOND)), max_size=20),
)
async def test_headers_are_true(user: int, tenant: int, requests: list[tuple[int, int]]) -> None:
    """Whatever came before: as many items as are left are done next, and one more is not."""
    limits = Limits(Quota(user, 10, user), Quota(tenant, 10, tenant))
    headers: dict[str, str] = {}
    for items, pause in requests:
        limits.now += pause
        outcome, headers = await limits.request(items)
        # Before its body is there, nobody knows how much a request asks for.
        knows = limits.admitted or items == 1
        if outcome != "done" and "retry-after" in headers and knows and limits.now % 2:
            limits.wait(headers)
            assert (await limits.request(items))[0] == "done"
    _, headers = await limits.request()
    remaining = min(left(headers).values())
    assert headers["x-ratelimit-remaining"] == str(remaining)
    for _ in range(remaining):
        assert (await limits.request())[0] == "done"
    outcome, headers = await limits.request()
    assert outcome != "done"
    limits.wait(headers)
    assert (await limits.request())[0] == "done"


@pytest.mark.parametrize("subjects", [("a", "b"), ("1:x", "x"), ("", "0:")])
async def test_users_are_kept_apart(subjects: tuple[str, str]) -> None:
    """Two subjects of one issuer have a limit each, however they are called."""
    limits = Limits(Quota(1, 10, 1), Quota(100, 10, 100))
    assert [(await limits.request(subject=subject))[0] for subject in subjects] == ["done", "done"]
    assert (await limits.request(subject=subjects[0]))[0] != "done"
