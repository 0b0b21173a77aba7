"""How RFC 8785 and ECMAScript write numbers, strings and pointers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sigil_native._constants import MAX_INTEGER_DIGITS, MAX_SAFE_INTEGER

_FIRST_INTEGER_TOO_LONG = 10**MAX_INTEGER_DIGITS
# str() refuses integers beyond sys.get_int_max_str_digits(), which is never below 640.
_GROUP_DIGITS = 600
_GROUP = 10**_GROUP_DIGITS

_SHORT_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_MUST_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_MUST_ESCAPE_OR_SURROGATE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def number_text(value: float) -> str:
    """Write a finite binary64 as ECMAScript's ``Number::toString`` does.

    ECMA-262 §6.1.6.1.20 with radix 10, which RFC 8785 §3.2.2.3 adopts. Python's
    ``repr`` finds the same shortest digits; only the notation differs.
    """
    if value == 0:
        return "0"  # -0 as well
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    leading = (whole + fraction).lstrip("0")
    # The value is 0.d1d2...dk times ten to the power n (the standard's k and n).
    n = len(whole) + int(exponent or "0") - (len(whole + fraction) - len(leading))
    digits = leading.rstrip("0")
    k = len(digits)

    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return sign + digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return sign + "0." + "0" * -n + digits
    point = "." if k > 1 else ""
    return f"{sign}{digits[0]}{point}{digits[1:]}e{n - 1:+d}"


def integer_text(value: int, exact: bool) -> str | None:
    """Write an integer digit for digit; None if it is out of range.

    The range is that of RFC 7493 §2.2, or 4300 digits where ``exact``.
    """
    if not exact:
        return str(value) if abs(value) <= MAX_SAFE_INTEGER else None
    if abs(value) >= _FIRST_INTEGER_TOO_LONG:
        return None
    groups = []
    rest = abs(value)
    while rest >= _GROUP:
        rest, group = divmod(rest, _GROUP)
        groups.append(f"{group:0{_GROUP_DIGITS}d}")
    groups.append(str(rest))
    return ("-" if value < 0 else "") + "".join(reversed(groups))


def integer_text_as_ecmascript(value: int) -> str | None:
    """Write an integer that ECMAScript would print with just these digits; else None."""
    if abs(value) <= MAX_SAFE_INTEGER:
        return str(value)
    try:
        number = float(value)
    except OverflowError:
        return None
    # Number::toString has no exponent below 1e21, so int() reads it back.
    text = number_text(number)
    return text if abs(number) < 1e21 and int(text) == value else None


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def string_text(value: str) -> bytes:
    """Write a string without surrogates as RFC 8785 §3.2.2.2 says."""
    return f'"{_MUST_ESCAPE.sub(_escape, value)}"'.encode()


def string_text_as_ecmascript(value: str) -> bytes:
    """Write a string as ``JSON.stringify`` does (ECMA-262 §25.5.2.3, QuoteJSONString)."""
    return f'"{_MUST_ESCAPE_OR_SURROGATE.sub(_escape, joined_surrogates(value))}"'.encode()


def has_surrogate(value: str) -> bool:
    """Whether a string has a code point that UTF-8 cannot hold."""
    return _SURROGATE.search(value) is not None


def joined_surrogates(value: str) -> str:
    """Join a high surrogate and the low one right after it, as UTF-16 would."""
    if not has_surrogate(value):
        return value
    return value.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


def utf16_order(name: str) -> bytes:
    """A key that sorts names by their UTF-16 code units (RFC 8785 §3.2.3)."""
    return name.encode("utf-16-be", "surrogatepass")


def pointer_text(tokens: Iterable[str | int]) -> str:
    """Write a JSON Pointer (RFC 6901 §3) from member names and indices."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)
