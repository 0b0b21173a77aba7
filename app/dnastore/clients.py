"""Which clients may call, and which tenants each of them may touch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from app.http.context import Context
from app.http.problems import ProblemError
from app.http.replies import Reply
from app.http.streams import Stream
from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.dnastore.allow_list import AllowList, Grant, read_allow_list
from core.dnastore.server_settings import ALLOW
from core.fingerprints import fingerprint

#: There may be thousands of clients; a line of the log need not name them all.
_MOST_NAMED: Final = 20
_COMPLAINT_SECONDS: Final = 10.0

_log = structlog.get_logger("app.dnastore")


class Clients:
    """Judges callers by the names of their certificates; a Gate, and a Reloadable.

    Every request is judged by the list as it is then, on connections that began before as well.
    """

    name = "allow-list"
    changed_event: AuditEvent = "clients.changed"
    refused_event: AuditEvent = "clients.refused"

    def __init__(self, path: Path) -> None:
        """Read the list.

        Raises:
            ValueError: it cannot be used.
        """
        self._path = path
        self._list = read_allow_list(path)
        self._complain_again_at = 0.0

    def admit(self, context: Context) -> Grant:
        """The tenants that a caller may touch.

        Raises:
            ProblemError: the caller is not in the list.
        """
        grant = self._list.grant(context.peer_names)
        if grant is None:
            self._complain(context)
            raise ProblemError("client_forbidden", "no name of the client's certificate is in the allow-list")
        return grant

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint([self._path])

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        before = self._list
        try:
            after = read_allow_list(self._path)
        except ValueError as error:
            raise ReloadRefusedError("unusable", str(error)) from None
        difference = _difference(before, after)
        if difference:
            self._list = after
        return Reloaded(bool(difference), {**_facts(after), **difference}, difference)

    def _complain(self, context: Context) -> None:
        """Tell the operator, but not for each request: a client may try for ever."""
        now = time.monotonic()
        if now >= self._complain_again_at:
            self._complain_again_at = now + _COMPLAINT_SECONDS
            names = "; ".join(context.peer_names) or "none"
            _log.warning("client refused", peer=context.peer, names=names, setting=ALLOW)


class Allowed(NamedTuple):
    """A handler for clients of the allow-list, which is told what the caller may touch."""

    clients: Clients
    handler: Callable[[Context, Grant], Awaitable[Reply | Stream]]

    async def __call__(self, context: Context) -> Reply | Stream:
        """Let the caller in, then answer."""
        return await self.handler(context, self.clients.admit(context))


def require_tenant(grant: Grant, tenant: str) -> None:
    """Return if a caller may touch a tenant.

    Raises:
        ProblemError: it may not.
    """
    if tenant not in grant:
        raise ProblemError("tenant_forbidden", "the allow-list does not let this client touch this tenant")


def _facts(clients: AllowList) -> dict[str, str]:
    text = "\n".join(f"{name!r} {sorted(allowed)}" for name, allowed in sorted(clients.tenants.items()))
    return {
        "clients": str(len(clients.tenants)),
        "allow_list": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _difference(before: AllowList, after: AllowList) -> dict[str, str]:
    """The clients that were added, removed and changed; empty where none was."""
    old, new = before.tenants, after.tenants
    found = {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and set(old[name]) != set(new[name])],
    }
    return {kind: _listed(names) for kind, names in found.items() if names}


def _listed(names: Iterable[str]) -> str:
    several = list(names)
    more = [f"and {len(several) - _MOST_NAMED} more"] if len(several) > _MOST_NAMED else []
    return "; ".join(several[:_MOST_NAMED] + more)
