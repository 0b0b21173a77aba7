"""The address that a request is limited by when nobody knows more about who sent it.

Whoever can choose that address has as many limits as there are addresses. So it is the peer of the
connection, unless the peer is a proxy that was named as trusted: then ``X-Forwarded-For`` is read from its
right end, which that proxy wrote, up to the first address that is no trusted proxy. What stands left of it
was written by that address's owner and is never looked at. Where an entry is no address, the walk ends at the
hop that wrote it.

``X-Forwarded-For`` is the one header that is read. A proxy that writes ``Forwarded`` (RFC 7239) alone passes
the former on as the client sent it, and must not be trusted here.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sigil_native.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

#: What all peers without an address share: those of Unix sockets, for example.
NO_ADDRESS: Final = "unix"
#: The longest text of an address with its port.
_LONGEST: Final = 64
#: More trusted proxies than this in a row are a loop.
_MOST_HOPS: Final = 32
#: A network's worth of IPv6 addresses belongs to one customer.
_CUSTOMER: Final = ((1 << 128) - 1) ^ ((1 << 64) - 1)
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")


class _Address(NamedTuple):
    """An address.

    Attributes:
        bits: 32 or 128.
        number: its bits.
        key: by which it is limited.
    """

    bits: int
    number: int
    key: str


class _Network(NamedTuple):
    """A network: the addresses of so many bits that are ``number`` under ``mask``."""

    bits: int
    number: int
    mask: int


@lru_cache(maxsize=4096)
def _address(text: str) -> _Address | None:
    """The address in a text, without its port and zone; None if there is none."""
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in text or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None:
            number = int(address)
            return _Address(128, number, f"{ipaddress.IPv6Address(number & _CUSTOMER)}/64")
        address = mapped
    return _Address(32, int(address), str(address))


def _is_port(text: str) -> bool:
    return 2 <= len(text) <= 6 and text[0] == ":" and text[1:].isascii() and text[1:].isdigit()


def _network(text: object) -> _Network:
    if not isinstance(text, str):
        raise TypeError(f"trusted_proxies must hold str, not {type(text).__name__}")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise InvalidOptionError(f"trusted_proxies has {text!r}, which is no network or address") from None
    bits, number, mask = network.max_prefixlen, int(network.network_address), int(network.netmask)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        bits, number, mask = 32, number & 0xFFFFFFFF, mask & 0xFFFFFFFF
    return _Network(bits, number, mask)


class ClientAddress:
    """Tells by which address a request is limited. May be called from any thread.

    An IPv6 address stands for its ``/64``, an IPv4 address that is mapped into IPv6 for itself. Peers without
    an address all share one key, ``"unix"``.
    """

    __slots__ = ("_networks", "_trusts_unix")

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        """Name the proxies whose ``X-Forwarded-For`` is believed.

        Args:
            trusted_proxies: addresses, networks like ``10.0.0.0/8``, and ``unix`` for whatever connects
                through a Unix socket.

        Raises:
            TypeError: not an iterable of str.
            InvalidOptionError: one of them is none of these, or a network with host bits.
        """
        if isinstance(trusted_proxies, (str, bytes)):
            raise TypeError("trusted_proxies must be an iterable of str")
        proxies = list(trusted_proxies)
        self._trusts_unix = NO_ADDRESS in proxies
        self._networks = [_network(proxy) for proxy in proxies if proxy != NO_ADDRESS]

    def __call__(self, scope: MutableMapping[str, Any]) -> str:
        """The key of an ASGI scope of type ``http`` or ``websocket``."""
        client = scope.get("client")
        host = client[0] if client else ""
        hop = _address(host) if host else None
        if (not host and self._trusts_unix) or (hop is not None and self._networks and self._trusts(hop)):
            hop = self._forwarded(scope, hop)
        return NO_ADDRESS if hop is None else hop.key

    def _forwarded(self, scope: MutableMapping[str, Any], hop: _Address | None) -> _Address | None:
        """The right-most address that is no trusted proxy, or the last hop before what is no address."""
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        rest = b",".join(lines).decode("latin-1") if lines else None
        for _ in range(_MOST_HOPS):
            if rest is None:
                break
            rest, comma, entry = rest.rpartition(",")
            address = _address(entry.strip(" \t"))
            if address is None:
                break
            hop = address
            if not comma or not self._trusts(address):
                break
        return hop

    def _trusts(self, address: _Address) -> bool:
        bits, number, _ = address
        return any(
            bits == network.bits and number & network.mask == network.number for network in self._networks
        )
