"""A client for the soak's own questions, outside the load."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from app.api.paths import BASE
from soak.tenants import Tokens

_PATIENCE: Final = 15.0


class Reply(NamedTuple):
    """An answer; status 0 where none came."""

    status: int
    body: bytes = b""
    stale: bool = False

    @property
    def value(self) -> Any:
        """The body's JSON value; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Client:
    """One connection, made anew when it fails. Not for several threads."""

    def __init__(self, url: str, tokens: Tokens, name: str) -> None:
        """``name``: of the user that asks, behind each tenant's name."""
        self._address = urlsplit(url)
        self._tokens = tokens
        self._name = name
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def subject(self, tenant: str) -> str:
        """This client's name in a tenant."""
        return f"{tenant}/{self._name}"

    def ask(
        self,
        tenant: str,
        path: str = "",
        body: bytes | None = None,
        *,
        lines: bool = False,
        token: str | None = None,
    ) -> Reply:
        """One request, with a good token unless another is given."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self._address.hostname or "", self._address.port, timeout=_PATIENCE
            )
        bearer = token or self._tokens.of(tenant, self.subject(tenant))
        headers = {"Authorization": f"Bearer {bearer}"}
        if body is not None:
            headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
        try:
            self._connection.request("GET" if body is None else "POST", BASE + path, body, headers)
            answer = self._connection.getresponse()
            return Reply(answer.status, answer.read(), answer.getheader("Sigil-Stale") is not None)
        except (OSError, http.client.HTTPException):
            self.close()
            return Reply(0)
