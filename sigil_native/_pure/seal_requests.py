"""The lines of a body that ask for seals, from its bytes to those of the answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, final

from sigil_native._arguments import lifetime_ms, tenant_bytes
from sigil_native._constants import DEFAULT_MAX_DEPTH, MAX_EXPIRY_MS, MAX_PLAIN_LIFETIME
from sigil_native._pure.json_text import canonical_bytes
from sigil_native._pure.keyring import KeyRing
from sigil_native._pure.lines import split_lines
from sigil_native._pure.sealing import clock_ms, seal
from sigil_native._pure.sigil import Sigil, parse
from sigil_native._request_arguments import answer_parts, line_range, request_body
from sigil_native.errors import CanonicalizationError, InvalidExpiryError

_SOMETHING = re.compile(rb"[^ \t\r]")
_HEAD = re.compile(rb'[ \t\r]*\{[ \t\r]*"data"[ \t\r]*:[ \t\r]*(?=\{)')
#: At the end of a line, behind its payload.
_TAIL = re.compile(
    rb'(?<=\})(?:[ \t\r]*,[ \t\r]*"expires_in"[ \t\r]*:[ \t\r]*(?:null|([1-9][0-9]{0,9})))?'
    rb"[ \t\r]*\}[ \t\r]*\Z"
)


class _Line:
    """A line on its way."""

    __slots__ = ("answer", "lifetime", "number", "payload", "sigil", "state", "text")

    def __init__(self, number: int, text: bytes) -> None:
        self.number = number
        self.text = text
        self.state: Literal["unread", "read", "sealed", "refused"] = "unread"
        self.payload = self.answer = b""
        self.lifetime: int | None = None
        self.sigil: Sigil | None = None

    @property
    def seal(self) -> Sigil:
        """The seal of a sealed line."""
        if self.sigil is None:
            raise ValueError(f"line {self.number} is not ready for this")
        return self.sigil


@final
class SealRequests:
    """The lines of a body, each of which asks for a seal, on their way to an answer.

    Blank lines are passed over. In this order: ``read`` what is plain; ``accept`` or ``refuse`` each line
    that ``read`` left; ``SigilCodec.seal_requests``; then ``sealed``, ``ids`` and ``answers``. Each takes a
    range of lines, so that long bodies can be worked on a piece at a time.

    It belongs to one thread at a time.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.
    """

    __slots__ = ("_lines", "end", "next_number")

    end: int
    next_number: int

    def __init__(self, body: str | bytes | bytearray | memoryview, *, most: int, number: int = 1) -> None:
        """Find the lines.

        Args:
            body: JSON texts, a line each.
            most: lines that are not blank, at most; ``end`` tells where another one begins.
            number: of the first line.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: ``most`` or ``number`` is less than 1.
        """
        raw, most, number = request_body(body, most, number)
        self._lines: list[_Line] = []
        texts = split_lines(raw)
        self.end, self.next_number = len(raw), number + len(texts)
        begin = 0
        for place, text in enumerate(texts):
            if _SOMETHING.search(text):
                if len(self._lines) == most:
                    self.end, self.next_number = begin, number + place
                    break
                self._lines.append(_Line(number + place, text))
            begin = raw.find(b"\n", begin) + 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{SealRequests.__name__} is final")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle SealRequests")

    def __len__(self) -> int:
        return len(self._lines)

    def number(self, index: int) -> int:
        """The number of a line in the body, blank ones included."""
        return self._line(index).number

    def text(self, index: int) -> bytes:
        """The bytes of a line, without its LF or CR LF."""
        return self._line(index).text

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
            InvalidExpiryError: it is out of range.
        """
        line = self._unread(index)
        lifetime = lifetime_ms(expires_in)
        if lifetime is not None and clock_ms() + lifetime > MAX_EXPIRY_MS:
            raise InvalidExpiryError("expires_in is out of range")
        line.payload, line.lifetime, line.state = payload, lifetime, "read"

    def refuse(self, index: int, answer: bytes) -> None:
        """Give the answer to a line that was left and gets no seal, with its line feed."""
        line = self._unread(index)
        line.answer, line.state = answer, "refused"

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
            InvalidOptionError: more than 32 parts, or a name that is none of these.
            TypeError: a part is neither bytes nor str.
        """
        pieces = answer_parts(parts)
        lines = self._range(first, last)
        _check_states(lines, "sealed")
        return b"".join(
            line.answer if line.state == "refused" else _answer(line, pieces, now_ms) for line in lines
        )

    def seal(self, ring: KeyRing, tenant: str, first: int, last: int) -> None:
        """Seal those lines of a range that are read; see ``SigilCodec.seal_requests``."""
        name = tenant_bytes(tenant)
        lines = self._range(first, last)
        _check_states(lines, "read")
        now = clock_ms()
        if any(now + (line.lifetime or 0) > MAX_EXPIRY_MS for line in lines):
            raise InvalidExpiryError("expires_in is out of range")
        for line in lines:
            if line.state == "read":
                line.sigil = parse(seal(ring, line.payload, name, line.lifetime, "text"))[0]
                line.state = "sealed"

    def _range(self, first: int, last: int) -> list[_Line]:
        begin, end = line_range(first, last, len(self._lines))
        return self._lines[begin:end]

    def _line(self, index: int) -> _Line:
        if not 0 <= index < len(self._lines):
            raise IndexError("no such line")
        return self._lines[index]

    def _unread(self, index: int) -> _Line:
        line = self._line(index)
        if line.state != "unread":
            raise ValueError(f"line {line.number} was read, or refused, before")
        return line


def _read(line: _Line) -> None:
    head, tail = _HEAD.match(line.text), _TAIL.search(line.text)
    if head is None or tail is None or head.end() >= tail.start():
        return
    seconds = int(tail[1] or 0)
    if seconds > MAX_PLAIN_LIFETIME:
        return
    try:
        payload = canonical_bytes(line.text[head.end() : tail.start()], False, False, DEFAULT_MAX_DEPTH, None)
    except CanonicalizationError:
        return
    line.payload, line.lifetime, line.state = payload, seconds * 1000 or None, "read"


def _check_states(lines: Iterable[_Line], wanted: str) -> None:
    for line in lines:
        if line.state not in {wanted, "refused"}:
            raise ValueError(f"line {line.number} is not ready for this")


def _moment(milliseconds: int) -> str:
    second, thousandths = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()}.{thousandths:03}Z"


def _answer(line: _Line, parts: tuple[bytes | str, ...], now_ms: int) -> bytes:
    sigil = line.seal
    expires = sigil.expires_at_ms
    fields = {
        "id": sigil.id,
        "sigil": sigil.text,
        "key_id": f"{sigil.key_id:08x}",
        "issued_at": _moment(sigil.issued_at_ms),
        "expires_at": f'"{_moment(expires)}"' if expires else "null",
        "status": "expired" if expires and now_ms >= expires else "active",
        "canonical_sha256": hashlib.sha256(line.payload).hexdigest(),
    }
    return b"".join(part if isinstance(part, bytes) else fields[part].encode() for part in parts)
