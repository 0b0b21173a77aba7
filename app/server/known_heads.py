"""Heads of requests that were read before.

A client whose connection stays open sends the same head again and again, but for the length of its body.
What a parser finds in a head depends on nothing but its bytes, so it is kept, and found again by them: one
look into a dict in the place of a dozen callbacks.
"""

from __future__ import annotations

from typing import Any, Final

from app.http.context import HEAD
from app.http.head_facts import HeadFacts

#: Heads that are kept, and what they may have together, in bytes: twice as much is taken, at most.
_MOST: Final = 4096
_MOST_BYTES: Final = 4 << 20
#: A longer head is mostly of a client that has much to say, and says something else each time.
_LONGEST: Final = 4096
END: Final = b"\r\n\r\n"


class KnownHead:
    """A head, and what was found in it.

    Attributes:
        scope: of ASGI, as far as the head says it; shared by all requests that have it, so not to be changed.
        body_size: bytes of the body that it announces.
        route: method and path.
        facts: what the service reads in its headers.
    """

    __slots__ = ("body_size", "facts", "route", "scope")

    def __init__(self, scope: dict[str, Any], body_size: int) -> None:
        self.body_size = body_size
        self.route: tuple[str, str] = (scope["method"], scope["path"])
        self.facts = HeadFacts(scope["headers"])
        self.scope = {**scope, HEAD: self.facts}

    @property
    def query_string(self) -> bytes:
        """What stands behind the path's question mark."""
        query_string: bytes = self.scope["query_string"]
        return query_string


class KnownHeads:
    """The heads that a process read last, of all connections. The oldest makes room for a new one."""

    def __init__(self, *, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._heads: dict[bytes, KnownHead] = {}
        self._bytes = 0
        #: The head that these bytes are, up to their empty line; None if it is not known.
        self.get: Final = self._heads.get

    def __len__(self) -> int:
        return len(self._heads)

    def remember(self, text: bytes, scope: dict[str, Any], body_size: int) -> None:
        """Keep a head that a parser has read: it found this in exactly these bytes, and nothing else."""
        if len(text) > _LONGEST or text in self._heads:
            return
        while self._heads and (len(self._heads) >= self._most or self._bytes + len(text) > self._most_bytes):
            oldest = next(iter(self._heads))
            del self._heads[oldest]
            self._bytes -= len(oldest)
        self._heads[text] = KnownHead(scope, body_size)
        self._bytes += len(text)
