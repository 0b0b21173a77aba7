"""What a call came to, so that it can be compared between backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.backends import load_backend

NATIVE, PURE = load_backend("native"), load_backend("pure")

_FIELDS = [
    "id",
    "key_id",
    "issued_at",
    "expires_at",
    "issued_at_ms",
    "expires_at_ms",
    "tag",
    "header",
    "text",
    "strand",
]


def plain(value: Any) -> Any:
    """A value that can be compared between backends: sigils by their bytes."""
    if isinstance(value, (NATIVE.Sigil, PURE.Sigil)):
        return ("sigil", bytes(value), repr(value), *(getattr(value, name) for name in _FIELDS))
    if isinstance(value, BaseException):
        return failure(value)
    if isinstance(value, (list, tuple)):
        return type(value), [plain(item) for item in value]
    return type(value), value


def failure(error: BaseException) -> Any:
    """An error's class, message and attributes."""
    attributes = {name: plain(value) for name, value in vars(error).items()}
    return "error", type(error), str(error), attributes, error.__cause__


def outcome(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The value that a call returns or the error that it raises."""
    try:
        return plain(call(*arguments, **options))
    except Exception as error:
        return failure(error)


def assert_same(name: str, *arguments: Any, **options: Any) -> Any:
    """Call a function of each backend; both must come to the same. Returns what they came to."""
    native = outcome(getattr(NATIVE, name), *arguments, **options)
    pure = outcome(getattr(PURE, name), *arguments, **options)
    assert native == pure
    return native
