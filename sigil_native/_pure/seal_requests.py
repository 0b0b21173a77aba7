"""The lines of a body that ask for seals, from its bytes to those of the answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, final

from sigil_native._constants import ANSWER_FIELDS, MAX_EXPIRY_MS, MAX_PLAIN_LIFETIME
from sigil_native._pure.keyring import KeyRing
from sigil_native._pure.request_lines import (
    RequestLine,
    RequestLines,
    answer,
    check_states,
    is_read,
    sha256_of,
)
from sigil_native._pure.sealing import clock_ms, lifetime_of, seal
from sigil_native._pure.sigil import parse
from sigil_native._request_arguments import answer_moment, answer_parts, check_bytes, line_range
from sigil_native.errors import InvalidExpiryError

_HEAD = re.compile(rb'[ \t\r]*\{[ \t\r]*"data"[ \t\r]*:[ \t\r]*(?=\{)')
#: At the end of a line, behind its payload.
_TAIL = re.compile(
    rb'(?<=\})(?:[ \t\r]*,[ \t\r]*"expires_in"[ \t\r]*:[ \t\r]*(?:null|([1-9][0-9]{0,9})))?'
    rb"[ \t\r]*\}[ \t\r]*\Z"
)


class _Line(RequestLine):
    """A line that asks for a seal."""

    __slots__ = ("lifetime",)

    def __init__(self, number: int, text: bytes) -> None:
        super().__init__(number, text)
        self.lifetime: int | None = None


@final
class SealRequests(RequestLines[_Line]):
    """The lines of a body, each of which asks for a seal, on their way to an answer.

    Blank lines are passed over. In this order: ``read`` what is plain; ``accept`` or ``refuse`` each line
    that ``read`` left; ``SigilCodec.seal_requests``; then ``sealed``, ``ids`` and ``answers``. Each takes a
    range of lines, so that long bodies can be worked on a piece at a time.

    It belongs to one thread at a time.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.
    """

    __slots__ = ()

    _kind = _Line

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{SealRequests.__name__} is final")

    def read(self, first: int, last: int) -> list[int]:
        """Read those lines of a range that are plain.

        A plain line is an object of ``data``, which is an object, and behind it, if at all, ``expires_in``:
        null, or a whole number of seconds, a century at most. The payload is read as ``canonicalize_json``
        does by default.

        Returns:
            The lines that are left, by their places: for ``accept`` or ``refuse``.

        Raises:
            IndexError: there is no such range.
        """
        places = range(*line_range(first, last, len(self._lines)))
        for place in places:
            line = self._lines[place]
            if line.state == "unread":
                _read(line)
        return [place for place in places if self._lines[place].state == "unread"]

    def accept(self, index: int, payload: bytes, expires_in: float | None = None) -> None:
        """Give the payload of a line that was left: canonical, which nobody checks again.

        Args:
            index: the line's place.
            payload: in its RFC 8785 form.
            expires_in: as for ``SigilCodec.encode``.

        Raises:
            IndexError: there is no such line.
            ValueError: it was read, or refused, before.
            InvalidExpiryError: the lifetime is out of range.
            TypeError: an argument of a wrong type.
        """
        check_bytes(payload, "payload")
        lifetime = lifetime_of(expires_in)
        line = self._unread(index)
        line.payload, line.lifetime, line.state = payload, lifetime, "read"

    def sealed(self, first: int, last: int) -> list[tuple[bytes, str, int, int, int, bytes, bytes]]:
        """Those of a range that are sealed: (id, sigil, key id, issued, expires, SHA-256, payload) of each.

        The id is 16 bytes, the sigil text; moments are milliseconds since the Unix epoch, 0: never.
        """
        return [
            (
                sigil.header[16:],
                sigil.text,
                sigil.key_id,
                sigil.issued_at_ms,
                sigil.expires_at_ms,
                hashlib.sha256(line.payload).digest(),
                line.payload,
            )
            for line in self._range(first, last)
            if (sigil := line.sigil) is not None
        ]

    def ids(self, first: int, last: int) -> list[str]:
        """The ids of those of a range that are sealed, as text."""
        return [line.sigil.id for line in self._range(first, last) if line.sigil is not None]

    def answers(self, parts: Iterable[bytes | str], first: int, last: int, *, now_ms: int) -> bytes:
        """The answers to a range of lines that are sealed or refused, in their order.

        Args:
            parts: what the answer to a sealed line is made of, its line feed included: bytes stand for
                themselves; ``"id"``, ``"sigil"``, ``"key_id"`` (eight hexadecimal digits), ``"issued_at"``
                (RFC 3339, UTC, to the millisecond), ``"expires_at"`` (the same in quotes, or null),
                ``"status"`` (active or expired) and ``"canonical_sha256"`` (hexadecimal) for what they name.
            first: the first line.
            last: the line behind the last one.
            now_ms: the moment that ``"status"`` is told of, in milliseconds since the Unix epoch.

        Raises:
            IndexError: there is no such range.
            ValueError: a line is neither sealed nor refused.
            InvalidOptionError: more than 32 parts, a name that is none of these, or a moment out of range.
            TypeError: a part is neither bytes nor str, or an argument of a wrong type.
        """
        pieces = answer_parts(parts, ANSWER_FIELDS)
        moment = answer_moment(now_ms)
        lines = self._range(first, last)
        check_states(lines, "done")
        return b"".join(
            line.answer if line.state == "refused" else _answer(line, pieces, moment) for line in lines
        )

    def seal(self, ring: KeyRing, name: bytes, first: int, last: int) -> None:
        """Seal those lines of a range that are read; see ``SigilCodec.seal_requests``."""
        lines = self._range(first, last)
        check_states(lines, "read")
        now = clock_ms()
        if any(now + (line.lifetime or 0) > MAX_EXPIRY_MS for line in lines):
            raise InvalidExpiryError
        for line in lines:
            if line.state == "read":
                line.sigil = parse(seal(ring, line.payload, name, line.lifetime, "text"))[0]
                line.state = "done"


def _read(line: _Line) -> None:
    head, tail = _HEAD.match(line.text), _TAIL.search(line.text)
    if head is None or tail is None or head.end() >= tail.start():
        return
    seconds = int(tail[1] or 0)
    if seconds <= MAX_PLAIN_LIFETIME and is_read(line, line.text[head.end() : tail.start()]):
        line.lifetime = seconds * 1000 or None


def _answer(line: _Line, parts: tuple[bytes | str, ...], now_ms: int) -> bytes:
    sigil = line.sigil
    expires = 0 if sigil is None else sigil.expires_at_ms
    others = {
        "status": "expired" if expires and now_ms >= expires else "active",
        "canonical_sha256": sha256_of(line),
    }
    return answer(sigil, parts, others)
