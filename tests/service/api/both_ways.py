"""Requests that are answered without a task, beside the same through ASGI."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.http.context import Context
from app.server.known_heads import KnownHead
from core.audit.log import AuditLog
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import lines
from tests.service.running import SIGILS, Answer

#: What each tenant may have.
BURST: Final = 20
#: What differs between two answers that are the same.
_OWN: Final = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"sigil":"[^"]+"|\d{4}-\d\d-\d\dT[^"]+Z')
#: Headers that tell seconds, or the length of a body with another number of digits in it.
_UNSTEADY: Final = {"ratelimit", "retry-after", "x-ratelimit-reset", "content-length"}
#: What lines of the audit log say that does not differ.
_AUDITED: Final = (
    "event",
    "issuer",
    "subject",
    "request_id",
    "sealing_key",
    "limit",
    "route",
    "valid",
    "reason",
)


#: What all requests here have, by which the audit log's lines are alike.
NAMED: Final = {"X-Request-Id": "mine"}


class Whole:
    """A request that came whole; keeps what is written."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.head = KnownHead(scope, len(body))
        self.scope: Any = {**scope, "extensions": {}}
        self.whole_body = body
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def write_answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Keep it."""
        headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
        assert len(headers) == lines.count(b"\r\n"), "a header is there twice"
        self.answer.set_result(Answer(status, headers, body))

    async def receive(self) -> Any:
        """Nothing is asked for here."""
        raise AssertionError


def begun(inside: InProcess, path: str, body: bytes, token: str, headers: dict[str, str]) -> Whole | None:
    """A request that is answered without a task; None if that is no way for it."""
    headers = NAMED | headers
    whole = Whole(inside.scope("POST", path, len(body), token=token, headers=headers), body)
    return whole if inside.app.prompt(whole) else None


async def known(inside: InProcess, tenant: str) -> str:
    """A token that was seen before."""
    token = inside.token(tenant)
    assert (await inside.call("GET", SIGILS, token=token)).status == 200
    return token


class Way(NamedTuple):
    """One of two tenants that ask for the same: through ASGI, or without a task."""

    tenant: str
    token: str


class BothWays:
    """An application that is asked both ways, each by a tenant of its own."""

    def __init__(self, inside: InProcess, audit: AuditLog, audit_file: Path) -> None:
        """Ask in this application, which has this audit log."""
        self._inside = inside
        self._audit = audit
        self._audit_file = audit_file
        self._counted: list[tuple[Any, ...]] = []
        self._pairs: list[tuple[str, str]] = []
        inside.app.on_done = self._done

    async def begin(self, name: str = "acme") -> tuple[Way, Way]:
        """The two, who are known from now on; once again under another name, they are two others."""
        self.usual, self.prompt = [
            Way(tenant, await known(self._inside, tenant)) for tenant in (f"{name}-asgi", f"{name}-prompt")
        ]
        self._pairs.append((self.usual.tenant, self.prompt.tenant))
        return self.usual, self.prompt

    async def ask(self, path: str, bodies: tuple[bytes, bytes], headers: dict[str, str]) -> Answer:
        """Ask both ways, each with its body: the answer, which is the same, as is what is counted."""
        self._counted.clear()
        all_headers = NAMED | headers
        usual = await self._inside.call("POST", path, bodies[0], token=self.usual.token, headers=all_headers)
        whole = begun(self._inside, path, bodies[1], self.prompt.token, headers)
        assert whole is not None
        prompt = await whole.answer
        assert prompt.status == usual.status
        assert _OWN.sub("", prompt.body.decode()) == _OWN.sub("", usual.body.decode())
        assert prompt.headers.keys() == usual.headers.keys()
        assert _steady(prompt) == _steady(usual)
        assert self._counted.pop() == self._counted.pop()
        return prompt

    async def end(self) -> None:
        """See that what was audited is the same."""
        await self._audit.close()
        noted: dict[str, list[Any]] = {tenant: [] for pair in self._pairs for tenant in pair}
        for line in lines(self._audit_file):
            if line.get("tenant") in noted:
                noted[line["tenant"]].append([line.get(name) for name in _AUDITED])
        for usual, prompt in self._pairs:
            assert noted[usual] == noted[prompt]

    def _done(self, context: Context, _: float) -> None:
        found = (context.status, context.problem, context.items, context.outcomes, context.reasons)
        self._counted.append(found)


def _steady(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in _UNSTEADY}
