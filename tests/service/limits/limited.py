"""What tests of limits over HTTP share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from servers.redis import wait_until
from tests.service.audit.audits import lines
from tests.service.running import SIGILS, Answer, Service

#: So long that nothing comes back while a test runs.
STILL: Final = {"SIGIL_RATE_WINDOW": "36000"}
#: One limit in ``RateLimit``.
STAND: Final = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


def listed(service: Service, token: str | None, *, address: str | None = None, path: str = SIGILS) -> Answer:
    """A cheap request, from an address that a trusted proxy tells."""
    headers = {} if address is None else {"X-Forwarded-For": address}
    return service.call("GET", path, token=token, headers=headers)


def statuses(service: Service, token: str | None, count: int, **more: Any) -> list[int]:
    """What so many cheap requests are answered with."""
    return [listed(service, token, **more).status for _ in range(count)]


def stands(answer: Answer) -> dict[str, tuple[int, int]]:
    """Each limit in ``RateLimit``: what is left, and for how many seconds."""
    found = STAND.findall(answer.headers["ratelimit"])
    return {name: (int(left), int(seconds)) for name, left, seconds in found}


def left(answer: Answer) -> dict[str, int]:
    """What each limit has left."""
    return {name: left for name, (left, _) in stands(answer).items()}


def audited(service: Service, event: str, count: int, **members: str) -> list[dict[str, Any]]:
    """The audit lines of an event with these members, as soon as there are so many."""

    def found() -> list[dict[str, Any]]:
        written = lines(service.data_dir / "audit.jsonl")
        return [line for line in written if members.items() <= line.items() and line["event"] == event]

    wait_until(lambda: len(found()) >= count)
    return found()


def write_overrides(path: Path, tenants: Mapping[str, object]) -> None:
    """Write a file of overrides, in one step."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version": 1, "tenants": tenants}))
    new.rename(path)
