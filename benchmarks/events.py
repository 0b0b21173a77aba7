"""The events that are timed: one fixed, many varied, and webhook-sized documents.

A fixed input flatters, because the processor learns its branches; the varied
events tell what a stream of real ones costs.
"""

from __future__ import annotations

import json
import random
from typing import Any

EVENT = (
    b'{"id":"evt_01HZX3","type":"order.paid","tenant":"acme","amount":1299.5,"currency":"EUR",'
    b'"items":[{"sku":"A-1","qty":2},{"sku":"B-7","qty":1}],"at":"2026-11-22T10:00:00Z","ok":true,"note":null}'
)

_NOTES = (
    None,
    "",
    "gift",
    'please "ring" twice, then leave it with the neighbours',
    "für Jürgen",
    "日本語のメモ",
)
_TYPES = ("order.paid", "order.created", "user.signed_up", "invoice.finalised", "refund", "stock.level.low")
_TENANTS = ("acme", "globex-corporation", "initech", "hooli.example")


def _event(chance: random.Random) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": f"evt_{chance.getrandbits(chance.choice((40, 64, 96))):x}",
        "type": chance.choice(_TYPES),
        "tenant": chance.choice(_TENANTS),
        "amount": chance.choice(
            (chance.randrange(100_000), chance.randrange(10**6) / 100, chance.randrange(10**5) / 10)
        ),
        "currency": chance.choice(("EUR", "USD", "JPY")),
        "items": [
            {"sku": f"{chance.choice('ABCDEFG')}-{chance.randrange(1000)}", "qty": chance.randrange(1, 20)}
            for _ in range(chance.randrange(5))
        ],
        "at": f"2026-11-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z",
        "ok": chance.random() < 0.5,
        "note": chance.choice(_NOTES),
    }
    names = chance.sample(list(event), chance.randrange(6, 10))
    return {name: event[name] for name in names}


def compact(value: object) -> bytes:
    """The usual compact JSON text, member order as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def varied_events(count: int = 2000, seed: int = 8785) -> list[bytes]:
    """``count`` different events of about the fixed event's size."""
    chance = random.Random(seed)
    return [compact(_event(chance)) for _ in range(count)]


def _account(chance: random.Random) -> dict[str, Any]:
    login = f"user-{chance.randrange(10**6)}"
    links = (
        "followers",
        "following{/other}",
        "gists{/id}",
        "starred{/owner}{/repo}",
        "orgs",
        "repos",
        "events",
    )
    base = f"https://api.code.example/users/{login}"
    account: dict[str, Any] = {
        "login": login,
        "id": chance.randrange(10**8),
        "node_id": f"{chance.getrandbits(96):x}",
    }
    account |= {f"{link.split('{')[0]}_url": f"{base}/{link}" for link in links}
    return account | {"type": "User", "site_admin": False, "gravatar_id": ""}


def webhook(seed: int, repositories: int) -> dict[str, Any]:
    """A nested document such as code hosts send; about 2.5 KB for each repository, compact."""
    chance = random.Random(seed)
    hosted = []
    for _ in range(repositories):
        name = f"project-{chance.randrange(10**4)}"
        base = f"https://api.code.example/repos/acme/{name}"
        kinds = (
            "forks",
            "keys",
            "teams",
            "hooks",
            "events",
            "tags",
            "blobs",
            "trees",
            "commits",
            "issues",
            "pulls",
        )
        hosted.append(
            {"id": chance.randrange(10**9), "name": name, "private": chance.random() < 0.5}
            | {"owner": _account(chance), "description": chance.choice(_NOTES), "fork": False}
            | {f"{kind}_url": f"{base}/{kind}{{/number}}" for kind in kinds}
            | {
                "size": chance.randrange(10**5),
                "score": chance.randrange(10**4) / 100,
                "topics": ["json", "seal"],
            }
            | {"created_at": "2019-05-15T15:19:25Z", "language": None, "default_branch": "main"}
        )
    return {"action": "opened", "number": seed, "repositories": hosted, "sender": _account(chance)}
