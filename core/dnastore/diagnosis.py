"""Finding out why a connection ends before anything was answered: a handshake, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final, Literal

from core.dnastore.failures import Trouble, failure_of

#: Seconds that the other side is given to say after the handshake that it refuses it.
_ALERT: Final = 0.5
_READ: Final = 1 << 16

#: How far it went before the other side closed without saying why.
_Stage = Literal["silent", "answered", "open"]

_AT_ONCE: Final = Trouble(
    "connection",
    "the connection is closed at the first word: nothing is behind it, or nothing with TLS 1.2 or newer",
    "DNASTORE_URL",
)
#: Many servers close without the alert that would say it.
_AFTER_THE_CERTIFICATE: Final = Trouble(
    "tls",
    "the DNAStore closes the connection when it is shown this service's certificate: it does not trust it",
    "DNASTORE_CLIENT_CERT",
    lasting=True,
)


async def handshake_trouble(host: str, port: int, context: ssl.SSLContext, seconds: float) -> Trouble | None:
    """What is wrong with a handshake; None if nothing is, or nothing that can be seen.

    Who refuses a certificate says so after the handshake, if at all, and closes: what was being sent then
    drowns it in the connection's end. So this sends nothing, and listens for a moment.

    Args:
        host: to connect to, and that the certificate must be for.
        port: there.
        context: the client's.
        seconds: that this may take.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await _shake_hands(reader, writer, context, host)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        return failure_of(error).trouble


async def _shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
) -> Trouble | None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context.wrap_bio(incoming, outgoing, server_hostname=host)
    stage: _Stage = "silent"
    while True:
        try:
            if stage != "open":
                secured.do_handshake()
                stage = "open"
            secured.read(1)
            return None  # it speaks: it is content with us
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            return _AFTER_THE_CERTIFICATE
        except ssl.SSLError as error:
            return failure_of(error).trouble
        try:
            writer.write(outgoing.read())
            await writer.drain()
            async with asyncio.timeout(_ALERT if stage == "open" else None):
                part = await reader.read(_READ)
        except TimeoutError:
            if stage == "open":
                return None  # it waits for us
            raise
        except ConnectionError:
            part = b""
        if not part:
            return _AT_ONCE if stage == "silent" else _AFTER_THE_CERTIFICATE
        if stage == "silent":
            stage = "answered"
        incoming.write(part)
