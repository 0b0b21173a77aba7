"""Canonical JSON from JSON text: a reader of RFC 8259 that writes RFC 8785.

One pass from left to right, without recursion; the first problem in byte
order is the one reported.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from math import isinf
from typing import NoReturn

from sigil_native._arguments import json_options, text_bytes
from sigil_native._constants import DEFAULT_MAX_DEPTH, MAX_INTEGER_DIGITS, MAX_SAFE_INTEGER
from sigil_native._problems import canonicalization_error
from sigil_native._pure.json_scalars import (
    integer_text,
    number_text,
    pointer_text,
    string_text,
    utf16_order,
)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*")
_DIGITS = re.compile(rb"[0-9]*")
_PLAIN_CHARACTERS = re.compile(rb'[^"\\\x00-\x1f]*')
_UNICODE_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})")
_LOW_SURROGATE_ESCAPE = re.compile(rb"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_ESCAPES = {
    b'"': '"',
    b"\\": "\\",
    b"/": "/",
    b"b": "\b",
    b"f": "\f",
    b"n": "\n",
    b"r": "\r",
    b"t": "\t",
}


def canonicalize_json(
    text: str | bytes | bytearray | memoryview,
    *,
    integers: str = "safe",
    max_depth: int = DEFAULT_MAX_DEPTH,
    max_bytes: int | None = None,
) -> bytes:
    """Return the RFC 8785 form of a JSON text.

    Args:
        text: one JSON value (RFC 8259), as ``str`` or as the bytes of its UTF-8 form.
        integers: ``"safe"`` refuses integers beyond ±(2^53-1) (RFC 7493 §2.2);
            ``"exact"`` copies them digit for digit, up to 4300 digits.
        max_depth: how deep arrays and objects may nest, 1 to 2048.
        max_bytes: the longest text accepted, in bytes of UTF-8; None for no limit.

    Returns:
        UTF-8 bytes: members sorted by UTF-16 code units, numbers as ECMAScript
        writes them, no white space.

    Raises:
        CanonicalizationError: the text is refused; a subclass names the cause,
            ``pointer`` and ``offset`` the place.
        InvalidOptionError: an option is unknown or out of range.
        TypeError: ``text`` or an option has a wrong type.
    """
    exact, depth, limit = json_options(integers, max_depth, max_bytes)
    return canonical_bytes(
        text_bytes(text, "text"),
        from_str=isinstance(text, str),
        exact=exact,
        max_depth=depth,
        max_bytes=limit,
    )


def canonical_bytes(
    raw: bytes, *, from_str: bool, exact: bool, max_depth: int, max_bytes: int | None
) -> bytes:
    """Canonicalize bytes under options that are already checked."""
    if max_bytes is not None and len(raw) > max_bytes:
        raise canonicalization_error("document_too_large", offset=max_bytes)
    return _Reader(raw, from_str=from_str, exact=exact, max_depth=max_depth).document()


def canonical_members(raw: bytes, *, from_str: bool, exact: bool, max_depth: int) -> dict[str, bytes] | None:
    """The root object's members, each value in canonical form; None for another root."""
    reader = _Reader(raw, from_str=from_str, exact=exact, max_depth=max_depth)
    reader.document()
    return reader.root_members


class _Array:
    """An array being read; ``token`` is the index of the item at hand."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.token: int | None = 0


class _Object:
    """An object being read; ``token`` is the name of the member at hand, if any."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self.token: str | None = None

    def canonical(self) -> bytes:
        names = sorted(self.members, key=utf16_order)
        return b"{" + b",".join(string_text(name) + b":" + self.members[name] for name in names) + b"}"


class _Reader:
    """Reads one text. ``open`` holds the containers around the position, outermost first."""

    def __init__(self, text: bytes, *, from_str: bool, exact: bool, max_depth: int) -> None:
        self.text = text
        self.from_str = from_str
        self.exact = exact
        self.max_depth = max_depth
        self.position = 0
        self.open: list[_Array | _Object] = []
        self.root_members: dict[str, bytes] | None = None

    def document(self) -> bytes:
        """Read the whole text: one value with nothing but white space around it."""
        if self.text.startswith(_BYTE_ORDER_MARK):
            self.fail("byte_order_mark", 0)
        while True:
            value = self.begin_value()
            while value is not None:  # a value is complete; it may complete others
                if not self.open:
                    self.skip_space()
                    if self.position < len(self.text):
                        self.fail_at_token("trailing_data")
                    return value
                value = self.continue_container(value)

    # -- problems --------------------------------------------------------------

    def fail(self, problem: str, offset: int) -> NoReturn:
        """Raise the error for a problem at a byte, with the pointer of the value at hand."""
        if problem == "invalid_utf8" and self.from_str:
            problem = "lone_surrogate"  # the one thing a str can hold that UTF-8 cannot
        tokens = [container.token for container in self.open if container.token is not None]
        raise canonicalization_error(problem, pointer=pointer_text(tokens), offset=offset)

    def fail_at_token(self, problem: str) -> NoReturn:
        """Raise the error for a missing token at the position."""
        rest = self.text[self.position : self.position + 4]  # a character of UTF-8 at least
        if not rest:
            self.fail("unexpected_end", self.position)
        try:
            rest.decode()
        except UnicodeDecodeError as error:
            if error.start == 0:
                problem = "invalid_utf8"
        self.fail(problem, self.position)

    # -- tokens ----------------------------------------------------------------

    def skip_space(self) -> None:
        """Move to the next byte that is not white space."""
        self.position = self.end_of(_SPACE)

    def end_of(self, pattern: re.Pattern[bytes]) -> int:
        """Where a run, possibly empty, of the pattern's bytes ends."""
        match = pattern.match(self.text, self.position)
        return match.end() if match else self.position

    def peek(self) -> bytes:
        """The byte at the position; empty at the end."""
        return self.text[self.position : self.position + 1]

    def take(self, expected: Collection[bytes], problem: str) -> bytes:
        """Skip white space and read one of the expected bytes."""
        self.skip_space()
        byte = self.peek()
        if byte not in expected:
            self.fail_at_token(problem)
        self.position += 1
        return byte

    # -- values and containers -------------------------------------------------

    def begin_value(self) -> bytes | None:
        """Read a scalar or an empty container; None when a container has been entered."""
        self.skip_space()
        byte = self.peek()
        if byte in (b"{", b"["):
            return self.enter_container(byte)
        if byte == b'"':
            return string_text(self.read_string())
        if byte in _LITERALS:
            return self.read_literal(_LITERALS[byte])
        if byte != b"-" and not byte.isdigit():
            self.fail_at_token("expected_value")
        return self.read_number()

    def enter_container(self, bracket: bytes) -> bytes | None:
        """Open an array or object, up to where its first value begins."""
        if len(self.open) >= self.max_depth:
            self.fail("nesting_too_deep", self.position)
        self.position += 1
        if bracket == b"[":
            self.open.append(_Array())
            self.skip_space()
            if self.peek() == b"]":
                self.position += 1
                self.open.pop()
                return b"[]"
            return None
        container = _Object()
        self.open.append(container)
        if self.take((b'"', b"}"), "expected_name_or_end") == b"}":
            self.open.pop()
            if not self.open:
                self.root_members = {}
            return b"{}"
        self.read_name(container)
        return None

    def continue_container(self, value: bytes) -> bytes | None:
        """Put a complete value into its container; returns the container if that ends it."""
        container = self.open[-1]
        if isinstance(container, _Array):
            container.items.append(value)
            container.token = None
            if self.take((b",", b"]"), "expected_comma_or_bracket") == b",":
                container.token = len(container.items)
                return None
            self.open.pop()
            return b"[" + b",".join(container.items) + b"]"

        if container.token is not None:
            container.members[container.token] = value
        container.token = None
        if self.take((b",", b"}"), "expected_comma_or_brace") == b",":
            self.take((b'"',), "expected_name")
            self.read_name(container)
            return None
        self.open.pop()
        if not self.open:
            self.root_members = container.members
        return container.canonical()

    def read_name(self, container: _Object) -> None:
        """Read a member's name, its opening quote just passed, and the colon."""
        self.position -= 1
        quote = self.position
        name = self.read_string()
        container.token = name
        if name in container.members:
            self.fail("duplicate_name", quote)
        self.take((b":",), "expected_colon")

    def read_literal(self, literal: bytes) -> bytes:
        """Read ``true``, ``false`` or ``null``."""
        for expected in literal:
            byte = self.peek()
            if not byte:
                self.fail("unexpected_end", self.position)
            if byte[0] != expected:
                self.fail("invalid_literal", self.position)
            self.position += 1
        return literal

    # -- numbers (RFC 8259 §6) -------------------------------------------------

    def read_number(self) -> bytes:
        """Read a number and write it again."""
        start = self.position
        if self.peek() == b"-":
            self.position += 1
        if self.peek() == b"0":
            self.position += 1
        else:
            self.read_digits()
        is_integer = True
        if self.peek() == b".":
            is_integer = False
            self.position += 1
            self.read_digits()
        if self.peek() in (b"e", b"E"):
            is_integer = False
            self.position += 1
            if self.peek() in (b"+", b"-"):
                self.position += 1
            self.read_digits()
        token = self.text[start : self.position]
        return self.integer(token, start) if is_integer else self.fractional(token, start)

    def read_digits(self) -> None:
        """Read one digit or more."""
        end = self.end_of(_DIGITS)
        if end == self.position:
            at_end = self.position == len(self.text)
            self.fail("unexpected_end" if at_end else "invalid_number", self.position)
        self.position = end

    def integer(self, token: bytes, start: int) -> bytes:
        """Judge the range of an integer."""
        digits = token.lstrip(b"-")
        if self.exact:
            if len(digits) > MAX_INTEGER_DIGITS:
                self.fail("integer_range", start)
            return b"0" if digits == b"0" else token
        if len(digits) > len(str(MAX_SAFE_INTEGER)):
            self.fail("integer_range", start)
        text = integer_text(int(token), exact=False)
        if text is None:
            self.fail("integer_range", start)
        return text.encode()

    def fractional(self, token: bytes, start: int) -> bytes:
        """Round a number with fraction or exponent to binary64."""
        value = float(token)
        if isinf(value):
            self.fail("non_finite_number", start)
        return number_text(value).encode()

    # -- strings (RFC 8259 §7) -------------------------------------------------

    def read_string(self) -> str:
        """Read a string from its opening quote to its closing one."""
        self.position += 1
        parts = []
        while True:
            parts.append(self.read_plain_characters())
            byte = self.peek()
            if byte == b'"':
                self.position += 1
                return "".join(parts)
            if byte == b"\\":
                parts.append(self.read_escape())
            elif byte:
                self.fail("control_character", self.position)
            else:
                self.fail("unexpected_end", self.position)

    def read_plain_characters(self) -> str:
        """Read up to the next quote, backslash, control character or the end."""
        start = self.position
        self.position = self.end_of(_PLAIN_CHARACTERS)
        try:
            return self.text[start : self.position].decode()
        except UnicodeDecodeError as error:
            self.fail("invalid_utf8", start + error.start)

    def read_escape(self) -> str:
        """Read an escape sequence, a surrogate pair as one."""
        start = self.position
        letter = self.text[start + 1 : start + 2]
        if not letter:
            self.fail("unexpected_end", len(self.text))
        if letter in _ESCAPES:
            self.position += 2
            return _ESCAPES[letter]

        match = _UNICODE_ESCAPE.match(self.text, start)
        if match is None:
            self.fail("invalid_escape", start)
        self.position += 6
        unit = int(match[1], 16)
        if 0xDC00 <= unit <= 0xDFFF:
            self.fail("lone_surrogate", start)
        if not 0xD800 <= unit <= 0xDBFF:
            return chr(unit)
        match = _LOW_SURROGATE_ESCAPE.match(self.text, self.position)
        if match is None:
            self.fail("lone_surrogate", start)
        self.position += 6
        return chr(0x10000 + ((unit - 0xD800) << 10) + (int(match[1], 16) - 0xDC00))
