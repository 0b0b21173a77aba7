"""Subclasses of JSON's types that betray whoever calls a method of theirs."""

from __future__ import annotations

from typing import Any


class Forbidden:
    """Its methods must not be called; mixed into subclasses of JSON's types."""

    def _called(self, *_: object, **__: object) -> Any:
        raise AssertionError("an overridden method was called")

    __iter__ = __len__ = __getitem__ = __str__ = __repr__ = __int__ = __index__ = __float__ = _called
    __contains__ = __bool__ = __format__ = __sizeof__ = __reduce_ex__ = __getattr__ = _called
    keys = values = items = get = encode = replace = as_integer_ratio = bit_length = hex = _called


class LoudStr(Forbidden, str):
    """Text."""

    __hash__ = str.__hash__


class LoudInt(Forbidden, int):
    """A number."""


class LoudFloat(Forbidden, float):
    """A number."""


class LoudList(Forbidden, list):  # type: ignore[type-arg]
    """A container."""


class LoudTuple(Forbidden, tuple):  # type: ignore[type-arg]
    """A container."""


class LoudDict(Forbidden, dict):  # type: ignore[type-arg]
    """A container."""


class Twin(str):
    """Equal to nothing but itself, so that a dict can hold two of the same text."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other
