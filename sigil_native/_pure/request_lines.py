"""The lines of a body on their way to an answer: what those that ask for seals and for verdicts share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Generic, Literal, NoReturn, Self, TypeVar

from sigil_native._constants import DEFAULT_MAX_DEPTH, MAX_EXPIRY_MS
from sigil_native._pure.json_text import canonical_bytes
from sigil_native._pure.lines import split_lines
from sigil_native._pure.sigil import Sigil
from sigil_native._request_arguments import check_bytes, line_place, line_range, request_body
from sigil_native.errors import CanonicalizationError

_SOMETHING = re.compile(rb"[^ \t\r]")


class RequestLine:
    """A line on its way."""

    __slots__ = ("answer", "number", "payload", "sigil", "state", "text")

    def __init__(self, number: int, text: bytes) -> None:
        self.number = number
        self.text = text
        self.state: Literal["unread", "read", "done", "refused"] = "unread"
        self.payload = self.answer = b""
        self.sigil: Sigil | None = None


_Line = TypeVar("_Line", bound=RequestLine)


class RequestLines(Generic[_Line]):
    """The lines of a body, each of which asks for something, on their way to an answer.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.
    """

    __slots__ = ("_end", "_lines", "_next_number")

    _kind: type[_Line]

    _end: int
    _lines: list[_Line]
    _next_number: int

    # Not __init__, so that the lines are found once, whoever calls that again.
    def __new__(cls, body: str | bytes | bytearray | memoryview, *, most: int, number: int = 1) -> Self:
        """Find the lines.

        Args:
            body: JSON texts, a line each.
            most: lines that are not blank, at most; ``end`` tells where another one begins.
            number: of the first line.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: ``most`` or ``number`` is less than 1.
        """
        self = super().__new__(cls)
        raw, most, number = request_body(body, most, number)
        self._lines = []
        texts = split_lines(raw)
        self._end, self._next_number = len(raw), number + len(texts)
        begin = 0
        for place, text in enumerate(texts):
            if _SOMETHING.search(text):
                if len(self._lines) == most:
                    self._end, self._next_number = begin, number + place
                    break
                self._lines.append(self._kind(number + place, text))
            begin = raw.find(b"\n", begin) + 1
        return self

    @property
    def end(self) -> int:
        """How much of the body was looked at."""
        return self._end

    @property
    def next_number(self) -> int:
        """The number of the line that begins there, or would."""
        return self._next_number

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__}")

    def __len__(self) -> int:
        return len(self._lines)

    def number(self, index: int) -> int:
        """The number of a line in the body, blank ones included."""
        return self._line(index).number

    def text(self, index: int) -> bytes:
        """The bytes of a line, without its LF or CR LF."""
        return self._line(index).text

    def refuse(self, index: int, answer: bytes) -> None:
        """Give the answer to a line that was left and is told what is wrong with it, with its line feed."""
        check_bytes(answer, "answer")
        line = self._unread(index)
        line.answer, line.state = answer, "refused"

    def _range(self, first: int, last: int) -> list[_Line]:
        begin, end = line_range(first, last, len(self._lines))
        return self._lines[begin:end]

    def _line(self, index: int) -> _Line:
        return self._lines[line_place(index, len(self._lines))]

    def _unread(self, index: int) -> _Line:
        line = self._line(index)
        if line.state != "unread":
            raise ValueError(f"line {line.number} was read, or refused, before")
        return line


def is_read(line: RequestLine, text: bytes) -> bool:
    """Read what stands where a plain line has its payload, by the default rules; whether it is good."""
    try:
        line.payload = canonical_bytes(
            text, from_str=False, exact=False, max_depth=DEFAULT_MAX_DEPTH, max_bytes=None
        )
    except CanonicalizationError:
        return False
    line.state = "read"
    return True


def check_states(lines: Iterable[RequestLine], wanted: str) -> None:
    """Refuse lines that are neither in the wanted state nor refused.

    Raises:
        ValueError: there is one.
    """
    for line in lines:
        if line.state not in {wanted, "refused"}:
            raise ValueError(f"line {line.number} is not ready for this")


def _moment(milliseconds: int) -> str:
    second, thousandths = divmod(min(milliseconds, MAX_EXPIRY_MS), 1000)
    return f"{datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()}.{thousandths:03}Z"


def _expiry(sigil: Sigil) -> str:
    return f'"{_moment(sigil.expires_at_ms)}"' if sigil.expires_at_ms else "null"


#: What answers may tell of a sigil.
_FIELDS: dict[str, Callable[[Sigil], str]] = {
    "id": lambda sigil: sigil.id,
    "sigil": lambda sigil: sigil.text,
    "key_id": lambda sigil: f"{sigil.key_id:08x}",
    "issued_at": lambda sigil: _moment(sigil.issued_at_ms),
    "expires_at": _expiry,
}


def answer(sigil: Sigil | None, parts: Iterable[bytes | str], others: Mapping[str, str]) -> bytes:
    """An answer of its parts; ``others`` are fields that do not come from the sigil."""
    told = []
    for part in parts:
        if isinstance(part, bytes):
            told.append(part)
        elif part in others:
            told.append(others[part].encode())
        elif sigil is not None:
            told.append(_FIELDS[part](sigil).encode())
    return b"".join(told)


def sha256_of(line: RequestLine) -> str:
    """SHA-256 of a line's payload, hexadecimal."""
    return hashlib.sha256(line.payload).hexdigest()
