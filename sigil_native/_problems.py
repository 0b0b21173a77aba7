"""What can be wrong with a payload, by the names of ``csrc/problem.h``: the error's class and its words."""

from __future__ import annotations

from sigil_native.errors import (
    ByteOrderMarkError,
    CanonicalizationError,
    DocumentTooLargeError,
    DuplicateNameError,
    IntegerRangeError,
    InvalidUtf8Error,
    JsonSyntaxError,
    LoneSurrogateError,
    NestingTooDeepError,
    NonFiniteNumberError,
    TrailingDataError,
    UnsupportedTypeError,
)

_PROBLEMS: dict[str, tuple[type[CanonicalizationError], str]] = {
    "unexpected_end": (JsonSyntaxError, "unexpected end of text"),
    "expected_value": (JsonSyntaxError, "expected a value"),
    "expected_name_or_end": (JsonSyntaxError, "expected a member name or '}'"),
    "expected_name": (JsonSyntaxError, "expected a member name"),
    "expected_colon": (JsonSyntaxError, "expected ':'"),
    "expected_comma_or_brace": (JsonSyntaxError, "expected ',' or '}'"),
    "expected_comma_or_bracket": (JsonSyntaxError, "expected ',' or ']'"),
    "control_character": (JsonSyntaxError, "unescaped control character in a string"),
    "invalid_escape": (JsonSyntaxError, "invalid escape in a string"),
    "invalid_number": (JsonSyntaxError, "invalid number"),
    "invalid_literal": (JsonSyntaxError, "invalid literal"),
    "trailing_data": (TrailingDataError, "unexpected data after the value"),
    "invalid_utf8": (InvalidUtf8Error, "invalid UTF-8"),
    "byte_order_mark": (ByteOrderMarkError, "byte order mark"),
    "lone_surrogate": (LoneSurrogateError, "lone surrogate"),
    "duplicate_name": (DuplicateNameError, "duplicate member name"),
    "non_finite_number": (NonFiniteNumberError, "number is not finite"),
    "integer_range": (IntegerRangeError, "integer out of range"),
    "nesting_too_deep": (NestingTooDeepError, "nesting too deep"),
    "document_too_large": (DocumentTooLargeError, "document too large"),
    "unsupported_type": (UnsupportedTypeError, "not a JSON type"),
    "unsupported_name_type": (UnsupportedTypeError, "member names must be str"),
}


def canonicalization_error(
    problem: str,
    *,
    pointer: str = "",
    offset: int | None = None,
    detail: str = "",
) -> CanonicalizationError:
    """Build the error for a problem by its name in ``csrc/problem.h``.

    ``detail`` is appended to the problem's text, for example a type's name.
    """
    kind, text = _PROBLEMS[problem]
    if detail:
        text = f"{text}: {detail}"
    return kind(text, pointer=pointer, offset=offset)
