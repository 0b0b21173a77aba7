"""Both backends verify many sigils a call alike, whatever stands where in a group of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parity.outcomes import NATIVE, PURE, outcome
from tests.parity.strategies import python_values
from tests.parity.test_parity_verdicts import verify_lines
from tests.sigils import ISSUED_MS, NOW, SECRET, TENANT, as_strand, as_text, as_token, make_id, make_sigil

#: Keys of the ring besides that of SECRET, each with what is wrong with it.
_OTHERS: Final[dict[bytes, dict[str, Any]]] = {
    b"\x01" * 32: {"state": "verify-only"},
    b"\x02" * 32: {"state": "revoked"},
    b"\x03" * 32: {"not_before": NOW + 1},
    b"\x04" * 32: {"retire_at": NOW},
}
_UNKNOWN: Final = b"\x05" * 32
#: Those of a group, and what lies about them.
_SIZES: Final = (0, 1, 2, 127, 128, 129, 256, 300)


def _codec(library: SimpleNamespace, **options: Any) -> Any:
    ring = library.KeyRing()
    ring.add(SECRET)
    for secret, state in _OTHERS.items():
        ring.add(secret, **state)
    return library.SigilCodec(ring, **options)


CODECS: Final = (_codec(NATIVE), _codec(PURE))


def _same(name: str, *arguments: Any, codecs: tuple[Any, Any] = CODECS) -> Any:
    native, pure = (outcome(getattr(codec, name), *arguments, tenant=TENANT, now=NOW) for codec in codecs)
    assert native == pure
    return native


def _sigils(canonical: bytes) -> list[tuple[str, str]]:
    """Sigils of a payload, good ones and one for each reason why not; the code of each."""
    made: list[tuple[bytes, str]] = [
        (make_sigil(canonical), "valid"),
        (make_sigil(canonical, expires_ms=2**64 - 1), "valid"),
        (make_sigil(canonical, secret=b"\x01" * 32), "valid"),
        (make_sigil(canonical, secret=b"\x02" * 32), "revoked_key"),
        (make_sigil(canonical, secret=b"\x03" * 32), "key_not_yet_valid"),
        (make_sigil(canonical, secret=b"\x04" * 32), "retired_key"),
        (make_sigil(canonical, secret=_UNKNOWN), "unknown_key"),
        (make_sigil(canonical, tenant="other"), "tag_mismatch"),
        (make_sigil(b"[]"), "tag_mismatch"),
        (make_sigil(canonical, identifier=make_id(ISSUED_MS + 62_000)), "issued_in_future"),
        (make_sigil(canonical, expires_ms=ISSUED_MS + 1000), "expired"),
        (b"\x02" + make_sigil(canonical)[1:], "format"),
    ]
    found = [(form(raw), code) for raw, code in made for form in (as_text, as_strand)]
    found += [(as_token(raw, canonical), code) for raw, code in made]
    found += [(as_token(make_sigil(canonical), b"[]"), "tag_mismatch"), ("sgl1_", "format"), ("", "format")]
    return found


def _spellings(sigil: str, value: object) -> list[str]:
    """A line with each order of members, with blanks and without."""
    members = [("sigil", sigil), ("data", value)]
    spelt = [
        json.dumps(dict(order), separators=separators)
        for order in (members, members[::-1])
        for separators in ((",", ":"), (", ", ": "), (" ,\t", "\r: "))
    ]
    return [*spelt, f"  {spelt[0]}\t \r", spelt[1].replace("sgl1_", "\\u0073gl1_")]


_VALUES: Final[tuple[Any, ...]] = (
    {"b": 1, "a": ["é", 2.50]},
    [],
    "x",
    '","sigil":"',
    -0.0,
    1e16,
    None,
    True,
    {},
)
_LINES: Final = [
    line
    for value in _VALUES
    for sigil, _ in _sigils(NATIVE.canonicalize(value))[:: 1 if value == _VALUES[0] else 7]
    for line in _spellings(sigil, value)
]
_GOOD: Final = [json.dumps({"sigil": as_text(make_sigil(b"%d" % n)), "data": n}) for n in range(max(_SIZES))]
_ODD: Final = [
    *("", " ", "\r", "1", "{", "[]", "{}", "\ufeff" + _GOOD[0], _GOOD[0] + " x", _GOOD[0][:-1]),
    *('{"sigil":1,"data":1}', '{"sigil":"","data":}', '{"data":,"sigil":""}', '{"sigil":"","data":1,"e":1}'),
    *('{"sigil":"\\"","data":1}', '{"data":1,"sigil":"a","sigil":"b"}', '{"data":1,"data":2,"sigil":"b"}'),
    *('{"data":1,"sigil":"\\",\\"sigil\\":\\"x"}', '{"data":[[[[1]]]],"sigil":"x"}'),
    '{"data":9007199254740993,"sigil":"x"}',
]  # fmt: skip


def _with(good: list[Any], odd: list[Any], places: list[int]) -> list[Any]:
    """Good ones, with odd ones put in between."""
    mixed = list(good)
    for one, place in zip(odd, places, strict=False):
        mixed.insert(place % (len(mixed) + 1), one)
    return mixed


_places = st.lists(
    st.integers(0, 2**16) | st.sampled_from([0, 1, 126, 127, 128, 129, 255]), min_size=6, max_size=6
)


def test_every_kind_of_line() -> None:
    """Each order, spelling, form and cause comes to the same, and to what it should."""
    _same("verify_ndjson", "\n".join(_LINES))
    _same("verify_ndjson", "\n".join(_ODD).encode())
    value = _VALUES[0]
    for sigil, code in _sigils(NATIVE.canonicalize(value)):
        lines = _spellings(sigil, value)
        for answer in CODECS[0].verify_ndjson("\n".join(lines), tenant=TENANT, now=NOW).splitlines():
            assert f'"{code}"'.encode() in answer


@pytest.mark.parametrize("count", _SIZES)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_lines_of_groups(count: int, end: str) -> None:
    """Groups of any size come to the same, whatever ends their lines."""
    text = (end or "\n").join(_GOOD[:count]) + (end if count else "")
    assert text == "" or _same("verify_ndjson", text)[1].count(b'"valid":true') == count
    assert _same("verify_ndjson", text.encode())[1].count(b"\n") == count


@given(
    count=st.sampled_from(_SIZES),
    odd=st.lists(
        st.sampled_from(_ODD).map(str.encode) | st.sampled_from(_LINES).map(str.encode) | verify_lines(),
        max_size=6,
    ),
    places=_places,
    ends=st.sampled_from([b"\n", b"\r\n"]),
    bad_bytes=st.sampled_from([b"", b"", b"\xff", b"\xed\xa0\x80"]),
    options=st.sampled_from(
        [{}, {}, {"max_bytes": 150}, {"max_depth": 1}, {"integers": "exact", "max_depth": 3}]
    ),
)
def test_odd_lines_in_groups(
    count: int, odd: list[bytes], places: list[int], ends: bytes, bad_bytes: bytes, options: dict[str, Any]
) -> None:
    """Odd lines anywhere in a group are told of in their place, and stop no other."""
    lines = _with([line.encode() for line in _GOOD[:count]], odd, places)
    body = ends.join(lines) + bad_bytes
    codecs = (_codec(NATIVE, **options), _codec(PURE, **options))
    assert _same("verify_ndjson", body, codecs=codecs)[1].count(b"\n") == body.count(b"\n") + bool(
        body.rsplit(b"\n", 1)[-1]
    )
    _same("verify_ndjson", bytearray(body), codecs=codecs)
    _same("verify_ndjson", body.decode("utf-8", "replace"), codecs=codecs)


# -- values ------------------------------------------------------------------------


def test_every_kind_of_pair() -> None:
    """Each form and cause comes to the same, and to what it should; a sigil may be given as itself."""
    value = _VALUES[0]
    kinds = _sigils(NATIVE.canonicalize(value))
    sigils: list[Any] = [sigil for sigil, _ in kinds] + [
        make_sigil(b"1"),
        bytearray(make_sigil(b"1")),
        "\ud800é",
    ]
    values: list[Any] = [value] * len(kinds) + [1, 2, 3]
    _same("verify_many", sigils, values)
    for codec in CODECS:
        found = codec.verify_many(sigils, values, tenant=TENANT, now=NOW)
        codes = [getattr(one, "code", "valid") for one in found[: len(kinds)]]
        assert codes == [code for _, code in kinds]
        assert codec.verify_many([found[0]], [value], tenant=TENANT, now=NOW) == [found[0]]


@given(
    count=st.sampled_from(_SIZES),
    odd=st.lists(st.tuples(st.sampled_from(_sigils(b"{}")), python_values), max_size=6),
    places=_places,
    options=st.sampled_from([{}, {}, {"max_bytes": 20}, {"max_depth": 1}, {"integers": "exact"}]),
)
def test_odd_pairs_in_groups(
    count: int, odd: list[tuple[tuple[str, str], Any]], places: list[int], options: dict[str, Any]
) -> None:
    """Odd pairs anywhere in a group have their error in their place, with its index, and stop no other."""
    good: list[tuple[Any, Any]] = [(json.loads(line)["sigil"], n) for n, line in enumerate(_GOOD[:count])]
    pairs = _with(good, [(sigil, value) for (sigil, _), value in odd], places)
    codecs = (_codec(NATIVE, **options), _codec(PURE, **options))
    _same("verify_many", [sigil for sigil, _ in pairs], [value for _, value in pairs], codecs=codecs)


@pytest.mark.parametrize("place", [0, 5, 127, 128, 200])
def test_no_sigil_among_many(place: int) -> None:
    """What is no sigil at all is the caller's mistake, wherever it stands."""
    sigils: list[Any] = [make_sigil(b"1")] * 201
    sigils[place] = 1
    assert _same("verify_many", sigils, [1] * 201)[1] is TypeError


def test_large_pairs() -> None:
    """Payloads that fill a group by their size are judged as all others."""
    values = ["x" * size for size in (1, 262_144, 7, 300_000, 0, 100_000, 100_000, 100_000, 3)]
    sigils = [make_sigil(json.dumps(value).encode()) for value in values]
    sigils[3] = sigils[1]
    found = _same("verify_many", sigils, values)[1]
    assert [one[0] == "sigil" for one in found] == [index != 3 for index in range(len(values))]
    lines = "\n".join(
        json.dumps({"data": value, "sigil": as_text(sigil)})
        for value, sigil in zip(values, sigils, strict=True)
    )
    assert _same("verify_ndjson", lines)[1].count(b'"valid":true') == len(values) - 1
