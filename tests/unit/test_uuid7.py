"""Identifiers of both backends, and the plain generator under a clock that is set."""

from __future__ import annotations

import os
import threading
import time
import uuid
from types import SimpleNamespace

import pytest

from sigil_native._pure import identifiers

START_MS = 1_700_000_000_000


def fields(identifier: bytes) -> tuple[int, int]:
    """The timestamp and the counter of an identifier."""
    value = int.from_bytes(identifier, "big")
    assert (value >> 76 & 0xF, value >> 62 & 0b11) == (7, 0b10)
    return value >> 80, (value >> 64 & 0xFFF) << 14 | value >> 48 & 0x3FFF


def test_identifiers_are_uuid7_of_now(library: SimpleNamespace) -> None:
    """Version 7, variant 10, and the time in milliseconds."""
    before = time.time_ns() // 1_000_000
    text = library.uuid7()
    after = time.time_ns() // 1_000_000
    identifier = uuid.UUID(text)
    assert str(identifier) == text
    assert (identifier.version, identifier.variant) == (7, uuid.RFC_4122)
    assert before <= fields(identifier.bytes)[0] <= after + 1


def test_identifiers_ascend(library: SimpleNamespace) -> None:
    """Each is greater than the one before, however fast they are made."""
    made = [library.uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_threads_never_share_an_identifier(library: SimpleNamespace) -> None:
    """All are different, and ascend within each thread."""
    made: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: made.append([library.uuid7() for _ in range(3000)])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == sorted(one) for one in made)
    assert len({identifier for one in made for identifier in one}) == 12_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_repeats_nothing(library: SimpleNamespace) -> None:
    """A child and its parent, who begin from one state, make different identifiers."""
    library.uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(library.uuid7() for _ in range(50)).encode())
        os._exit(0)
    os.close(writer)
    mine = {library.uuid7() for _ in range(50)}
    with open(reader, "rb") as pipe:  # noqa: PTH123
        text = pipe.read().decode()
    os.waitpid(child, 0)
    theirs = {text[start : start + 36] for start in range(0, len(text), 36)}
    assert len(theirs) == 50
    # 26 bits of counter and 48 fresh random bits: equal halves would mean a shared state.
    assert not {one[:23] for one in mine} & {one[:23] for one in theirs}


def test_counter_counts_within_a_millisecond() -> None:
    """The counter begins below its half and goes up by one; a new millisecond begins anew."""
    generator = identifiers._Generator()
    stamp, first = fields(generator.next(START_MS))
    assert stamp == START_MS
    assert first < 2**25
    assert [fields(generator.next(START_MS)) for _ in range(3)] == [(START_MS, first + n) for n in (1, 2, 3)]
    assert fields(generator.next(START_MS + 1))[0] == START_MS + 1


def test_full_counter_borrows_a_millisecond() -> None:
    """After 2^26 - 1 the next millisecond is begun early."""
    generator = identifiers._Generator()
    generator.next(START_MS)
    generator._counter = 2**26 - 2
    assert fields(generator.next(START_MS)) == (START_MS, 2**26 - 1)
    stamp, counter = fields(generator.next(START_MS))
    assert stamp == START_MS + 1
    assert counter < 2**25


@pytest.mark.parametrize(
    ("step_ms", "expected"), [(1, START_MS), (60_000, START_MS), (60_001, START_MS - 60_001)]
)
def test_clock_that_steps_back(step_ms: int, expected: int) -> None:
    """Up to a minute the last time is kept; a clock set back further is believed."""
    generator = identifiers._Generator()
    generator.next(START_MS)
    assert fields(generator.next(START_MS - step_ms))[0] == expected
