"""Both backends write and read audit logs alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.audit_logs import SECRET, make_lines
from tests.parity.outcomes import NATIVE, PURE, assert_same, outcome
from tests.parity.strategies import python_values

LINES = make_lines(3)

spelled_lines: st.SearchStrategy[Any] = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([*LINES, None, 1, "text", memoryview(LINES[1])[::2]]),
    st.builds(
        lambda line, at, cut, put: line[: at % len(line)] + put + line[at % len(line) + cut :],
        st.sampled_from(LINES),
        st.integers(0, 300),
        st.integers(0, 12),
        st.binary(max_size=6) | st.sampled_from([b"0", b"9" * 17, b'"', b",", b"\n", b'"}', b"=", b"-"]),
    ),
)
members: st.SearchStrategy[Any] = (
    st.dictionaries(
        st.text(max_size=6) | st.sampled_from(["seq", "chain", "format", "key_id", "previous", "\ud800"]),
        python_values,
        max_size=3,
    )
    | python_values
)


@given(line=spelled_lines)
def test_reading(line: Any) -> None:
    """Lines are read and refused alike."""
    assert_same("read_audit_line", line)


@given(
    secret=st.binary(max_size=40) | st.text(max_size=40) | st.just(SECRET) | st.none(),
    sequence=st.integers(-1, 2**53) | st.sampled_from([0, 0, 1, 2**53 - 1, True, None, 1.5]),
    previous=st.sampled_from([bytes(32), b"x" * 32, b"x" * 31, None, "x" * 32, bytearray(b"y" * 32)]),
    written=st.lists(
        st.tuples(st.sampled_from(["begin", "append"]), members)
        | st.tuples(st.just("append_many"), st.lists(members, max_size=3) | members),
        max_size=4,
    ),
)
def test_writing(secret: Any, sequence: Any, previous: Any, written: list[tuple[str, Any]]) -> None:
    """Chains are refused alike, or write the same lines and stand in the same places."""
    made = [
        outcome(lambda lib=lib: repr(lib.AuditChain(secret, sequence, previous))) for lib in (NATIVE, PURE)
    ]
    assert made[0] == made[1]
    if made[0][0] == "error":
        return
    native, pure = (lib.AuditChain(secret, sequence, previous) for lib in (NATIVE, PURE))
    for call, given_members in written:
        assert outcome(getattr(native, call), given_members) == outcome(getattr(pure, call), given_members)
        for name in ("sequence", "tag", "key_id"):
            assert getattr(native, name) == getattr(pure, name)


@given(
    text=st.lists(st.sampled_from([*LINES, b"x\n", LINES[1].replace(b"e", b"f")]), max_size=6).map(b"".join),
    start=st.integers(-1, 10),
    cut=st.integers(-1, 400),
    sequence=st.integers(0, 3),
    stop=st.integers(0, 3),
)
def test_going_over(text: bytes, start: int, cut: int, sequence: int, stop: int) -> None:
    """Both go over as many lines and stop at the same."""
    end = text.rfind(b"\n") + 1
    found = [
        outcome(lib.AuditKey(SECRET).clean_run, text, 0, end, sequence, bytes(32), stop)
        for lib in (NATIVE, PURE)
    ]
    assert found[0] == found[1]
    tag = NATIVE.read_audit_line(LINES[0]).tag
    for lib in (NATIVE, PURE):
        run = lib.AuditKey(SECRET).clean_run(b"".join(LINES), len(LINES[0]), len(b"".join(LINES)), 1, tag, 0)
        assert run[0] == 2
