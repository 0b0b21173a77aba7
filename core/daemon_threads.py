"""Calls that may hang, and must not keep the process from its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")


def in_daemon_thread(work: Callable[[], _T]) -> asyncio.Future[_T]:
    """Call in a thread of its own.

    Not in one of the event loop's: the process waits for those at its end, however long, and
    they are few.
    """
    result: Future[_T] = Future()
    result.set_running_or_notify_cancel()  # whoever stops waiting cancels nothing

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, name="sigil-may-hang", daemon=True).start()
    return asyncio.wrap_future(result)
