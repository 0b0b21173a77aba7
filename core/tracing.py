"""How the domain hands a trace on, so that it knows no library for traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class RequestSpan(Protocol):
    """A request to another server, as a trace has it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that hand the trace on."""

    def ended(self, status: int | None, failure: str | None) -> None:
        """The request has ended; no status: without an answer. ``failure`` is a reason from a short list."""


class RequestTracer(Protocol):
    """Traces requests to another server. Never waits and never raises."""

    def here(self) -> object | None:
        """The place in a trace of whoever calls; None where there is no trace."""

    def request(self, method: str, template: str, origins: Sequence[object]) -> RequestSpan:
        """Begin a request.

        Args:
            method: of HTTP.
            template: its path, without values.
            origins: what ``here`` said to those for whom it is made, at least one.
        """
