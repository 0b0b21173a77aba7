"""What only the compiled canonicalize_json has: vector levels, the GIL, callers' buffers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from sigil_native import _canonical_text
from sigil_native.errors import CanonicalizationError, InvalidUtf8Error
from tests.threads import ticks_meanwhile


def run_with_level(level: str) -> subprocess.CompletedProcess[str]:
    """Import the module in a process of its own that asks for a level."""
    code = (
        "from sigil_native import _canonical_text as m; print(m.vector_level(), m.canonicalize_json('[ 1]'))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SIGIL_NATIVE_VECTOR": level, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_levels_best_first() -> None:
    """The level in use is the best one, and a portable one is always there."""
    levels = _canonical_text.vector_levels()
    assert levels[-1] == "portable"
    assert _canonical_text.vector_level() in levels


@pytest.mark.parametrize("level", _canonical_text.vector_levels())
def test_the_environment_may_ask_for_a_level(level: str) -> None:
    """SIGIL_NATIVE_VECTOR chooses among the levels of this machine."""
    assert run_with_level(level).stdout == f"{level} b'[1]'\n"


@pytest.mark.parametrize("level", _canonical_text.vector_levels())
def test_text_that_is_utf8_wherever_it_stands(level: str) -> None:
    """A level takes a string exactly if Python decodes its bytes, at the borders of vectors too."""
    leads = b"\x41\x80\xbf\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"
    followers = (b"", b"\x41", b"\x80", b"\x8f", b"\x90", b"\x9f", b"\xa0", b"\xbf", b"\xc2")
    sequences = (
        bytes([lead]) + second + third + fourth
        for lead in leads
        for second in followers
        for third in (b"", b"\x41", b"\x80", b"\xc2")
        for fourth in (b"", b"\x80", b"\xbf")
    )
    for number, sequence in enumerate(sequences):
        size = (26, 27, 28, 29, 30, 58, 59, 60, 61, 62)[number % 10]
        text = b'["' + b"x" * size + sequence + (b'"]' if number % 2 else b"y" * 40 + b'"]')
        try:
            text.decode()
        except UnicodeDecodeError:
            with pytest.raises(InvalidUtf8Error):
                _canonical_text.canonicalize_json_at(level, text)
        else:
            assert _canonical_text.canonicalize_json_at(level, text) == text


def test_an_unknown_level_fails_the_import() -> None:
    """A level that is not there is refused on import, with the choices."""
    result = run_with_level("mmx")
    assert result.returncode != 0
    assert "ImportError: SIGIL_NATIVE_VECTOR=mmx" in result.stderr
    assert "portable" in result.stderr


def test_unknown_level_by_name() -> None:
    """The hook for tests names the level that it does not find."""
    with pytest.raises(ValueError, match="mmx"):
        _canonical_text.canonicalize_json_at("mmx", "1")


def test_other_threads_run_meanwhile() -> None:
    """While a large text is worked on, other threads make progress."""
    text = json.dumps([{"b": i, "a": "x" * 50} for i in range(200_000)]).encode()
    seen = ticks_meanwhile(lambda: [_canonical_text.canonicalize_json(text) for _ in range(3)])
    assert seen >= 5


def test_threads_do_not_share_scratch() -> None:
    """Many threads at once get their own results."""
    failures: list[object] = []

    def work(number: int) -> None:
        text = json.dumps({"z": number, "a": ["y" * number] * 300, "é": 1}).encode()
        expected = _canonical_text.canonicalize_json_at("portable", text)
        for _ in range(100):
            if _canonical_text.canonicalize_json(text) != expected:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40, 120, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_buffer_that_changes_meanwhile() -> None:
    """The result is that of the bytes at the time of the call; the buffer may change from then on."""
    text = bytearray(b"[" + b"1," * 1_000_000 + b"1]")
    expected = bytes(text)
    done = threading.Event()

    def scribble() -> None:
        while not done.is_set():
            with suppress(BufferError):  # while it is being copied
                text.append(32)
                text.pop()

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        results = {_canonical_text.canonicalize_json(text) for _ in range(5)}
    finally:
        done.set()
        thread.join()
    assert results == {expected}
    text[-1:] = b"}"
    with pytest.raises(CanonicalizationError):
        _canonical_text.canonicalize_json(text)
    text.append(93)
