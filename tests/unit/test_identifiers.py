"""UUIDv7: layout, order, and no repetition across threads, forks and clocks."""

from __future__ import annotations

import os
import threading
import time
import uuid
from itertools import pairwise

import pytest

from sigil_native._identifiers import _uuid7_batch, _uuid7_from_clock, uuid7
from tests.heavy import HEAVY

MANY = 4_000_000 if HEAVY else 100_000
#: To fork a process of tests takes tens of milliseconds.
ROUNDS = 5 if HEAVY else 2
FORKS_WHILE_OTHERS_DRAW = 20 if HEAVY else 8
NOON = 1_790_000_000_000
COUNTER_LIMIT = 2**26


def timestamp(text: str) -> int:
    """The milliseconds that an id names."""
    return uuid.UUID(text).int >> 80


def counter(text: str) -> int:
    """The 26-bit counter: 12 bits of rand_a, then 14 of rand_b."""
    number = uuid.UUID(text).int
    return (number >> 64 & 0xFFF) << 14 | number >> 48 & 0x3FFF


def ascending(ids: list[str]) -> bool:
    """Whether each id is greater than the one before."""
    return all(before < after for before, after in pairwise(ids))


def batch(count: int) -> list[bytes]:
    """Many ids in one call."""
    room = _uuid7_batch(count)
    return [room[place : place + 16] for place in range(0, len(room), 16)]


# -- layout ------------------------------------------------------------------------


def test_layout() -> None:
    """An id is canonical text, of version 7 and variant 10, and names the present."""
    before = time.time_ns() // 1_000_000
    text = uuid7()
    after = time.time_ns() // 1_000_000
    parsed = uuid.UUID(text)
    assert text == str(parsed)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= timestamp(text) <= after


def test_the_counter_begins_in_its_lower_half() -> None:
    """Each new millisecond draws a counter at random, with its top bit clear."""
    seeds = [counter(text) for text in _uuid7_from_clock(range(NOON, NOON + 2000))]
    assert max(seeds) < COUNTER_LIMIT // 2
    assert len(set(seeds)) > 1990
    for bit in range(25):
        assert 850 < sum(seed >> bit & 1 for seed in seeds) < 1150


def test_the_last_48_bits_are_random() -> None:
    """Every bit of the tail is set in about half of the ids, and no tail comes twice."""
    tails = [int(text[-12:], 16) for text in _uuid7_from_clock([NOON] * 4000)]
    assert len(set(tails)) == 4000
    for bit in range(48):
        assert 1800 < sum(tail >> bit & 1 for tail in tails) < 2200


@pytest.mark.parametrize("stride", [16, 17, 64])
def test_batches_leave_the_gaps_alone(stride: int) -> None:
    """Ids lie a stride apart; the bytes between them are not written."""
    room = _uuid7_batch(100, stride)
    ids = [room[place : place + 16] for place in range(0, len(room), stride)]
    assert ids == sorted(set(ids))
    assert all(not any(room[place + 16 : place + stride]) for place in range(0, len(room), stride))


# -- order -------------------------------------------------------------------------


def test_many_ids_ascend() -> None:
    """Many ids, alone and in batches, are all greater than the one before."""
    ids = [bytes.fromhex(uuid7().replace("-", "")) for _ in range(1000)]
    ids += batch(MANY)
    ids += [bytes.fromhex(uuid7().replace("-", "")) for _ in range(1000)]
    assert all(before < after for before, after in pairwise(ids))


def test_within_a_millisecond_the_counter_counts() -> None:
    """A clock that stands still gives the same timestamp and counters one apart."""
    ids = _uuid7_from_clock([NOON] * 1000)
    assert {timestamp(text) for text in ids} == {NOON}
    assert {counter(after) - counter(before) for before, after in pairwise(ids)} == {1}


@pytest.mark.parametrize("step_back", [1, 1000, 59_999, 60_000])
def test_small_steps_back_keep_the_order(step_back: int) -> None:
    """While the clock is behind by up to 60 s, the latest timestamp goes on."""
    ids = _uuid7_from_clock([NOON, NOON - step_back, NOON - step_back + 1, NOON, NOON + 1])
    assert ascending(ids)
    assert [timestamp(text) - NOON for text in ids] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("step_back", [60_001, 7_200_000, NOON])
def test_large_steps_back_are_believed(step_back: int) -> None:
    """After a step back of more than 60 s the ids name the new time, and ascend from there."""
    ids = _uuid7_from_clock([NOON, NOON - step_back, NOON - step_back, NOON - step_back + 5])
    assert [timestamp(text) - NOON for text in ids] == [0, -step_back, -step_back, 5 - step_back]
    assert ascending(ids[1:])


def test_creeping_steps_back_are_measured_from_the_latest_timestamp() -> None:
    """Many small steps back do not add up to a tolerated large one."""
    ids = _uuid7_from_clock(range(NOON, NOON - 61_000, -1000))
    assert [timestamp(text) for text in ids] == [NOON] * 61
    ids = _uuid7_from_clock(range(NOON, NOON - 62_000, -1000))
    assert timestamp(ids[-1]) == NOON - 61_000


def test_steps_forward_are_followed() -> None:
    """The clock may jump ahead by any amount."""
    ids = _uuid7_from_clock([NOON, NOON + 7_200_000, NOON + 2**40])
    assert [timestamp(text) - NOON for text in ids] == [0, 7_200_000, 2**40]


def test_a_full_counter_borrows_the_next_millisecond() -> None:
    """After the counter's last value the timestamp goes on by 1 ms with a fresh counter."""
    ids = _uuid7_from_clock([NOON] * 4, resume_after=(NOON, COUNTER_LIMIT - 3))
    assert [timestamp(text) - NOON for text in ids] == [0, 0, 1, 1]
    assert [counter(text) for text in ids[:2]] == [COUNTER_LIMIT - 2, COUNTER_LIMIT - 1]
    assert counter(ids[2]) < COUNTER_LIMIT // 2
    assert ascending(ids)


# -- no repetition -----------------------------------------------------------------


def test_threads_never_get_the_same_id() -> None:
    """Threads that draw at once, with and without the GIL, get different, ascending ids."""
    drawn: list[list[bytes]] = [[] for _ in range(6)]

    def work(mine: list[bytes], with_gil: bool) -> None:
        for _ in range(40):
            if with_gil:
                mine.extend(bytes.fromhex(uuid7().replace("-", "")) for _ in range(50))
            else:
                mine.extend(batch(MANY // 1000))

    threads = [threading.Thread(target=work, args=(mine, i % 2 == 0)) for i, mine in enumerate(drawn)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = [text for mine in drawn for text in mine]
    assert len(set(together)) == len(together)
    assert all(before < after for mine in drawn for before, after in pairwise(mine))


def _ids_of_a_child(count: int) -> tuple[int, int]:
    """Fork a child that writes its next ids to a pipe; its process id and the reading end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the test framework may run on in the child.
        try:
            with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor, not a path
                pipe.write(_uuid7_batch(count))
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_processes_never_repeat() -> None:
    """Parent and children go on from different states, also when forked in the same millisecond."""
    uuid7()
    ids: list[bytes] = []
    for _ in range(ROUNDS):
        children = [_ids_of_a_child(500) for _ in range(6)]
        ids += batch(500)
        for child, reading in children:
            with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
                room = pipe.read()
            os.waitpid(child, 0)
            assert len(room) == 500 * 16
            ids += [room[place : place + 16] for place in range(0, len(room), 16)]
    assert len(set(ids)) == len(ids)
    # The random parts alone differ too: no child used the parent's pool.
    assert len({text[10:] for text in ids}) == len(ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_threads_draw() -> None:
    """A fork in the middle of another thread's draw leaves the child a generator that works."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            _uuid7_batch(1000)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(FORKS_WHILE_OTHERS_DRAW):
            child, reading = _ids_of_a_child(10)
            with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
                assert len(pipe.read()) == 160
            os.waitpid(child, 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_no_randomness_is_an_error() -> None:
    """Without the system's random bytes there is no id, and the caller learns why."""
    with pytest.raises(OSError, match=r"^the system gave no random bytes$"):
        _uuid7_from_clock([NOON], randomness=False)
