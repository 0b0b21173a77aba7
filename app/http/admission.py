"""How many requests may be in progress at once."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final

import structlog

from app.http.problems import ProblemError

_log = structlog.get_logger("app")
_REPORT_SECONDS: Final = 10.0
_RETRY_SOON: Final = ((b"retry-after", b"1"),)


class Admission:
    """A context for one request; entering it is refused while as many as may be are inside.

    What is refused is refused at once: a queue would only make everybody wait, and those who gave
    up be served as well.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._refused = 0
        self._report_again_at = 0.0

    @property
    def inside(self) -> int:
        """Requests that are inside now."""
        return self._inside

    @property
    def is_full(self) -> bool:
        """Whether no more are let in now."""
        return self._inside >= self._most

    def enter(self) -> None:
        """Let a request in for which there is room."""
        self._inside += 1

    def leave(self) -> None:
        """Let it out."""
        self._inside -= 1

    def __enter__(self) -> None:
        """Let a request in.

        Raises:
            ProblemError: too many are in already.
        """
        if self._inside >= self._most:
            self._report()
            raise ProblemError(
                "overloaded", "too many requests are in progress; try again", headers=_RETRY_SOON
            )
        self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it out."""
        self._inside -= 1

    def _report(self) -> None:
        """Tell the operator, but not for each request: there are too many as it is."""
        self._refused += 1
        now = time.monotonic()
        if now >= self._report_again_at:
            self._report_again_at = now + _REPORT_SECONDS
            _log.warning("overloaded", requests_in_progress=self._inside, refused_so_far=self._refused)
