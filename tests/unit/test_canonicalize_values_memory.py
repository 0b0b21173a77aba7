"""What ``canonicalize`` takes of memory and stack, and leaves behind: of the compiled one alone."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import tracemalloc

import pytest

from sigil_native.errors import CanonicalizationError
from tests.backends import load_backend


@pytest.mark.unsanitized
def test_nesting_on_a_small_stack() -> None:
    """The deepest values and texts fit threads that have 256 KiB of stack."""
    native = load_backend("native")
    outcomes: list[object] = []

    def nested(innermost: object) -> object:
        for level in range(2047):
            innermost = [None, innermost] if level % 2 else {"b": innermost, "a": {}}
        return innermost

    def work() -> None:
        text = native.canonicalize(nested([]), max_depth=2048)
        outcomes.append(native.canonicalize_json(text, max_depth=2048) == text)
        for innermost in ([[]], object(), {1: 1}):
            try:
                native.canonicalize(nested(innermost), max_depth=2048)
            except CanonicalizationError as error:
                outcomes.append(
                    (error.code, error.pointer == "/b/1" * 1023 + "/b" + "/0" * (innermost == [[]]))
                )

    usual = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(usual)
    thread.join()
    assert outcomes == [
        True,
        ("nesting_too_deep", True),
        ("unsupported_type", True),
        ("unsupported_type", True),
    ]


def test_nothing_leaks_on_errors() -> None:
    """A refused value leaves no memory and no references behind."""
    canonicalize = importlib.import_module("sigil_native._canonical_values").canonicalize
    name, culprit = "name é " * 3, object()
    bad = {name: [0, {"x": culprit}], "ok": [1] * 100}

    def refuse(times: int) -> None:
        for _ in range(times):
            for value, options in (
                (bad, {}),
                ([2**80], {}),
                (bad, {"max_bytes": 3}),
                ("\ud800é", {}),
                ({1: 1}, {}),
            ):
                with pytest.raises(CanonicalizationError):
                    canonicalize(value, **options)

    refuse(50)
    gc.collect()
    counts = sys.getrefcount(name), sys.getrefcount(culprit)
    tracemalloc.start()
    try:
        refuse(50)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        refuse(500)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert counts == (sys.getrefcount(name), sys.getrefcount(culprit))
    assert grown < 20_000


def test_strings_do_not_keep_their_utf8() -> None:
    """Writing a string leaves no UTF-8 copy behind in it."""
    canonicalize = importlib.import_module("sigil_native._canonical_values").canonicalize
    text = "é€" * 1000
    size = sys.getsizeof(text)
    canonicalize({text: text})
    assert sys.getsizeof(text) == size
