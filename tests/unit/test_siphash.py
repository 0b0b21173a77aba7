"""The keyed hash of the bucket table, against the interpreter's own SipHash-1-3."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sigil_native._bucket import siphash13


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this interpreter hashes otherwise")
def test_the_interpreter_agrees() -> None:
    """For every length of rest and many words the value is Python's, whose key is zero without a seed."""
    texts = [bytes(range(1, size + 1)) for size in range(1, 200)] + [
        os.urandom(size) for size in range(1, 64)
    ]
    program = f"for text in {texts!r}: print(hash(text))"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    theirs = [int(line) % (1 << 64) for line in done.stdout.split()]
    assert [siphash13(bytes(16), text) for text in texts] == theirs


def test_the_key_counts() -> None:
    """Both halves of the key change the value."""
    values = {siphash13(bytes(place) + b"\x01" + bytes(15 - place), b"text") for place in range(16)}
    assert len(values) == 16
