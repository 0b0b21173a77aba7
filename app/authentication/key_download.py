"""Fetching a key set over HTTP from a provider that may be slow, broken or hostile."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core.setting_types import is_protected

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.client_middlewares import ClientHandlerType

_LARGEST_KEY_SET: Final = 256 << 10


class DownloadError(Exception):
    """The provider gave no answer that a key set can be in."""


class Timeouts(msgspec.Struct, frozen=True):
    """How long a provider may take, in seconds: altogether, to connect, and between two reads."""

    total: float = 5.0
    connect: float = 3.0
    read: float = 3.0


_TIMEOUTS: Final = Timeouts()


class KeySetDownload:
    """Fetches one document. Every fetch has a connection of its own: they are minutes apart.

    Proxies of the environment and cookies are not used, redirects not followed, and compressed
    answers, which could grow, not unpacked. The content type is not looked at: providers send all
    kinds, and what is no key set does not parse as one.
    """

    def __init__(
        self,
        uri: str,
        *,
        development: bool = False,
        ca_cert: Path | None = None,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> None:
        if not is_protected(uri, development=development):
            raise ValueError("a key set must come over https (http only in development, on loopback)")
        self._uri = uri
        self._timeouts = timeouts
        # To read the system's authorities takes 50 ms, and they say nothing about plain HTTP.
        plain = ca_cert is None and uri.startswith("http:")
        self._trust = True if plain else ssl.create_default_context(cafile=ca_cert)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self) -> bytes:
        """The document.

        Raises:
            DownloadError: no connection, another status than 200, compressed, or too large.
            aiohttp.ClientError, TimeoutError: there was no whole answer in time.
        """
        async with self._opened().get(self._uri, allow_redirects=False) as response:
            if response.status != 200:
                raise DownloadError(f"the provider answered {response.status}")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise DownloadError("the answer is compressed, which was not asked for")
            raw = bytearray()
            async for part in response.content.iter_chunked(16 << 10):
                raw += part
                if len(raw) > _LARGEST_KEY_SET:
                    raise DownloadError(f"the key set has more than {_LARGEST_KEY_SET} bytes")
            return bytes(raw)

    async def close(self) -> None:
        """Give up the session."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # 180 ms, and not needed with the development issuer.
            import aiohttp  # noqa: PLC0415

            from core.resolver import Resolver  # noqa: PLC0415

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._trust, force_close=True, resolver=Resolver()),
                timeout=aiohttp.ClientTimeout(
                    total=self._timeouts.total,
                    connect=self._timeouts.connect,
                    sock_read=self._timeouts.read,
                ),
                headers={
                    "Accept": "application/jwk-set+json, application/json",
                    "Accept-Encoding": "identity",
                },
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=[_once],
            )
        return self._session


async def _once(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from asking again at once, as it does where a provider refuses or drops the connection."""
    import aiohttp  # noqa: PLC0415 - loaded already

    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DownloadError(f"{type(error).__name__}: {error}") from error
    except aiohttp.ClientResponseError:
        # Its text would show what the provider sent.
        raise DownloadError("the answer is not proper HTTP, or its head is too large") from None
