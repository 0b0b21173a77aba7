"""Trying whether a DNAStore answers, before anybody needs it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable

from core.dnastore import answers
from core.dnastore.failures import AttemptFailedError, Trouble
from core.dnastore.transport import PROBE, Transport
from core.store.observation import NoStoreObserver


async def trouble_with(url: str, tls: Callable[[], ssl.SSLContext], *, seconds: float) -> Trouble | None:
    """What is wrong with a DNAStore, or with the way to it; None if it has just written something.

    Args:
        url: see ``DnaStoreClient``.
        tls: likewise.
        seconds: that this may take.
    """
    transport = Transport(
        url, tls, timeout=seconds, failures=sys.maxsize, pause=0, observer=NoStoreObserver(), quiet=True
    )
    try:
        async with asyncio.timeout(seconds):
            await transport.attempt(PROBE, answers.probed)
            return None
    except AttemptFailedError as error:
        return await transport.diagnosed(error)
    except TimeoutError:
        return Trouble("timeout", "no answer in time")
    finally:
        await transport.close()
