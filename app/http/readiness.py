"""Probing what a service needs, not more often than makes sense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from app.http.problems import ProblemError, retry_after
from core.errors import DomainError
from sigil_native import SigilError

_PROBE_SECONDS: Final = 1.0


class Probing:
    """Probes at most once a second, whoever asks how often."""

    def __init__(self, probe: Callable[[], Awaitable[object]], is_stopping: Callable[[], bool]) -> None:
        """Probe with a call that raises what is wrong."""
        self._probe = probe
        self._is_stopping = is_stopping
        self._probing = asyncio.Lock()
        self._probe_again_at = 0.0
        self._trouble: DomainError | SigilError | None = None

    async def require(self) -> None:
        """Return if all is well.

        Raises:
            ProblemError: it is not, or the service is stopping.
        """
        if self._is_stopping():
            raise ProblemError("not_ready", "the service is stopping")
        async with self._probing:
            if time.monotonic() >= self._probe_again_at:
                self._trouble = await self._look()
                self._probe_again_at = time.monotonic() + _PROBE_SECONDS
        if self._trouble is not None:
            # Everybody may ask, so the answer says what is missing, and only the log why.
            detail = f"not now: {self._trouble.code}"
            raise ProblemError("not_ready", detail, headers=retry_after(2)) from self._trouble

    async def _look(self) -> DomainError | SigilError | None:
        try:
            await self._probe()
        except (DomainError, SigilError) as error:
            return error
        return None
