"""Verifications that are answered without a task, beside the same through ASGI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sigil_native import KeyRing, SigilCodec
from tests.service.api.both_ways import NAMED, BothWays, Way, begun, known
from tests.service.api.in_process import InProcess
from tests.service.running import SIGILS

VERIFY = f"{SIGILS}/verify"
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
DATA = {"b": [1.5, None], "a": "é"}


def codec(secret: str) -> SigilCodec:
    """A codec with a key; that of "s" is the application's."""
    ring = KeyRing()
    ring.add(secret * 32)
    return SigilCodec(ring)


OURS = codec("s")

#: What is asked for, by a sigil that the tenant was given and its record's payload.
Question = Callable[[str, str], bytes]


def asked(sigil: str, data: object = DATA, **more: object) -> bytes:
    """A question as most clients write it."""
    return json.dumps({"sigil": sigil, "data": data, **more}, separators=(",", ":")).encode()


QUESTIONS: dict[str, Question] = {
    "good": lambda sigil, _: asked(sigil),
    "in another order": lambda sigil, _: json.dumps({"data": DATA, "sigil": sigil}, indent=1).encode(),
    "a strand": lambda sigil, _: asked(OURS.decode(sigil).strand),
    "altered": lambda sigil, _: asked(sigil, {"a": 1}),
    "another tenant's": lambda *_: asked(OURS.encode(DATA, tenant="globex")),
    "never recorded": lambda _, tenant: asked(OURS.encode(DATA, tenant=tenant)),
    "expired": lambda _, tenant: asked(OURS.encode(DATA, tenant=tenant, expires_in=0.001)),
    "of an unknown key": lambda _, tenant: asked(codec("t").encode(DATA, tenant=tenant)),
    "no sigil": lambda *_: asked("nonsense"),
    "a token": lambda _, tenant: asked(OURS.encode(DATA, tenant=tenant, form="token")),
    "a token alone": lambda _, tenant: json.dumps(
        {"sigil": OURS.encode(DATA, tenant=tenant, form="token")}
    ).encode(),
    "a token of nothing": lambda *_: b'{"sigil":"sgl1_x.eA"}',
    "without data": lambda sigil, _: json.dumps({"sigil": sigil}).encode(),
    "data that is no object": lambda sigil, _: asked(sigil, [1]),
    "more members": lambda sigil, _: asked(sigil, DATA, x=1),
    "members twice": lambda sigil, _: asked(sigil)[:-1] + b',"data":{}}',
    "no JSON": lambda *_: b'{"sigil":',
    "nothing": lambda *_: b"",
    "two lines": lambda sigil, _: asked(sigil) + b"\n" + asked(sigil),
}


async def sealed(inside: InProcess, way: Way) -> str:
    """A sigil that the tenant was given for DATA."""
    body = json.dumps({"data": DATA}).encode()
    answer = await inside.call("POST", SIGILS, body, token=way.token, headers=NAMED | JSON)
    sigil: str = answer.json["sigil"]
    return sigil


async def test_both_ways(limited: InProcess, both_ways: BothWays) -> None:
    """Answers, limits, what is audited and what is counted are the same, alone and in a batch."""
    for number, (name, question) in enumerate(QUESTIONS.items()):
        print(name)  # shown where it fails
        ways = await both_ways.begin(f"tenant-{number}")
        one, other = [question(await sealed(limited, way), way.tenant) for way in ways]
        await asyncio.sleep(0.002)  # what lives so long has expired
        await both_ways.ask(VERIFY, (one, other), JSON)
        good = asked("nonsense") + b"\n"
        await both_ways.ask(
            VERIFY + "/batch", (good + one + b"\n" + good, good + other + b"\n" + good), LINES
        )
    await both_ways.end()


async def test_revoked(limited: InProcess, both_ways: BothWays) -> None:
    """A sigil that was revoked is not valid, whichever way is taken."""
    ways = await both_ways.begin()
    questions = []
    for way in ways:
        sigil = await sealed(limited, way)
        path = f"{SIGILS}/{OURS.decode(sigil).id}/revoke"
        await limited.call("POST", path, b'{"reason":"test"}', token=way.token, headers=NAMED | JSON)
        questions.append(asked(sigil))
    answer = await both_ways.ask(VERIFY, (questions[0], questions[1]), JSON)
    assert (answer.json["valid"], answer.json["reason"]) == (False, "revoked")
    await both_ways.end()


async def test_beyond_the_limit(both_ways: BothWays) -> None:
    """Whoever has asked too often is told so, whichever way is taken."""
    await both_ways.begin()
    question = asked("nonsense")
    statuses = [(await both_ways.ask(VERIFY, (question, question), JSON)).status for _ in range(21)]
    assert 429 in statuses
    await both_ways.end()


async def test_what_is_left_to_asgi(limited: InProcess) -> None:
    """Other types, and callers who are not known or may not verify, are left alone."""
    token = await known(limited, "acme")
    question = asked("nonsense")
    assert begun(limited, VERIFY, question, token, LINES) is None
    assert begun(limited, VERIFY, question, limited.token("acme", subject="new"), JSON) is None
    encoder = limited.token("acme", "sigil:encode", subject="writer")
    await limited.call("GET", SIGILS, token=encoder)
    assert begun(limited, VERIFY, question, encoder, JSON) is None
    assert begun(limited, VERIFY, question, token, JSON) is not None


async def test_many_at_once(limited: InProcess) -> None:
    """Those who ask in one turn of the loop share a statement for each tenant, and get their own answers."""
    tokens = {tenant: await known(limited, tenant) for tenant in ("acme", "globex")}
    asking: list[tuple[str, Any]] = []
    sigils = {tenant: await sealed(limited, Way(tenant, token)) for tenant, token in tokens.items()}
    limited.statements.clear()
    for tenant, token in tokens.items():
        for of_whom in ("acme", "globex") * 3:
            whole = begun(limited, VERIFY, asked(sigils[of_whom]), token, JSON)
            assert whole is not None
            asking.append(("not_revoked" if of_whom == tenant else "unchecked", whole.answer))
    for revocation, answer in asking:
        assert (await answer).json["revocation"] == revocation
    reads = [one for one in limited.statements.executed if one.sql.startswith("SELECT")]
    assert [one.parameters[0] for one in reads] == ["acme", "globex"]


async def test_a_store_that_cannot_answer(limited: InProcess, both_ways: BothWays, tmp_path: Path) -> None:
    """What is not known of a sigil makes it invalid, whichever way is taken."""
    ways = await both_ways.begin()
    one, other = [asked(await sealed(limited, way)) for way in ways]
    (tmp_path / "sigils.db").rename(tmp_path / "elsewhere")
    answer = await both_ways.ask(VERIFY, (one, other), JSON)
    assert (answer.json["valid"], answer.json["reason"]) == (False, "revocation_unknown")
    await both_ways.end()
