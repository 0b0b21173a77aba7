"""Keys from a provider: when it is asked, and what is believed meanwhile. Time is the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from joserfc.jwk import Key
from structlog.testing import capture_logs

from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.key_download import KeySetDownload
from app.authentication.public_keys import PublicKey
from app.authentication.refusals import TokenRefusedError
from app.authentication.remote_keys import Pace, RemoteKeys
from core.errors import KeysUnavailableError
from tests.service.authentication.forge import ISSUERS, Forge, public
from tests.service.authentication.provider import Provider, running_provider


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A key server."""
    with running_provider() as server:
        yield server


Make = Callable[..., RemoteKeys]


@pytest_asyncio.fixture
async def make(provider: Provider, clock: Clock) -> AsyncIterator[Make]:
    """Makes key sources on the provider."""
    made: list[RemoteKeys] = []

    def make(**pace: float) -> RemoteKeys:
        download = KeySetDownload(provider.uri, development=True)
        made.append(RemoteKeys(download, issuer="https://issuer.example", pace=Pace(**pace), clock=clock))
        return made[-1]

    yield make
    for keys in made:
        await keys.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads bring about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the provider's thread knows no event of ours
            await asyncio.sleep(0.005)


async def has(keys: RemoteKeys, key_id: str) -> bool:
    """Whether there is such a key."""
    return await keys.find(key_id, "ES256") is not None


async def test_first_use_fetches_once(provider: Provider, make: Make, forge: Forge) -> None:
    """Many tokens at once, before anything was fetched, wait for one fetch."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make()
    assert not keys.is_fresh()
    assert await asyncio.gather(*(has(keys, "1") for _ in range(50))) == [True] * 50
    assert provider.fetches == 1
    assert keys.is_fresh()


async def test_unknown_ids_cause_one_fetch(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """Many unknown key ids, at once and after, cause one fetch until the cooldown is over."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make()
    assert await has(keys, "1")
    assert not await has(keys, "x")
    assert provider.fetches == 1
    clock.now += 11
    found = await asyncio.gather(*(has(keys, f"x{number}") for number in range(50)))
    assert found == [False] * 50
    assert provider.fetches == 2
    provider.serve(public(forge.stranger, kid="2"))
    assert not await has(keys, "2")
    clock.now += 11
    assert await has(keys, "2")
    assert not await has(keys, "1")
    assert provider.fetches == 3


async def test_made_up_ids_over_time(provider: Provider, make: Make, clock: Clock, forge: Forge) -> None:
    """Whoever invents key ids all the time causes no more than one fetch in each cooldown."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make(cooldown=10)
    for second in range(200):
        assert not any(await asyncio.gather(*(has(keys, f"{second}-{number}") for number in range(5))))
        assert await has(keys, "1")
        clock.now += 1
    assert provider.fetches <= 200 / 10


async def test_an_id_that_was_not_found_is_remembered(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """One stale id, shown again and again, causes one fetch and no other until a refresh is due anyway."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make(cooldown=10, refresh=300)
    assert await has(keys, "1")
    for _ in range(280):
        clock.now += 1
        assert not await has(keys, "stale")
    assert provider.fetches == 2
    clock.now += 30
    assert not await has(keys, "stale")
    assert provider.fetches == 3
    clock.now += 11
    provider.serve(public(forge.ec, kid="stale"))
    assert not await has(keys, "stale")
    assert not await has(keys, "another")
    assert await has(keys, "stale")  # a set that has it counts more than the memory


async def test_an_answer_from_before_the_question_says_nothing(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """A key that is published while a fetch is under way is looked for again after the cooldown."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make(cooldown=10, refresh=300)
    assert await has(keys, "1")
    clock.now += 11
    provider.going.clear()
    earlier = asyncio.create_task(has(keys, "x"))
    await until(lambda: provider.fetches == 2)
    joining = asyncio.create_task(has(keys, "2"))
    await asyncio.sleep(0)
    provider.going.set()
    assert not await earlier
    assert not await joining
    provider.serve(public(forge.ec, kid="1"), public(forge.stranger, kid="2"))
    clock.now += 11
    assert await has(keys, "2")
    assert provider.fetches == 3


async def test_memory_of_ids_is_bounded(provider: Provider, make: Make, clock: Clock, forge: Forge) -> None:
    """However many ids wait for a fetch, a thousand are remembered."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make()
    assert await has(keys, "1")
    clock.now += 11
    await asyncio.gather(*(has(keys, f"x{number}") for number in range(3000)))
    assert provider.fetches == 2
    assert len(keys._missing) == 1024


async def test_failures_make_the_cooldown_grow(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """While the provider fails it is asked less and less often, and still often enough to recover soon."""
    provider.serve(public(forge.ec, kid="1"))
    good = provider.body
    provider.status, provider.body = 500, b""
    keys = make(cooldown=10)
    asked = []
    for _ in range(600):
        fetches = provider.fetches
        with pytest.raises(KeysUnavailableError) as unavailable:
            await has(keys, "1")
        assert 1 <= unavailable.value.retry_after <= 75
        if provider.fetches > fetches:
            asked.append(clock.now)
        clock.now += 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert 10 <= gaps[0] <= 14
    assert 20 <= gaps[1] <= 26
    assert 40 <= gaps[2] <= 51
    assert all(60 <= gap <= 76 for gap in gaps[3:])
    provider.status, provider.body = 200, good
    clock.now += 76
    assert await has(keys, "1")
    clock.now += 11
    fetches = provider.fetches
    assert not await has(keys, "x")
    assert provider.fetches == fetches + 1  # the cooldown is the first one again


async def test_old_keys_are_believed_for_a_time(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """While the provider is away its last keys are believed, up to the limit and not a second longer."""
    provider.serve(public(forge.ec, kid="1"))
    keys = make(max_stale=3600)
    assert await has(keys, "1")
    provider.status = 500
    clock.now += 3600
    assert keys.is_fresh()
    assert await has(keys, "1")
    clock.now += 1
    assert not keys.is_fresh()
    with pytest.raises(KeysUnavailableError):
        await has(keys, "1")
    provider.status = 200
    clock.now += 80
    assert await has(keys, "1")


async def test_only_a_withdrawn_key_takes_its_tokens_along(
    provider: Provider, make: Make, clock: Clock, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remembered tokens outlive refreshes and the loss of other keys; with their key they are forgotten."""
    stays, goes = public(forge.ec, kid="ec"), public(forge.stranger, kid="goes")
    provider.serve(stays, goes)
    keys = make()
    authenticator = Authenticator([TrustedIssuer(ISSUERS[0], keys)])

    def header(key: Key, key_id: str) -> list[bytes]:
        return [f"Bearer {forge.by(key, key_id, 'ES256')}".encode()]

    first, second = header(forge.ec, "ec"), header(forge.stranger, "goes")
    for known in (first, second):
        assert (await authenticator.authenticate(known)).tenant == "acme"
    monkeypatch.setattr(PublicKey, "verifies", None)  # whoever is not remembered would fail loudly
    provider.serve(goes, public(forge.ed, kid="new"), stays)
    clock.now += 11
    await keys.find("new", "EdDSA")
    for known in (first, second):
        await authenticator.authenticate(known)
    provider.serve(stays)
    clock.now += 11
    await keys.find("newer", "ES256")
    assert provider.fetches == 3
    await authenticator.authenticate(first)
    assert len(authenticator._verified) == 1
    with pytest.raises(TokenRefusedError) as refused:
        await authenticator.authenticate(second)
    assert refused.value.reason == "unknown_key"


async def test_remembered_tokens_do_not_outlive_the_limit(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """A remembered token is believed no longer than its key when the provider is silent for too long."""
    provider.serve(public(forge.ec, kid="ec"))
    authenticator = Authenticator([TrustedIssuer(ISSUERS[0], make(max_stale=3600))])
    header = [f"Bearer {forge.good()}".encode()]
    await authenticator.authenticate(header)
    provider.status = 500
    clock.now += 3599
    await authenticator.authenticate(header)
    clock.now += 2
    with pytest.raises(KeysUnavailableError):
        await authenticator.authenticate(header)
    provider.status = 200
    clock.now += 80
    await authenticator.authenticate(header)


async def test_one_issuer_without_keys_stops_no_other(
    provider: Provider, make: Make, clock: Clock, forge: Forge
) -> None:
    """Readiness needs the keys of one issuer at least; a token needs its own issuer's."""
    provider.serve(public(forge.ec, kid="ec"))
    with running_provider() as broken:
        broken.status = 500
        unlucky = RemoteKeys(KeySetDownload(broken.uri, development=True), issuer="broken", clock=clock)
        authenticator = Authenticator([TrustedIssuer(ISSUERS[0], make()), TrustedIssuer(ISSUERS[1], unlucky)])
        await authenticator.check()
        await authenticator.authenticate([f"Bearer {forge.good()}".encode()])
        theirs = forge.by(forge.other_issuers, "ec", "ES256", iss=ISSUERS[1].issuer, aud="theirs")
        with pytest.raises(KeysUnavailableError):
            await authenticator.authenticate([f"Bearer {theirs}".encode()])
        provider.status = 500
        clock.now += 25 * 3600
        with pytest.raises(KeysUnavailableError):
            await authenticator.check()
        await unlucky.close()


async def test_a_caller_who_gives_up_harms_no_other(provider: Provider, make: Make, forge: Forge) -> None:
    """A request that is cancelled while keys are fetched does not take the fetch with it."""
    provider.serve(public(forge.ec, kid="1"))
    provider.going.clear()
    keys = make()
    impatient, patient = (asyncio.create_task(has(keys, "1")) for _ in range(2))
    await until(lambda: provider.fetches == 1)
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    provider.going.set()
    assert await patient
    assert provider.fetches == 1


async def test_a_timer_keeps_keys_fresh(provider: Provider, forge: Forge) -> None:
    """A withdrawal is heard of without any token, and so is the end of an outage."""
    provider.serve(public(forge.ec, kid="1"))
    pace = Pace(refresh=0.02, cooldown=0.01)
    keys = RemoteKeys(KeySetDownload(provider.uri, development=True), issuer="i", pace=pace)
    withdrawn: list[str | None] = []
    keys.on_withdrawal(lambda gone: withdrawn.extend(key.key_id for key in gone))
    keys.start()
    await until(keys.is_fresh)
    provider.status = 500
    fetches = provider.fetches
    await until(lambda: provider.fetches > fetches + 2)
    provider.serve(public(forge.stranger, kid="2"))
    await until(lambda: withdrawn == ["1"])
    await keys.close()
    fetches = provider.fetches
    await asyncio.sleep(0.05)
    assert provider.fetches == fetches


async def test_closing_ends_a_fetch(provider: Provider, make: Make) -> None:
    """A shutdown does not wait for a provider that is silent."""
    provider.going.clear()
    keys = make()
    keys.start()
    await until(lambda: provider.fetches == 1)
    await keys.close()
    assert keys._fetching is not None
    assert keys._fetching.cancelled()


async def test_what_is_logged(provider: Provider, make: Make, clock: Clock, forge: Forge) -> None:
    """Each change of state is one line, with the issuer and key ids; what stays as it was says nothing."""
    keys = make()

    async def events(*ids: str) -> list[dict[str, object]]:
        with capture_logs() as lines:
            for key_id in ids:
                clock.now += 100
                with contextlib.suppress(KeysUnavailableError):
                    await has(keys, key_id)
        assert all(line["issuer"] == "https://issuer.example" for line in lines)
        hidden = ("issuer", "log_level")
        return [{name: line[name] for name in line if name not in hidden} for line in lines]

    provider.status = 500
    failed = {"event": "key set not fetched", "cause": "DownloadError: the provider answered 500"}
    assert await events("a", "b", "c") == [failed]
    provider.serve(public(forge.ec, kid="1"), {"kty": "oct"})
    refused = {"event": "key refused", "position": 1, "cause": "not an asymmetric public key"}
    assert await events("d") == [{"event": "key set fetched", "keys": ["1"]}, refused]
    assert await events("e", "f") == []
    provider.serve(public(forge.ed, kid="2"), {"kty": "oct"})
    changed = {"event": "key set changed", "added": ["2"], "withdrawn": ["1"]}
    assert await events("g", "h") == [changed]
    provider.status = 500
    assert await events("i") == [failed]
    provider.serve(public(forge.ed, kid="2"))
    assert await events("j", "k") == [{"event": "key set fetched", "keys": ["2"]}]
