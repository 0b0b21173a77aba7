"""What strangers cost: never a signature or a key beyond their address's limit."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from app.authentication.access import Access
from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.key_set import read_key_set
from app.authentication.key_sources import FixedKeys
from app.authentication.public_keys import PublicKey
from app.http.context import Context
from app.http.problems import ProblemError
from app.limits.addresses import CountedAddresses
from app.limits.callers import NoCallerLimits
from app.limits.limits import RateLimits
from app.limits.outcomes import Outcomes
from core.audit.interface import NoAudit
from core.errors import KeysUnavailableError
from core.limits.observation import NoObserver
from core.limits.quota import Quota
from sigil_native import TokenBucket
from sigil_native.asgi import ClientAddress
from tests.service.authentication.forge import ISSUERS, Forge

LIMIT = 5


class SlowKeys(FixedKeys):
    """Keys that arrive when they are let go, or never; counts who asked."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        super().__init__(keys)
        self.asked = 0
        self.arrived = asyncio.Event()
        self.gone = False

    async def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See KeySource.find."""
        self.asked += 1
        await self.arrived.wait()
        if self.gone:
            raise KeysUnavailableError("gone")
        return await super().find(key_id, algorithm)


@pytest.fixture
def keys(forge: Forge) -> SlowKeys:
    """The keys of the first issuer."""
    return SlowKeys(read_key_set(json.dumps({"keys": forge.key_set}).encode()).keys)


@pytest.fixture
def access(keys: SlowKeys) -> Access:
    """Access with a limit that does not come back while a test runs."""
    quota = Quota(LIMIT, 3600, LIMIT)
    outcomes = Outcomes(NoAudit(), NoObserver(), lambda: 0, shadow=False)
    bucket = TokenBucket(quota.rate, quota.burst)
    addresses = CountedAddresses(bucket, quota, ClientAddress(), outcomes, shadow=False)
    limits = RateLimits(NoCallerLimits(), addresses, None)
    return Access(Authenticator([TrustedIssuer(ISSUERS[0], keys)]), limits, NoAudit())


async def answered(access: Access, token: str, address: str = "192.0.2.1") -> str:
    """What becomes of a request with a token."""
    headers = [(b"authorization", b"Bearer " + token.encode()), (b"x-forwarded-for", b"203.0.113.9")]
    scope = {"type": "http", "headers": headers, "path": "/", "client": (address, 1), "extensions": {}}
    context = Context(scope, _receive)
    try:
        await access.require(context, "sigil:read")
    except ProblemError as error:
        return error.code
    except KeysUnavailableError:
        return "keys_unavailable"
    assert not context.rate_headers
    return "good"


async def _receive() -> dict[str, object]:
    return {"type": "http.disconnect"}


async def test_a_flood_at_once(access: Access, keys: SlowKeys, forge: Forge) -> None:
    """However many come at once, as many are looked at as the limit allows; the others do not wait."""
    forged = [forge.good(sub=str(number))[:-4] + "AAAA" for number in range(20)]
    flood = [asyncio.create_task(answered(access, token)) for token in forged]
    await asyncio.sleep(0)
    assert sum(task.done() for task in flood) == len(flood) - LIMIT
    keys.arrived.set()
    found = Counter(await asyncio.gather(*flood))
    assert found == {"unauthenticated": LIMIT, "rate_limited": len(flood) - LIMIT}
    assert keys.asked == LIMIT


async def test_an_empty_address_costs_nothing(access: Access, keys: SlowKeys, forge: Forge) -> None:
    """Once the limit is used up no key is asked for; known tokens and other addresses do not care."""
    keys.arrived.set()
    known, new = forge.good(), forge.good(sub="new")
    assert await answered(access, known) == "good"
    assert [await answered(access, "x") for _ in range(LIMIT + 1)][-2:] == ["unauthenticated", "rate_limited"]
    before = keys.asked
    assert await answered(access, new) == "rate_limited"
    assert await answered(access, known) == "good"
    assert keys.asked == before
    assert await answered(access, new, "192.0.2.2") == "good"


async def test_what_is_not_the_callers_fault(access: Access, keys: SlowKeys, forge: Forge) -> None:
    """While keys cannot be had, tokens are not counted; good ones never are."""
    keys.arrived.set()
    keys.gone = True
    tokens = [forge.good(sub=str(number)) for number in range(3 * LIMIT)]
    assert {await answered(access, token) for token in tokens} == {"keys_unavailable"}
    keys.gone = False
    assert {await answered(access, token) for token in tokens} == {"good"}
