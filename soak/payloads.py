"""Payloads that a number stands for, so that nobody has to keep them.

They are in their RFC 8785 form as the standard library writes it: names are ASCII and sorted, numbers are
those that every language writes alike. So other code than the service's own judges what it makes of them.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any, Final

_KINDS: Final = ("order.paid", "order.shipped", "invoice.sent", "access.granted", "sensor.reading")
_NOTES: Final = (None, "", "Grüße aus Köln", "印鑑を押す", "line\nbreak", 'a "quoted" word', "🧬" * 3)


def event(serial: int) -> dict[str, Any]:
    """The event with this number, 100 bytes to 2 kB; never the same for two numbers."""
    chance = random.Random(serial)
    cents = chance.randrange(1, 1_000_000)
    return {
        "amount": cents // 100 if cents % 100 == 0 else cents / 100,
        "items": [
            {"quantity": chance.randrange(1, 9), "sku": f"A-{chance.randrange(10_000)}"}
            for _ in range(chance.choice((0, 1, 2, 3, 40)))
        ],
        "note": chance.choice(_NOTES),
        "ok": chance.random() < 0.5,
        "serial": serial,
        "type": chance.choice(_KINDS),
    }


def canonical(value: dict[str, Any]) -> bytes:
    """The RFC 8785 form of an event."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def payload(serial: int) -> bytes:
    """The event with this number in its RFC 8785 form."""
    return canonical(event(serial))


def respelled(serial: int) -> bytes:
    """The same event, written differently: spaces, escapes, the members in another order."""
    value = event(serial)
    return json.dumps(dict(reversed(value.items())), indent=1).encode()


def altered(serial: int, chance: random.Random) -> bytes:
    """An event that is not the one with this number, though nearly."""
    value = event(serial)
    what = chance.randrange(5)
    if what == 0:
        value["serial"] += 1
    elif what == 1:
        value["ok"] = not value["ok"]
    elif what == 2:
        value["added"] = None
    elif what == 3:
        del value["note"]
    else:
        value["amount"] = str(value["amount"])
    return canonical(value)


def digest(serial: int) -> str:
    """SHA-256 of the event's RFC 8785 form, in hexadecimal."""
    return hashlib.sha256(payload(serial)).hexdigest()
