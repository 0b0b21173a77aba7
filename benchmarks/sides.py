"""What a row times: a call of ours, and the call that it stands beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

Call = Callable[[], object]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        call: does it to all items.
        items: how many they are; a figure is for one of them.
        returns_figure: the call measures something itself and returns it, for one item, in the row's unit.
    """

    call: Call
    items: float = 1
    returns_figure: bool = False


@dataclass(frozen=True)
class Sides:
    """Both; rows with an absolute goal have no peer."""

    ours: Side
    peer: Side | None = None

    def named(self, name: str) -> Side:
        """The side ``ours`` or ``peer``."""
        side = self.ours if name == "ours" else self.peer
        if side is None:
            raise LookupError(name)
        return side


#: Makes the sides, and puts away what they needed.
Opened = AbstractContextManager[Sides]


def each(function: Callable[[Any], object], items: Sequence[Any]) -> Call:
    """Call ``function`` on every item."""

    def call() -> None:
        for item in items:
            function(item)

    return call


def pair(ours: Call, peer: Call, items: float) -> Opened:
    """Two calls over as many items."""
    return nullcontext(Sides(Side(ours, items), Side(peer, items)))


def over(ours: Callable[[Any], object], peer: Callable[[Any], object], items: Sequence[Any]) -> Opened:
    """Two functions over the same items."""
    return pair(each(ours, items), each(peer, items), len(items))
