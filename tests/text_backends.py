"""Every implementation of canonicalize_json: each vector level, and plain Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from sigil_native import _canonical_text
from sigil_native.errors import CanonicalizationError

Canonicalize = Callable[..., bytes]


def implementations() -> dict[str, Canonicalize]:
    """Name and function of each implementation that runs on this machine."""
    found: dict[str, Canonicalize] = {"native": _canonical_text.canonicalize_json}
    for level in _canonical_text.vector_levels():
        found[level] = partial(_canonical_text.canonicalize_json_at, level)
    found["pure"] = import_module("sigil_native._pure.canonical").canonicalize_json
    return found


def verdict(canonicalize: Canonicalize, text: object, **options: object) -> object:
    """The canonical form, or everything that the error tells."""
    try:
        return canonicalize(text, **options)
    except CanonicalizationError as error:
        return (
            type(error).__name__,
            error.code,
            str(error),
            error.problem,
            error.offset,
            error.pointer,
            error.index,
        )
