"""The lines of a body that ask for verdicts, from its bytes to those of the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, final

from sigil_native._constants import DEFAULT_MAX_DEPTH, VERDICT_FIELDS
from sigil_native._pure.json_text import canonical_bytes
from sigil_native._pure.keyring import KeyRing
from sigil_native._pure.request_lines import (
    RequestLine,
    RequestLines,
    answer,
    check_states,
    is_read,
    sha256_of,
)
from sigil_native._pure.sealing import check
from sigil_native._pure.sigil import parse
from sigil_native._request_arguments import answer_parts, check_bytes, check_text, line_range
from sigil_native.errors import (
    CanonicalizationError,
    IssuedInFutureError,
    SigilExpiredError,
    SigilFormatError,
    UnknownKeyError,
    VerificationError,
)

#: A line between its braces: the sigil first, or last; or alone, as a token may be.
_SIGIL = rb'"sigil"[ \t\r]*:[ \t\r]*"([ !#-\[\]-~]*)"'
_FIRST = re.compile(
    rb"[ \t\r]*\{[ \t\r]*" + _SIGIL + rb'[ \t\r]*,[ \t\r]*"data"[ \t\r]*:[ \t\r]*(\{.*\})[ \t\r]*\}[ \t\r]*',
    re.DOTALL,
)
_LAST = re.compile(
    rb'[ \t\r]*\{[ \t\r]*"data"[ \t\r]*:[ \t\r]*(\{.*\})[ \t\r]*,[ \t\r]*' + _SIGIL + rb"[ \t\r]*\}[ \t\r]*",
    re.DOTALL,
)
_ALONE = re.compile(rb"[ \t\r]*\{[ \t\r]*" + _SIGIL + rb"[ \t\r]*\}[ \t\r]*")
#: Where the tag holds.
_PROVEN = frozenset({None, IssuedInFutureError.code, SigilExpiredError.code})
_WITHOUT_KEY = frozenset({SigilFormatError.code, UnknownKeyError.code})


class _Line(RequestLine):
    """A line that asks for a verdict."""

    __slots__ = ("carried", "code")

    def __init__(self, number: int, text: bytes) -> None:
        super().__init__(number, text)
        self.carried: bytes | None = None
        self.code: str | None = None


@final
class VerifyRequests(RequestLines[_Line]):
    """The lines of a body, each of which asks for a verdict on a sigil, on their way to an answer.

    Blank lines are passed over. In this order: ``read`` what is plain; ``accept`` or ``refuse`` each line
    that ``read`` left; ``SigilCodec.judge_requests``; then ``findings``, ``issued``, ``claims`` and
    ``answers``. Each takes a range of lines, so that long bodies can be worked on a piece at a time.

    It belongs to one thread at a time.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.
    """

    __slots__ = ()

    _kind = _Line

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{VerifyRequests.__name__} is final")

    def read(self, first: int, last: int) -> list[int]:
        """Read those lines of a range that are plain.

        A plain line is an object of ``sigil``, a string of printable ASCII without escapes, and ``data``,
        which is an object; in either order. The payload is read as ``canonicalize_json`` does by default.
        Or it has ``sigil`` alone, a token that carries JSON: its payload, with ``integers="exact"``.

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

    def accept(self, index: int, sigil: str, payload: bytes | None) -> None:
        """Give the sigil and the payload of a line that was left.

        Args:
            index: the line's place.
            sigil: in any of its text forms. A token must carry this payload.
            payload: in its RFC 8785 form, which nobody checks again; None where a token holds none.

        Raises:
            IndexError: there is no such line.
            ValueError: it was read, or refused, before.
            TypeError: an argument of a wrong type.
        """
        check_text(sigil, "sigil")
        if payload is not None:
            check_bytes(payload, "payload")
        line = self._unread(index)
        line.payload, line.state = payload or b"", "read"
        if payload is None:
            line.code = SigilFormatError.code
        else:
            _place(line, sigil)

    def findings(self, first: int, last: int) -> tuple[list[tuple[str | None, int | None]], list[int]]:
        """What was found of a range of lines, one by one.

        Returns:
            The kinds of findings, each once: the ``code`` of the error that says why the seal does not
            hold, or None; and the id of its key, None where it has none that the ring holds. Then, for each
            line, the place of its kind; -1 where it is refused.
        """
        lines = self._range(first, last)
        check_states(lines, "done")
        places: dict[tuple[str | None, int | None], int] = {}
        chosen = [
            -1 if line.state == "refused" else places.setdefault(_kind_of(line), len(places))
            for line in lines
        ]
        return list(places), chosen

    def issued(self, first: int, last: int) -> list[str | None]:
        """The ids of a range's sigils, as text; None where the tag does not hold."""
        return [
            line.sigil.id
            if line.state == "done" and line.sigil is not None and line.code in _PROVEN
            else None
            for line in self._range(first, last)
        ]

    def claims(self, first: int, last: int) -> list[tuple[str, int] | None]:
        """The ids of a range's sigils, as text, and of their keys, proven or not; None where it is none."""
        return [
            (line.sigil.id, line.sigil.key_id) if line.state == "done" and line.sigil is not None else None
            for line in self._range(first, last)
        ]

    def answers(
        self, kinds: Sequence[Iterable[bytes | str]], chosen: Sequence[int], first: int, last: int
    ) -> bytes:
        """The answers to a range of lines that are judged or refused, in their order.

        Args:
            kinds: for each kind of answer what it is made of, its line feed included: bytes stand for
                themselves; ``"id"``, ``"sigil"``, ``"key_id"`` (eight hexadecimal digits), ``"issued_at"``
                (RFC 3339, UTC, to the millisecond), ``"expires_at"`` (the same in quotes, or null) and
                ``"canonical_sha256"`` (hexadecimal in quotes; null: no payload) for what they name.
            chosen: for each line the place of its kind; of lines that are refused it says nothing.
            first: the first line.
            last: the line behind the last one.

        Raises:
            IndexError: there is no such range, or kind.
            ValueError: a line is neither judged nor refused, or has not what its answer names; or ``chosen``
                is of another length.
            InvalidOptionError: more than 32 parts, or a name that is none of these.
            TypeError: a part is neither bytes nor str.
        """
        pieces = [answer_parts(parts, VERDICT_FIELDS) for parts in kinds]
        lines = self._range(first, last)
        check_states(lines, "done")
        if len(chosen) != len(lines):
            raise ValueError("there must be a kind for each line")
        answers = []
        for line, place in zip(lines, chosen, strict=True):
            if line.state == "refused":
                answers.append(line.answer)
            elif 0 <= (kind := index(place)) < len(pieces):
                answers.append(_answer(line, pieces[kind]))
            else:
                raise IndexError("no such kind")
        return b"".join(answers)

    def judge(self, ring: KeyRing, first: int, last: int, tenant: bytes, now_ms: int, skew_ms: int) -> None:
        """Judge those lines of a range that are read; see ``SigilCodec.judge_requests``."""
        lines = self._range(first, last)
        check_states(lines, "read")
        for line in lines:
            if line.state == "refused":
                continue
            if line.sigil is not None:
                try:
                    check(ring, (line.sigil, line.carried), line.payload, tenant, now_ms, skew_ms)
                except VerificationError as error:
                    line.code = error.code
            line.state = "done"


def _read(line: _Line) -> None:
    if first := _FIRST.fullmatch(line.text):
        sigil, payload = first.groups()
    elif last := _LAST.fullmatch(line.text):
        payload, sigil = last.groups()
    else:
        if alone := _ALONE.fullmatch(line.text):
            _read_token(line, alone[1].decode())
        return
    if is_read(line, payload):
        _place(line, sigil.decode())


def _read_token(line: _Line, spelling: str) -> None:
    """Read a token that stands alone, and carries JSON."""
    try:
        sigil, carried = parse(spelling)
        if carried is not None:
            line.payload = canonical_bytes(
                carried, from_str=False, exact=True, max_depth=DEFAULT_MAX_DEPTH, max_bytes=None
            )
            line.sigil, line.carried, line.state = sigil, carried, "read"
    except (SigilFormatError, CanonicalizationError):
        pass  # somebody else's to read


def _place(line: _Line, spelling: str) -> None:
    try:
        line.sigil, line.carried = parse(spelling)
    except SigilFormatError as error:
        line.code = error.code


def _kind_of(line: _Line) -> tuple[str | None, int | None]:
    sigil = line.sigil
    return line.code, None if sigil is None or line.code in _WITHOUT_KEY else sigil.key_id


def _answer(line: _Line, parts: tuple[bytes | str, ...]) -> bytes:
    others = {"canonical_sha256": f'"{sha256_of(line)}"' if line.payload else "null"}
    named = {part for part in parts if isinstance(part, str)} - others.keys()
    if named and line.sigil is None:
        raise ValueError(f"line {line.number} has no sigil")
    return answer(line.sigil, parts, others)
