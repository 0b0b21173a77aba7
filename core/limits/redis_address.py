"""Where Redis is: the URLs that are understood, and what is refused instead of guessed at."""

from __future__ import annotations

import re
import ssl
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

#: Letters of a user name or a password as they are, all others percent-encoded (RFC 3986 section 3.2.1).
_LETTERS: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_ACCESS: Final = rf"(?:(?P<username>{_LETTERS})(?::(?P<password>{_LETTERS}))?@)?"
_QUERY: Final = r"(?:\?(?P<query>[!-~]*))?"
_NETWORK: Final = re.compile(rf"{_ACCESS}(?P<hosts>[A-Za-z0-9._:,\[\]-]+)(?:/(?P<db>[0-9]{{1,4}})?)?{_QUERY}")
_SOCKET: Final = re.compile(rf"{_ACCESS}(?P<path>/[!-~]*?){_QUERY}")
_HOST: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?))(?::(?P<port>[0-9]{1,5}))?"
)
_SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_DEFAULT_PORT: Final = 6379
_LONGEST_NAME: Final = 253


class RedisAddress:
    """Where Redis is, and how to get in. Shows no secrets.

    Attributes:
        cluster: whether it is a cluster, of which these are some nodes.
        nodes: for each node ``host`` and ``port``, or ``path``, and what else its connections need, under the
            names that redis-py has for it; ``tls`` where they are encrypted.
    """

    __slots__ = ("cluster", "nodes")

    def __init__(self, url: str) -> None:
        """Read a URL.

        ``redis://``, ``rediss://`` (TLS) and ``unix://`` as redis-py has them, but strictly: what redis-py
        would pass over is refused. ``redis+cluster://`` and ``rediss+cluster://`` name one or more nodes of a
        cluster, separated by commas: ``redis+cluster://user:password@one:6379,two:6379``.

        Raises:
            ValueError: it is none of these. The message has nothing of the URL.
        """
        scheme, _, rest = url.partition("://")
        kind = _SOCKET if scheme == "unix" else _NETWORK
        found = kind.fullmatch(rest) if scheme in _SCHEMES else None
        if found is None:
            schemes = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
            raise ValueError(
                f"not the URL of a Redis server: {schemes}; other characters than letters and digits of a "
                "password must be percent-encoded"
            )
        self.cluster = scheme.endswith("+cluster")
        shared: dict[str, Any] = {
            name: unquote(value, errors="strict")
            for name in ("username", "password")
            if (value := found[name])
        }
        if scheme.startswith("rediss"):
            shared["tls"] = True
        shared |= _options(found["query"], scheme)
        if scheme == "unix":
            self.nodes = [{"path": found["path"], **shared}]
            return
        if found["db"]:
            shared["db"] = int(found["db"])
        if self.cluster and shared.get("db"):
            raise ValueError("a Redis Cluster has no database but 0")
        hosts = found["hosts"].split(",") if self.cluster else [found["hosts"]]
        self.nodes = [{**_place(host), **shared} for host in hosts]

    def __repr__(self) -> str:
        names = ", ".join(map(name_of, self.nodes))
        return f"RedisAddress({'cluster of ' if self.cluster else ''}{names})"

    def node(self, host: str, port: int) -> dict[str, Any]:
        """The options for another node of the cluster."""
        return {**self.nodes[0], "host": host, "port": port}

    def check_files(self) -> None:
        """Look at the certificates and keys that the URL names.

        Raises:
            ValueError: one of them cannot be used.
        """
        authorities, certificate, key = (self.nodes[0].get(name) for name in _FILES)
        if key and not certificate:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if authorities:
                context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError):
            raise ValueError("the file of ssl_ca_certs cannot be used") from None
        try:
            if certificate:
                context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError):
            raise ValueError("the files of ssl_certfile and ssl_keyfile cannot be used") from None


def name_of(options: dict[str, Any]) -> str:
    """What a node is called in logs."""
    return str(options["path"]) if "path" in options else f"{options['host']}:{options['port']}"


def _no_password() -> str:
    """Keys that need one are refused; without this, whoever starts the service is asked for it."""
    raise ValueError("the key is encrypted")


def _place(text: str) -> dict[str, Any]:
    found = _HOST.fullmatch(text)
    host = (found["six"] or found["name"]) if found else ""
    port = int(found["port"] or _DEFAULT_PORT) if found else 0
    if not host or len(host) > _LONGEST_NAME or not 1 <= port <= 65535:
        raise ValueError("not the URL of a Redis server: a host, or its port, cannot be one")
    return {"host": host, "port": port}


def _options(query: str | None, scheme: str) -> dict[str, Any]:
    known = ("db",) if scheme == "unix" else _FILES if scheme.startswith("rediss") else ()
    if query is None:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = [("", "")]
    options: dict[str, Any] = dict(pairs)
    # Their names are not shown: what stands here may be a password's end.
    if len(options) < len(pairs) or not options.keys() <= set(known) or not all(options.values()):
        allowed = ", ".join(known) or "none"
        raise ValueError(f"options of such a Redis URL: {allowed}, each once and with a value")
    if "db" in options:
        if not re.fullmatch("[0-9]{1,4}", options["db"]):
            raise ValueError("db of a Redis URL is a number")
        options["db"] = int(options["db"])
    return options
