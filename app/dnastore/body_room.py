"""Room for the bodies of all requests together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from app.http.context import Context
from app.http.problems import ProblemError, retry_after

_LEAST: Final = 256 << 20


class BodyRoom:
    """Bounds the bytes of bodies that are in memory: a body alone may be large, and many may come at once."""

    def __init__(self, largest_body: int) -> None:
        """Have room for 256 MiB, and for four bodies of the largest size if these are more."""
        self._largest_body = largest_body
        self._left = max(_LEAST, 4 * largest_body)

    @contextlib.contextmanager
    def for_body_of(self, context: Context) -> Iterator[None]:
        """Take room for a request's body: for as much as it announces, or else for the largest.

        Raises:
            ProblemError: there is no room now.
        """
        size = context.head.content_length or self._largest_body
        if size > self._left:
            detail = "too many large requests are in progress; try again"
            raise ProblemError("overloaded", detail, headers=retry_after(1))
        self._left -= size
        try:
            yield
        finally:
            self._left += size
