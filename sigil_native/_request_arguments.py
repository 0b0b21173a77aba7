"""Checks of what ``SealRequests`` and ``VerifyRequests`` are given, the same for both backends."""

from __future__ import annotations

from operator import index

from sigil_native._arguments import text_bytes
from sigil_native._constants import MOST_ANSWER_PARTS
from sigil_native.errors import (
    InvalidOptionError,
    IssuedInFutureError,
    KeyNotYetValidError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    SigilFormatError,
    TagMismatchError,
    UnknownKeyError,
)

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import SupportsIndex

_LARGEST = 1 << 31

#: Why a seal does not hold, in the order in which that is looked at.
VERDICT_ERRORS = (
    None,
    SigilFormatError,
    UnknownKeyError,
    RevokedKeyError,
    KeyNotYetValidError,
    RetiredKeyError,
    TagMismatchError,
    IssuedInFutureError,
    SigilExpiredError,
)
VERDICT_CODES = tuple(None if error is None else error.code for error in VERDICT_ERRORS)


def _count(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    if not 1 <= value <= _LARGEST:
        raise InvalidOptionError(f"{what} must be between 1 and {_LARGEST}")
    return value


def request_body(body: object, most: object, number: object) -> tuple[bytes, int, int]:
    """A body, how many of its lines are looked at, and the number of the first.

    Raises:
        TypeError: a wrong type.
        InvalidOptionError: a number is out of range.
    """
    return text_bytes(body, "body"), _count(most, "most"), _count(number, "number")


def check_requests(requests: object, kind: type) -> None:
    """Refuse what are no requests of this kind, with TypeError."""
    if not isinstance(requests, kind):
        raise TypeError(f"requests must be {kind.__name__}, not {type(requests).__name__}")


def check_bytes(value: object, what: str) -> None:
    """Refuse what is not bytes, with TypeError."""
    if type(value) is not bytes:
        raise TypeError(f"{what} must be bytes, not {type(value).__name__}")


def check_text(value: object, what: str) -> None:
    """Refuse what is not str, with TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str, not {type(value).__name__}")


def answer_moment(now_ms: object) -> int:
    """The moment that answers are told of, in milliseconds since the Unix epoch.

    Raises:
        TypeError: not an int.
        InvalidOptionError: more than 64 bits hold.
    """
    if not isinstance(now_ms, int) or isinstance(now_ms, bool):
        raise TypeError(f"now_ms must be int, not {type(now_ms).__name__}")
    if not -(1 << 63) <= now_ms < 1 << 63:
        raise InvalidOptionError("now_ms is out of range")
    return now_ms


def line_place(place: SupportsIndex, count: int) -> int:
    """The place of a line.

    Raises:
        TypeError: not a whole number.
        IndexError: there is no such line.
    """
    found = index(place)
    if not 0 <= found < count:
        raise IndexError("no such line")
    return found


def line_range(first: SupportsIndex, last: SupportsIndex, count: int) -> tuple[int, int]:
    """A range of lines, by their places.

    Raises:
        TypeError: not whole numbers.
        IndexError: there is no such range.
    """
    begin, end = index(first), index(last)
    if not 0 <= begin <= end <= count:
        raise IndexError("no such lines")
    return begin, end


def answer_parts(parts: Iterable[object], fields: Collection[str]) -> tuple[bytes | str, ...]:
    """What answers are made of; ``fields`` are the names that they may have in them.

    Raises:
        TypeError: a part is neither bytes nor str.
        InvalidOptionError: too many, or a name that no field has.
    """
    checked: list[bytes | str] = []
    for part in parts:
        if type(part) is bytes:
            checked.append(part)
        elif isinstance(part, str):
            if part not in fields:
                raise InvalidOptionError(f"a field of an answer is one of {', '.join(fields)}")
            checked.append(part)
        else:
            raise TypeError(f"a part must be bytes or str, not {type(part).__name__}")
    if len(checked) > MOST_ANSWER_PARTS:
        raise InvalidOptionError(f"an answer has at most {MOST_ANSWER_PARTS} parts")
    return tuple(checked)
