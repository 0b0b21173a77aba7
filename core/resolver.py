"""Finding a provider's addresses, for which a silent name server may take minutes."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from core.daemon_threads import in_daemon_thread


class Resolver(AbstractResolver):
    """The system's resolver. aiohttp's own would keep the service from stopping until it has an answer."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See AbstractResolver.resolve."""
        found = await in_daemon_thread(
            lambda: socket.getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """See AbstractResolver.close."""
