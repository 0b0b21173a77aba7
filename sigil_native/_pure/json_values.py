"""JSON from Python values: in RFC 8785's form, or as ``JSON.stringify`` writes it.

Both walk the value with a stack of their own, never by recursion, so that the
limit on nesting is ours and not the interpreter's.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import isfinite

from sigil_native._arguments import json_options
from sigil_native._constants import DEFAULT_MAX_DEPTH
from sigil_native._problems import canonicalization_error
from sigil_native._pure.json_scalars import (
    has_surrogate,
    integer_text,
    integer_text_as_ecmascript,
    joined_surrogates,
    number_text,
    pointer_text,
    string_text,
    string_text_as_ecmascript,
    utf16_order,
)
from sigil_native.errors import CanonicalizationError

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_ARRAY_INDEX = 2**32 - 2

Member = tuple["str | int", object]


def canonicalize(
    value: object,
    *,
    integers: str = "safe",
    max_depth: int = DEFAULT_MAX_DEPTH,
    max_bytes: int | None = None,
) -> bytes:
    """Return the RFC 8785 form of a Python value.

    Args:
        value: None, bool, int, float, str, list, tuple, dict with str names, or
            a subclass of one of these, which counts by its underlying value.
        integers: ``"safe"`` refuses integers beyond ±(2^53-1) (RFC 7493 §2.2);
            ``"exact"`` writes them digit for digit, up to 4300 digits.
        max_depth: how deep lists and dicts may nest, 1 to 2048.
        max_bytes: the longest result, in bytes; None for no limit.

    Returns:
        UTF-8 bytes: members sorted by UTF-16 code units, numbers as ECMAScript
        writes them, no white space.

    Raises:
        CanonicalizationError: the value is refused; a subclass names the cause,
            ``pointer`` the place.
        InvalidOptionError: an option is unknown or out of range.
        TypeError: an option has a wrong type.
    """
    exact, depth, limit = json_options(integers, max_depth, max_bytes)
    return _CanonicalWriter(exact, depth, limit).write(value)


def stringify(value: object) -> bytes:
    """Return the bytes of ECMAScript's ``JSON.stringify(value)`` (ECMA-262 §25.5.2).

    Member names that are array indices come first and in ascending order, the
    others as they were inserted. Numbers that have no JSON form are refused,
    where ``JSON.stringify`` would write null.

    Raises:
        CanonicalizationError: the value is refused.
    """
    return _EcmascriptWriter(DEFAULT_MAX_DEPTH).write(value)


class _Container:
    """A list or dict being written: the members to come, and the one at hand."""

    def __init__(self, members: Iterator[Member], closing: bytes) -> None:
        self.members = members
        self.closing = closing
        self.token: str | int | None = None


class _Writer(ABC):
    """The walk that both forms share."""

    def __init__(self, max_depth: int, max_bytes: int | None) -> None:
        self.max_depth = max_depth
        self.max_bytes = max_bytes
        self.out: list[bytes] = []
        self.size = 0
        self.open: list[_Container] = []

    @abstractmethod
    def string(self, value: str) -> bytes:
        """A string in quotes."""

    @abstractmethod
    def integer(self, value: int) -> str | None:
        """An integer's digits; None where it is out of range."""

    @abstractmethod
    def ordered(self, names: dict[str, object]) -> list[str]:
        """The names of an object in the order in which they are written."""

    def write(self, root: object) -> bytes:
        """Write the value and all it holds."""
        self.begin(root)
        while self.open:
            container = self.open[-1]
            is_first = container.token is None
            container.token = None
            for token, value in container.members:
                if not is_first:
                    self.append(b",")
                container.token = token
                if isinstance(token, str):
                    self.append(self.string(token) + b":")
                self.begin(value)
                break
            else:
                self.open.pop()
                self.append(container.closing)
                self.check_size()
        return b"".join(self.out)

    def begin(self, value: object) -> None:
        """Write a scalar, or enter a container."""
        # The type itself is asked, as a value's __class__ may pretend.
        kind = type(value)
        if issubclass(kind, (list, tuple, dict)):
            if len(self.open) >= self.max_depth:
                raise self.error("nesting_too_deep")
            self.enter(value)
            return
        self.append(self.scalar(kind, value))
        self.check_size()

    def enter(self, value: object) -> None:
        """Open a list or dict; a method that a subclass overrides is never called."""
        if isinstance(value, dict):
            members = self.members_in_order(list(dict.items(value)))
            self.append(b"{")
            self.open.append(_Container(iter(members), b"}"))
        else:
            items = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)  # type: ignore[arg-type]
            self.append(b"[")
            self.open.append(_Container(enumerate(items), b"]"))

    def scalar(self, kind: type, value: object) -> bytes:
        """Write a value that holds no others."""
        if value is None:
            return b"null"
        if value is True:
            return b"true"
        if value is False:
            return b"false"
        if issubclass(kind, str):
            return self.string(str.__str__(value))
        if issubclass(kind, int):
            digits = self.integer(int.__int__(value))  # type: ignore[arg-type]
            if digits is None:
                raise self.error("integer_range")
            return digits.encode()
        if issubclass(kind, float):
            number = float.__float__(value)  # type: ignore[arg-type]
            if not isfinite(number):
                raise self.error("non_finite_number")
            return number_text(number).encode()
        raise self.error("unsupported_type", detail=kind.__name__)

    def members_in_order(self, items: list[tuple[object, object]]) -> list[tuple[str, object]]:
        """Look at all names, in the order of insertion; then sort."""
        members: dict[str, object] = {}
        repeated = []
        for name, value in items:
            if not issubclass(type(name), str):
                raise self.error("unsupported_name_type", detail=type(name).__name__)
            plain = self.plain_name(str.__str__(name))
            if plain in members:
                repeated.append(plain)
            members[plain] = value
        if repeated:
            raise self.error("duplicate_name", [min(repeated, key=utf16_order)])
        return [(name, members[name]) for name in self.ordered(members)]

    @abstractmethod
    def plain_name(self, name: str) -> str:
        """The name that counts; an error where it has none."""

    def append(self, piece: bytes) -> None:
        self.out.append(piece)
        self.size += len(piece)

    def check_size(self) -> None:
        """Judge the size so far; called when a value is complete."""
        if self.max_bytes is not None and self.size > self.max_bytes:
            raise canonicalization_error("document_too_large")

    def error(self, problem: str, below: list[str] | None = None, detail: str = "") -> CanonicalizationError:
        """The error for the value at hand, or for a member of it."""
        tokens = [container.token for container in self.open if container.token is not None]
        pointer = pointer_text([*tokens, *(below or [])])
        return canonicalization_error(problem, pointer=pointer, detail=detail)


class _CanonicalWriter(_Writer):
    """Writes RFC 8785."""

    def __init__(self, exact: bool, max_depth: int, max_bytes: int | None) -> None:
        super().__init__(max_depth, max_bytes)
        self.exact = exact

    def string(self, value: str) -> bytes:
        if has_surrogate(value):
            raise self.error("lone_surrogate")
        return string_text(value)

    def integer(self, value: int) -> str | None:
        return integer_text(value, self.exact)

    def plain_name(self, name: str) -> str:
        if has_surrogate(name):
            raise self.error("lone_surrogate")
        return name

    def ordered(self, names: dict[str, object]) -> list[str]:
        return sorted(names, key=utf16_order)


class _EcmascriptWriter(_Writer):
    """Writes what ``JSON.stringify`` does."""

    def __init__(self, max_depth: int) -> None:
        super().__init__(max_depth, None)

    def string(self, value: str) -> bytes:
        return string_text_as_ecmascript(value)

    def integer(self, value: int) -> str | None:
        return integer_text_as_ecmascript(value)

    def plain_name(self, name: str) -> str:
        return joined_surrogates(name)  # as in UTF-16, where a pair is a character

    def ordered(self, names: dict[str, object]) -> list[str]:
        """The order of ECMA-262 §10.1.11.1, OrdinaryOwnPropertyKeys."""
        indices = [name for name in names if _is_array_index(name)]
        return sorted(indices, key=int) + [name for name in names if not _is_array_index(name)]


def _is_array_index(name: str) -> bool:
    return _ARRAY_INDEX.fullmatch(name) is not None and int(name) <= _LAST_ARRAY_INDEX
