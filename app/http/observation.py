"""What is told of requests that have ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from starlette.routing import Route

from app.http.context import Context

#: The route of paths that do not exist.
NOWHERE: Final = "other"


class RequestObserver(Protocol):
    """Is told what happens to requests. Never waits and never raises."""

    def ended(self, context: Context, seconds: float) -> None:
        """A request has ended, however it did; ``context.status`` is 0 where there was no answer."""


class RouteNames:
    """Names the route of a path: few, whatever is asked for."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Know these routes."""
        self._plain: Collection[str] = {route.path for route in routes if not route.param_convertors}
        self._patterns = [(route.path_regex, route.path) for route in routes if route.param_convertors]

    def of(self, path: str) -> str:
        """The template of the route that a path belongs to."""
        if path in self._plain:
            return path
        for pattern, template in self._patterns:
            if pattern.match(path):
                return template
        return NOWHERE
