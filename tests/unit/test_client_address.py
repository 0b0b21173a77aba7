"""The address that a request is limited by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native._client_address import ClientAddress
from sigil_native.errors import InvalidOptionError

_PROXY = "10.0.0.1"
_addresses = st.ip_addresses().map(str)
#: What somebody may write who wants another's limit, or many of his own.
_lies = st.one_of(
    st.binary(max_size=80),
    _addresses.map(str.encode),
    st.lists(_addresses, max_size=4).map(lambda entries: ", ".join(entries).encode()),
)


def _latin(raw: bytes) -> str:
    return raw.decode("latin-1")


def scope(client: str | None, *forwarded: bytes) -> dict[str, Any]:
    """The scope of a request."""
    return {
        "type": "http",
        "client": None if client is None else (client, 4711),
        "headers": [(b"host", b"h"), *((b"x-forwarded-for", line) for line in forwarded)],
    }


@given(st.one_of(st.none(), st.binary(max_size=70).map(_latin), _addresses), st.lists(_lies, max_size=3))
def test_any_scope_has_a_key(client: str | None, lines: list[bytes]) -> None:
    """Whatever peer and header say, there is a key of bounded length."""
    for trusted in ((), ("0.0.0.0/0", "::/0", "unix")):
        assert 0 < len(ClientAddress(trusted)(scope(client, *lines))) < 50


@given(_addresses, st.lists(_lies, max_size=3))
def test_untrusted_peers_cannot_choose(client: str, lines: list[bytes]) -> None:
    """What a peer writes does not matter unless it is a trusted proxy."""
    trusted = ClientAddress([_PROXY] if client != _PROXY else ["10.0.0.2"])
    assert trusted(scope(client, *lines)) == ClientAddress()(scope(client))


@given(_addresses, st.lists(_lies, max_size=3), st.booleans())
def test_clients_of_a_trusted_proxy_cannot_choose(client: str, lies: list[bytes], joined: bool) -> None:
    """Behind a proxy that appends its peer, on the same line or not, the peer counts, not its words."""
    trusted = ClientAddress([_PROXY] if client != _PROXY else ["10.0.0.2"])
    proxy = _PROXY if client != _PROXY else "10.0.0.2"
    lines = [b",".join([*lies, client.encode()])] if joined else [*lies, client.encode()]
    assert trusted(scope(proxy, *lines)) == ClientAddress()(scope(client))


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("[2001:DB8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[fe80::1%25eth0]:1", "fe80::/64"),
        # No addresses: the proxy's own counts.
        ("unknown", _PROXY),
        ("_hidden", _PROXY),
        ("", _PROXY),
        ("192.0.2.1:", _PROXY),
        ("192.0.2.1:123456", _PROXY),
        ("192.0.2.1:٣", _PROXY),
        ("192.0.2.256", _PROXY),
        ("192.0.2.01", _PROXY),
        ("[192.0.2.1]", _PROXY),
        ("[2001:db8::1", _PROXY),
        ("[2001:db8::1]x", _PROXY),
        ('"[2001:db8::1]"', _PROXY),
        ("192.0.2.0/24", _PROXY),
        ("1" * 200, _PROXY),
    ],
)
def test_entries_have_many_forms(entry: str, key: str) -> None:
    """Ports, brackets and zones do not matter, IPv6 counts by network, what is no address by its proxy."""
    assert ClientAddress([_PROXY])(scope(_PROXY, entry.encode())) == key


def test_the_rightmost_untrusted_address_counts() -> None:
    """Trusted proxies are passed over from the right; if all are, the outermost counts."""
    address = ClientAddress(["10.0.0.0/8", "2001:db8:f::/48"])
    assert address(scope(_PROXY, b"1.1.1.1, 192.0.2.7, 10.2.2.2", b"2001:db8:f::1,10.9.9.9")) == "192.0.2.7"
    assert address(scope(_PROXY, b"10.3.3.3,10.2.2.2")) == "10.3.3.3"
    assert address(scope(_PROXY, b"1.1.1.1, ,10.2.2.2")) == "10.2.2.2"
    assert address(scope(_PROXY)) == _PROXY
    assert address(scope("::ffff:10.0.0.1", b"192.0.2.7")) == "192.0.2.7"
    assert address(scope(_PROXY, b"192.0.2.7" + b",10.0.0.2" * 10_000)) == "10.0.0.2"


def test_networks_may_be_written_as_mapped() -> None:
    """An IPv4 network in its IPv6 form means the same."""
    assert ClientAddress(["::ffff:10.0.0.0/104"])(scope(_PROXY, b"192.0.2.7")) == "192.0.2.7"


def test_peers_without_an_address_share_a_key() -> None:
    """A Unix socket's peers have one limit, unless the proxy behind it is trusted."""
    for peer in (None, "", "testclient"):
        assert ClientAddress()(scope(peer, b"192.0.2.7")) == "unix"
    trusted = ClientAddress(["unix"])
    assert trusted(scope(None, b"192.0.2.7")) == trusted(scope("", b"192.0.2.7")) == "192.0.2.7"
    assert trusted(scope("testclient", b"192.0.2.7")) == trusted(scope(None, b"?")) == "unix"
    assert trusted(scope("198.51.100.1", b"192.0.2.7")) == "198.51.100.1"


def test_mistakes_in_the_setting_are_reported() -> None:
    """What is no network is refused, and named."""
    with pytest.raises(InvalidOptionError, match=r"'10\.0\.0\.1/8'"):
        ClientAddress(["10.0.0.1/8"])
    with pytest.raises(InvalidOptionError, match="'proxy'"):
        ClientAddress(["proxy"])
    with pytest.raises(TypeError):
        ClientAddress("10.0.0.0/8")
    with pytest.raises(TypeError):
        ClientAddress([1])  # type: ignore[list-item]
