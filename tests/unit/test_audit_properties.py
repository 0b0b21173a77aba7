"""Whatever is done to an audit log is found; what was written as it should be is good."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sigil_native.errors import AuditFormatError, CanonicalizationError
from tests.audit_logs import OTHER_SECRET, SECRET, ZEROS, check, make_lines, named, tag_of
from tests.backends import BACKENDS, load_backend
from tests.heavy import HEAVY
from tests.parity.strategies import json_values

LINES = make_lines(12)
#: Under another key of the same log from here on.
LINES += make_lines(8, first=13, previous=tag_of(LINES[-1]), secret=OTHER_SECRET)
SECRETS = [SECRET, OTHER_SECRET]
#: Between these two, nothing can be done to the log without a fault.
ENDS: dict[str, Any] = {"after": (0, ZEROS), "last": (20, tag_of(LINES[-1]))}
FOREIGN = make_lines(20, secret=OTHER_SECRET)

places = st.integers(0, len(LINES) - 1)


def _flip(line: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(line)
    changed[at % (len(line) - 1)] ^= 1 << bit
    return bytes(changed)


@given(at=places, byte=st.integers(0, 500), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_in_its_line(library: SimpleNamespace, at: int, byte: int, bit: int) -> None:
    """One bit changed in one line: that line is named, and at most what can then not be checked after it."""
    lines = [*LINES[:at], _flip(LINES[at], byte, bit), *LINES[at + 1 :]]
    found = named(library, lines, secrets=SECRETS, **ENDS)
    assert found
    # A newline put into a line makes two of it.
    assert {line for _, line in found} <= {at + 1, at + 2, at + 3, 20}
    assert found[0][1] == at + 1


@given(first=places, count=st.integers(1, 20))
def test_removed_lines_are_found_where_they_are_missing(
    library: SimpleNamespace, first: int, count: int
) -> None:
    """Any run of lines taken out is found, at the line that stands there now, or at the end."""
    lines = [*LINES[:first], *LINES[first + count :]]
    found = named(library, lines, secrets=SECRETS, **ENDS)
    assert found
    assert found[0][1] == (first + 1 if first + count < len(LINES) else first)


@given(one=places, other=places)
def test_swapped_lines_are_found(library: SimpleNamespace, one: int, other: int) -> None:
    """Two lines that changed places: the first of the two places is named."""
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    found = named(library, lines, secrets=SECRETS, **ENDS)
    if one == other:
        assert found == []
    else:
        assert found[0][1] == min(one, other) + 1
        assert {line for _, line in found} <= {place + step for place in (one, other) for step in (1, 2)}


inserted = (
    st.sampled_from([*LINES, *FOREIGN])
    | st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"") + b"\n")
    | st.builds(_flip, st.sampled_from(LINES), st.integers(0, 500), st.integers(0, 7)).filter(
        lambda line: line.count(b"\n") == 1
    )
)


@given(at=st.integers(1, len(LINES)), line=inserted)
def test_a_line_put_in_is_found(library: SimpleNamespace, at: int, line: bytes) -> None:
    """Any line put in, old, foreign or senseless, is named, and nothing else is."""
    found = named(library, [*LINES[:at], line, *LINES[at:]], secrets=SECRETS, **ENDS)
    # Of two equal lines the first is in its place.
    named_line = at + 2 if LINES[at : at + 1] == [line] else at + 1
    assert [number for _, number in found] == [named_line]


edits = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(0, 30), st.integers(1, 4)),
        st.tuples(st.just("flip"), st.integers(0, 30), st.integers(0, 4000)),
        st.tuples(st.just("move"), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("copy"), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("foreign"), st.integers(0, 30), st.integers(0, 19)),
    ),
    min_size=1,
    max_size=5,
)


def edited(lines: list[bytes], what: list[tuple[str, int, int]]) -> list[bytes]:
    """A log that several things were done to."""
    lines = list(lines)
    for kind, at, more in what:
        place = at % (len(lines) + 1)
        if kind == "drop":
            del lines[place : place + more]
        elif kind == "foreign":
            lines.insert(place, FOREIGN[more])
        elif lines:
            source = place % len(lines)
            if kind == "flip":
                lines[source] = _flip(lines[source], more // 8, more % 8)
            elif kind == "copy":
                lines.insert(more % (len(lines) + 1), lines[source])
            else:
                line = lines.pop(source)
                lines.insert(more % (len(lines) + 1), line)
    return lines


@given(what=edits, block=st.integers(1, 3000))
def test_any_edits_are_found(library: SimpleNamespace, what: list[tuple[str, int, int]], block: int) -> None:
    """A log is good exactly if it is what was written, wherever its blocks are cut."""
    lines = edited(LINES, what)
    text = b"".join(lines)
    result = check(library, text, block=block, secrets=SECRETS, **ENDS)
    assert (result.faults == []) == (text == b"".join(LINES))
    assert result.verifier.lines == text.count(b"\n")
    for fault, _ in result.faults:
        start = 0 if fault.line <= 1 else [i for i, byte in enumerate(text) if byte == 10][fault.line - 2] + 1
        assert fault.offset == start


@given(what=edits)
def test_both_backends_find_the_same(what: list[tuple[str, int, int]]) -> None:
    """Faults, counts and messages are the same from both backends, also with fewer secrets."""
    text = b"".join(edited(LINES, what))
    for secrets in (SECRETS, [SECRET], [OTHER_SECRET]):
        found = [
            check(load_backend(backend), text, block=700, secrets=secrets, **ENDS) for backend in BACKENDS
        ]
        assert found[0].faults == found[1].faults
        for name in ("lines", "sequence", "tag", "first_sequence"):
            assert getattr(found[0].verifier, name) == getattr(found[1].verifier, name)


groups = st.lists(
    st.lists(st.dictionaries(st.text(max_size=8), json_values, max_size=3), max_size=2), max_size=3
)


@settings(max_examples=400 if HEAVY else 15)
@given(written=groups)
def test_what_is_written_verifies(library: SimpleNamespace, written: list[list[dict[str, Any]]]) -> None:
    """Whatever JSON the members hold, the log is good, and its end is the chain's."""
    chain = library.AuditChain(SECRET)
    text = chain.begin({})
    for group in written:
        before = chain.sequence
        try:
            text += chain.append_many(group)
        except (AuditFormatError, CanonicalizationError):
            assert chain.sequence == before
    result = check(library, text, last=(chain.sequence, chain.tag))
    assert result.faults == []
    assert result.verifier.lines == chain.sequence
