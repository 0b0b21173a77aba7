"""What was done to an audit log is found, and the line is named."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sigil_native.errors import DuplicateKeyError, InvalidOptionError, WeakSecretError
from tests.audit_logs import (
    OTHER_SECRET,
    SECRET,
    ZEROS,
    check,
    make_lines,
    named,
    spelled,
    tag_of,
)
from tests.backends import load_backend
from tests.threads import ticks_meanwhile

LINES = make_lines(20)
END = tag_of(LINES[-1])


def edited(line: bytes) -> bytes:
    """Another text under the same tag."""
    return line.replace(b'"tenant":"', b'"tenant":"x')


def rechained(line: bytes) -> bytes:
    """The same text under another tag."""
    tag = bytearray(tag_of(line))
    tag[5] ^= 1
    return line.replace(spelled(tag_of(line)).encode(), spelled(bytes(tag)).encode())


def test_a_whole_log_has_no_fault(library: SimpleNamespace) -> None:
    """A log that nobody touched is good, and its end is told."""
    result = check(library, b"".join(LINES), last=(20, END))
    assert result.faults == []
    verifier = result.verifier
    assert (verifier.lines, verifier.first_sequence, verifier.sequence, verifier.tag) == (20, 1, 20, END)
    assert repr(verifier) == "<AuditVerifier after 20 lines>"


SINGLE = {
    "changed": ([*LINES[:9], edited(LINES[9]), *LINES[10:]], [("changed", 10)]),
    "number changed": (
        [*LINES[:9], LINES[9].replace(b":10,", b":12,"), *LINES[10:]],
        [("changed", 10)],
    ),
    "chain altered": ([*LINES[:9], rechained(LINES[9]), *LINES[10:]], [("changed", 10)]),
    "changed and chain altered": (
        [*LINES[:9], rechained(edited(LINES[9])), *LINES[10:]],
        [("changed", 10), ("unchecked", 11)],
    ),
    "two in a row changed": (
        [*LINES[:9], edited(LINES[9]), edited(LINES[10]), *LINES[11:]],
        [("changed", 10), ("unchecked", 11)],
    ),
    "first changed": (
        [LINES[0].replace(b"previous", b"previouz"), *LINES[1:]],
        [("malformed", 1), ("not_begun", 2)],
    ),
    "first altered": ([rechained(LINES[0]), *LINES[1:]], [("changed", 1)]),
    "last changed": ([*LINES[:-1], edited(LINES[-1])], [("changed", 20)]),
    "last altered": ([*LINES[:-1], rechained(LINES[-1])], [("changed", 20)]),
    "removed": ([*LINES[:9], *LINES[10:]], [("missing", 10)]),
    "several removed": ([*LINES[:9], *LINES[15:]], [("missing", 10)]),
    "all but first and last removed": ([LINES[0], LINES[-1]], [("missing", 2)]),
    "swapped": ([*LINES[:9], LINES[10], LINES[9], *LINES[11:]], [("misplaced", 10)]),
    "swapped far": (
        [*LINES[:4], LINES[14], *LINES[5:14], LINES[4], *LINES[15:]],
        [("misplaced", 5), ("unchecked", 6), ("misplaced", 15)],
    ),
    "last two swapped": ([*LINES[:-2], LINES[-1], LINES[-2]], [("misplaced", 19)]),
    "first two swapped": ([LINES[1], LINES[0], *LINES[2:]], [("not_begun", 1), ("discontinuity", 2)]),
    "moved down": ([*LINES[:4], *LINES[5:14], LINES[4], *LINES[14:]], [("missing", 5), ("misplaced", 14)]),
    "doubled": ([*LINES[:10], *LINES[9:]], [("duplicate", 11)]),
    "repeated later": ([*LINES[:15], LINES[4], *LINES[15:]], [("duplicate", 16)]),
    "repeated earlier": ([*LINES[:5], LINES[14], *LINES[5:]], [("misplaced", 6)]),
    "several repeated": ([*LINES[:15], *LINES[4:12], *LINES[15:]], [("duplicate", 16)]),
    "forged put in": ([*LINES[:9], edited(LINES[9]), *LINES[9:]], [("misplaced", 10)]),
    "forged at the end": ([*LINES, edited(LINES[9]).replace(b":10,", b":21,")], [("changed", 21)]),
    "far number put in": (
        [*LINES[:9], LINES[9].replace(b":10,", b":1000000,"), *LINES[9:]],
        [("misplaced", 10)],
    ),
    "no line put in": ([*LINES[:9], b"# note\n", *LINES[9:]], [("malformed", 10)]),
    "empty line put in": ([*LINES[:9], b"\n", *LINES[9:]], [("malformed", 10)]),
    "wiped": (
        [*LINES[:9], bytes(len(LINES[9]) - 1) + b"\n", *LINES[10:]],
        [("malformed", 10), ("unchecked", 11)],
    ),
    "long line put in": ([*LINES[:9], b"x" * 200_000 + b"\n", *LINES[9:]], [("malformed", 10)]),
    "head cut": (LINES[7:], [("not_begun", 1)]),
    "torn": ([*LINES[:-1], LINES[-1][:-5]], [("torn", 20)]),
    "without last newline": ([*LINES[:-1], LINES[-1][:-1]], [("torn", 20)]),
    "joined": ([*LINES[:9], LINES[9][:-1], *LINES[10:]], [("missing", 10)]),
    "split": (
        [*LINES[:9], LINES[9][:20] + b"\n" + LINES[9][20:], *LINES[10:]],
        [("malformed", 10), ("malformed", 11), ("unchecked", 12)],
    ),
    "windows newlines": (
        [line[:-1] + b"\r\n" for line in LINES[:3]],
        [("malformed", 1), ("malformed", 2), ("malformed", 3), ("not_begun", 3)],
    ),
    "empty": ([], [("not_begun", 0)]),
    "reversed": (
        LINES[:3][::-1],
        [("not_begun", 1), ("misplaced", 2), ("discontinuity", 3)],
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_each_kind_of_damage_is_named(library: SimpleNamespace, name: str) -> None:
    """Every kind of damage is found with its line, wherever the blocks are cut."""
    lines, expected = SINGLE[name]
    for block in (1 << 20, 7):
        assert (block, named(library, lines, block=block)) == (block, expected)


def test_a_fault_tells_where_it_is(library: SimpleNamespace) -> None:
    """Sequence number and offset belong to the line that is named."""
    lines = [*LINES[:9], edited(LINES[9]), *LINES[10:15], *LINES[17:]]
    faults = [fault for fault, _ in check(library, b"".join(lines), block=1000).faults]
    assert [(fault.kind, fault.line, fault.sequence) for fault in faults] == [
        ("changed", 10, 10),
        ("missing", 16, 16),
    ]
    assert [fault.offset for fault in faults] == [len(b"".join(lines[:9])), len(b"".join(lines[:15]))]
    assert "seq 16 to 17 are missing" in faults[1].message
    for fault in faults:
        assert SECRET.hex() not in fault.message


# -- the end ---------------------------------------------------------------------


def test_a_cut_tail_is_found_by_its_end(library: SimpleNamespace) -> None:
    """Lines cut off the end leave a whole chain; number and tag of the last one find it."""
    for kept in (19, 10, 1):
        assert named(library, LINES[:kept]) == []
        assert named(library, LINES[:kept], last=(20, END)) == [("tail_missing", kept)]
    longer = make_lines(25)
    assert named(library, longer, last=(20, END)) == []
    assert named(library, LINES, last=(20, tag_of(LINES[18]))) == [("tail_missing", 20)]
    assert named(library, [], last=(20, END)) == [("not_begun", 0), ("tail_missing", 0)]


def test_a_tail_written_anew_is_found_by_its_end(library: SimpleNamespace) -> None:
    """A writer that went on from a log whose tail was cut has another tag at the same number."""
    chain = library.AuditChain(SECRET, 15, tag_of(LINES[14]))
    forked = [*LINES[:15], chain.begin({}), *(chain.append({"n": number}) for number in range(8))]
    assert named(library, forked) == []
    assert named(library, forked, last=(20, END)) == [("tail_missing", 24)]
    # Both ends in one file: the second does not follow the first.
    assert named(library, [*LINES, *forked[15:]]) == [("discontinuity", 21)]


def test_the_expected_line_may_stand_before_the_first(library: SimpleNamespace) -> None:
    """A log that begins right behind the expected line has reached it."""
    second = make_lines(5, first=21, previous=END)
    assert named(library, second, last=(20, END)) == []
    assert named(library, second, last=(19, END)) == [("tail_missing", 5)]
    assert named(library, [*LINES[:-1], rechained(LINES[-1])], last=(20, END)) == [
        ("changed", 20),
        ("tail_missing", 20),
    ]
    assert named(library, [*LINES[:9], rechained(LINES[9]), *LINES[10:]], last=(10, tag_of(LINES[9]))) == [
        ("changed", 10)
    ]


def test_a_log_must_follow_the_line_that_is_named(library: SimpleNamespace) -> None:
    """A check can go on where an earlier one ended, or demand the very beginning."""
    second = make_lines(5, first=21, previous=END)
    assert named(library, second, after=(20, END)) == []
    assert named(library, second, after=(20, END), last=(20, END)) == []
    assert named(library, second, after=(19, tag_of(LINES[18]))) == [("discontinuity", 1)]
    assert named(library, second, after=(0, ZEROS)) == [("discontinuity", 1)]
    assert named(library, LINES, after=(0, ZEROS)) == []
    assert named(library, [], after=(20, END)) == [("not_begun", 0)]
    assert named(library, LINES[10:], after=(10, tag_of(LINES[9]))) == []
    assert named(library, LINES[11:], after=(10, tag_of(LINES[9]))) == [("missing", 1)]


def test_the_first_begin_line_is_believed(library: SimpleNamespace) -> None:
    """A file may be checked alone: it starts at its begin line, and the verifier says where that is."""
    second = make_lines(5, first=21, previous=END)
    result = check(library, b"".join(second))
    assert (result.faults, result.verifier.first_sequence, result.verifier.sequence) == ([], 21, 25)


# -- files and keys ------------------------------------------------------------------


def files_of(library: SimpleNamespace) -> list[bytes]:
    """Three files of one log, the third under another key."""
    chain = library.AuditChain(SECRET)
    files = []
    for number in range(3):
        if number == 2:
            chain = library.AuditChain(OTHER_SECRET, chain.sequence, chain.tag)
        lines = [chain.begin({"file": number}), *(chain.append({"n": n}) for n in range(9))]
        files.append(b"".join(lines))
    return files


def in_files(library: SimpleNamespace, *files: bytes, **options: Any) -> list[tuple[str, int, int]]:
    """Kind, file and line of each fault."""
    faults = check(library, *files, secrets=[SECRET, OTHER_SECRET], **options).faults
    return [(fault.kind, number, fault.line) for fault, number in faults]


def test_files_follow_each_other(library: SimpleNamespace) -> None:
    """Files in their order are one chain; another order, a missing and a doubled file are found."""
    one, two, three = files_of(library)
    assert in_files(library, one, two, three) == []
    assert in_files(library, one + two + three) == []
    assert in_files(library, two, three) == []
    assert in_files(library, one, three) == [("discontinuity", 1, 1)]
    assert in_files(library, two, one, three) == [("discontinuity", 1, 1), ("discontinuity", 2, 1)]
    assert in_files(library, one, two, two, three) == [("discontinuity", 2, 1)]
    assert in_files(library, one, b"", two, three) == []
    assert in_files(library, one[: one.rindex(b"{")], two, three) == [("discontinuity", 1, 1)]


def test_damage_at_the_edge_of_a_file_is_named_there(library: SimpleNamespace) -> None:
    """What is wrong with the last line of a file is told with that file."""
    one, two, three = (file.splitlines(keepends=True) for file in files_of(library))
    joined = b"".join
    wrong = one[-1].replace(b'"n":8', b'"n":7')
    assert in_files(library, joined([*one[:-1], wrong]), joined(two)) == [("changed", 0, 10)]
    assert in_files(library, joined([*one[:-1], rechained(one[-1])]), joined(two)) == [("changed", 0, 10)]
    assert in_files(library, joined([*one[:-2], one[-1]]), joined(two)) == [("missing", 0, 9)]
    assert in_files(library, joined(one)[:-3], joined(two)) == [("torn", 0, 10), ("discontinuity", 1, 1)]
    assert in_files(library, joined([*one, one[0][:30]]), joined(two)) == [("torn", 0, 11)]
    assert in_files(library, joined(one), joined(two[1:])) == [("discontinuity", 1, 1)]
    assert in_files(library, joined(one), joined(two), joined(three[1:])) == [("discontinuity", 2, 1)]
    # A file may be cut between any two lines: what follows is proven by its chain.
    assert in_files(library, joined(one[:5]), joined(one[5:] + two)) == []


def test_lines_of_other_keys(library: SimpleNamespace) -> None:
    """What a key that was not given signed is not checked, and that is a fault, told once."""
    one, two, three = files_of(library)
    assert named(library, [one, two, three], secrets=[SECRET]) == [("unknown_key", 21)]
    assert named(library, [one, two, three], secrets=[OTHER_SECRET]) == [
        ("unknown_key", 1),
        ("unknown_key", 11),
    ]
    # Within what is not checked, numbers that do not follow are still told.
    lines = [*one.splitlines(keepends=True), *two.splitlines(keepends=True)]
    assert named(library, [*lines[:5], *lines[6:], three], secrets=[OTHER_SECRET])[:2] == [
        ("unknown_key", 1),
        ("missing", 6),
    ]


def test_an_unknown_key_does_not_hide_what_follows(library: SimpleNamespace) -> None:
    """A begin line that somebody put in or in another's place stops no check of the lines after it."""
    stranger = library.AuditChain(OTHER_SECRET, 9, END).begin({})
    for lines in ([*LINES[:9], stranger, *LINES[9:]], [*LINES[:9], stranger, *LINES[10:]]):
        changed = [*lines[:14], edited(lines[14]), *lines[15:]]
        found = named(library, changed)
        assert found[0] == ("unknown_key", 10)
        assert found[-1] == ("changed", 15)


def test_a_key_needs_a_begin_line(library: SimpleNamespace) -> None:
    """Whoever holds another of the secrets cannot slip a line in without one."""
    other = library.AuditChain(OTHER_SECRET, 20, END)
    assert named(library, [*LINES, other.append({})], secrets=[SECRET, OTHER_SECRET]) == [("not_begun", 21)]
    again = library.AuditChain(OTHER_SECRET, 20, END)
    assert named(library, [*LINES, again.begin({}), again.append({})], secrets=[SECRET, OTHER_SECRET]) == []


def test_lines_of_another_log_are_not_accepted(library: SimpleNamespace) -> None:
    """Lines that the same key signed elsewhere do not fit, whether begin lines or not."""
    elsewhere = library.AuditChain(SECRET)
    other = [elsewhere.begin({"host": "b"}), *(elsewhere.append({"n": n}) for n in range(19))]
    assert named(library, [*LINES[:9], other[9], *LINES[10:]]) == [("changed", 10), ("unchecked", 11)]
    assert named(library, [*LINES[:9], *other[9:]]) == [("changed", 10)]
    assert named(library, [*LINES[:9], other[0], *LINES[9:]]) == [("discontinuity", 10)]
    assert named(library, [*LINES, *other]) == [("discontinuity", 21)]
    assert named(library, [*LINES[:9], LINES[0], *LINES[9:]]) == [("discontinuity", 10)]


# -- arguments and resources -------------------------------------------------------------


def test_wrong_arguments(library: SimpleNamespace) -> None:
    """A verifier without a usable secret, or with an impossible end, is refused."""
    make: Callable[..., Any] = library.AuditVerifier
    cases: list[tuple[Any, dict[str, Any], type[Exception]]] = [
        ([], {}, InvalidOptionError),
        ([SECRET, SECRET], {}, DuplicateKeyError),
        ([b"short"], {}, WeakSecretError),
        (SECRET, {}, TypeError),
        ("text " * 10, {}, TypeError),
        (None, {}, TypeError),
        ([SECRET], {"last": 20}, TypeError),
        ([SECRET], {"last": (20,)}, TypeError),
        ([SECRET], {"after": (0, END)}, InvalidOptionError),
        ([SECRET], {"threads": 3}, InvalidOptionError),
        ([SECRET], {"max_faults": -1}, InvalidOptionError),
        ([SECRET], {"max_faults": "1"}, TypeError),
        ([SECRET], {"max_faults": True}, TypeError),
    ]
    for secrets, options, error in cases:
        with pytest.raises(error):
            make(secrets, **options)
    with pytest.raises(TypeError, match="block must be bytes-like"):
        make([SECRET]).feed("text")
    with pytest.raises(TypeError, match="final"):
        type("Mine", (make,), {})  # type: ignore[arg-type]


def test_any_bytes_like_block(library: SimpleNamespace) -> None:
    """Blocks may be bytes, a bytearray or a view."""
    text = b"".join(LINES)
    for kind in (bytes, bytearray, memoryview):
        verifier = library.AuditVerifier([SECRET])
        assert verifier.feed(kind(text)) + verifier.finish() == []


@pytest.fixture(scope="module")
def large() -> list[bytes]:
    """A log of 3 MB."""
    chain = load_backend("native").AuditChain(SECRET)
    chance = random.Random(6234)
    lines = [chain.begin({})]
    lines += [chain.append({"n": n, "text": "x" * chance.randrange(400)}) for n in range(10_000)]
    return lines


@pytest.mark.parametrize("threads", [1, 2])
def test_two_threads_find_what_one_does(large: list[bytes], threads: int) -> None:
    """Damage in either half of a block is found, and so is a line that misleads the second half."""
    library = load_backend("native")
    text = b"".join(large)
    middle = text.count(b"\n", 0, len(text) // 2)
    assert named(library, large, threads=threads, block=len(text), last=(10_001, tag_of(large[-1]))) == []
    for place in (5, middle - 1, middle, middle + 1, 9_000):
        lines = [*large[:place], large[place].replace(b'"n":', b'"n":1'), *large[place + 1 :]]
        assert named(library, lines, threads=threads, block=len(text)) == [("changed", place + 1)]
    for place in (middle - 1, middle):
        lines = [*large[:place], b"x\n", *large[place:]]
        assert named(library, lines, threads=threads, block=len(text)) == [("malformed", place + 1)]
    # A stranger's line right before the cut must not vouch for what follows it.
    assert named(library, [*large[:middle], *large[middle + 1 :]], threads=threads) == [
        ("missing", middle + 1)
    ]


def test_checking_lets_other_threads_run(large: list[bytes]) -> None:
    """The GIL is free while lines are gone over."""
    text = b"".join(large) * 1
    verifiers = [load_backend("native").AuditVerifier([SECRET]) for _ in range(60)]

    def work() -> None:
        for verifier in verifiers:
            assert verifier.feed(text) == []

    assert ticks_meanwhile(work) > 3


def test_faults_beyond_the_limit_are_only_counted(library: SimpleNamespace) -> None:
    """With a limit the first faults are returned, over all calls together, and every one is counted."""
    verifier = library.AuditVerifier([SECRET], max_faults=3)
    found = [verifier.feed(b"\n" * 2), verifier.feed(b"\n" * 1000), verifier.finish()]
    assert [[fault.line for fault in faults] for faults in found] == [[1, 2], [3], []]
    assert verifier.fault_count == 1003
    silent = library.AuditVerifier([SECRET], max_faults=0)
    assert silent.feed(b"\n") + silent.finish() == []
    assert silent.fault_count == 2


def test_memory_does_not_grow_with_damage(library: SimpleNamespace) -> None:
    """A file of nothing but wrong lines is named line by line; the verifier itself keeps none of it."""
    verifier = library.AuditVerifier([SECRET])
    verifier.feed(LINES[0])
    wrong = LINES[9].replace(b":10,", b":%d,")
    found = 0
    for number in range(3000):
        found += len(verifier.feed(wrong % (10 + 2 * number)))
    found += len(verifier.finish())
    assert found == 3000
    seen = verifier._judge._seen
    assert len(seen._tags) <= 256
    assert len(seen._gaps) <= 1024
    endless = library.AuditVerifier([SECRET])
    for _ in range(100):
        endless.feed(b"x" * 65536)
    assert len(endless._begun) <= 65536
    assert [fault.kind for fault in endless.feed(b"\n")] == ["malformed"]
    assert [(fault.kind, fault.line) for fault in endless.feed(b"y") + endless.finish()] == [
        ("torn", 2),
        ("not_begun", 1),
    ]
