"""Both backends read, seal and judge sigils alike, and accept each other's."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.errors import SigilError
from tests.parity.outcomes import NATIVE, PURE, assert_same, outcome, plain
from tests.parity.strategies import any_text, json_documents, json_values, nearly_json, python_values
from tests.sigils import (
    ISSUED_MS,
    NOW,
    SECRET,
    TENANT,
    as_strand,
    as_text,
    as_token,
    make_id,
    make_sigil,
    ring_of,
)

EDGE_SECONDS = st.sampled_from(
    [0, 0.0005, 0.001, 1, NOW, ISSUED_MS / 1000, ISSUED_MS / 1000 - 60, 253402300799]
)
MOMENTS = EDGE_SECONDS | st.floats(0, 253402300799)
NO_NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [True, False, "1", b"1", [], -1, -0.001, float("nan"), float("inf"), 1e300, 10**400, 253402300800, 1e-9]
)
TENANTS = st.sampled_from(["t", TENANT, "é" * 64, "x" * 128]) | st.text(min_size=1, max_size=20)
NO_TENANTS: st.SearchStrategy[Any] = st.sampled_from(["", "x" * 129, "é" * 65, "\ud800", b"t", None, 1])
FORMS = st.sampled_from(["text", "strand", "token", "binary"])
NO_FORMS: st.SearchStrategy[Any] = st.sampled_from(["", "Text", "hex", None, 1, b"text", [], "\ud800"])


def both(options: dict[str, Any], **codec_options: Any) -> tuple[Any, Any]:
    """A codec of each backend over a ring with the same key."""
    return tuple(lib.SigilCodec(ring_of(lib, **options), **codec_options) for lib in (NATIVE, PURE))


def same(codecs: tuple[Any, Any], name: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of both codecs; they must come to the same."""
    native, pure = (outcome(getattr(codec, name), *arguments, **options) for codec in codecs)
    assert native == pure
    return native


NATIVE_CODEC, PURE_CODEC = CODECS = both({})


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A sigil in any form, with a few bytes or characters changed, cut or put in."""
    canonical = draw(st.sampled_from([b"1", b'{"a":1}', b"", b"{", b'"\xc3\xa9"']))
    raw = make_sigil(canonical, identifier=make_id(tail=draw(st.integers(0, 2**48 - 1))))
    if draw(st.booleans()):
        place = draw(st.integers(0, 31))
        raw = raw[:place] + draw(st.binary(min_size=1, max_size=1)) + raw[place + 1 :]
    spelt = draw(
        st.sampled_from([raw.decode("latin-1"), as_text(raw), as_strand(raw), as_token(raw, canonical)])
    )
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(spelt)) | st.sampled_from([0, 4, 5, 90, 91, 92, 255, len(spelt)]))
        piece = draw(st.text(alphabet="AQgwBZ09-_.=+/ \nACGTacgt\x00\xe9Ā😀\ud800", max_size=3))
        spelt = spelt[:place] + piece + spelt[place + draw(st.integers(0, 3)) :]
    if draw(st.booleans()):
        return spelt
    encoded = spelt.encode("latin-1", "replace")
    return draw(st.sampled_from([bytes, bytearray, memoryview]))(encoded)


# -- reading -----------------------------------------------------------------------


@given(value=damaged())
def test_damaged_sigils(value: Any) -> None:
    """A damaged sigil comes to the same, through parse and through decode."""
    assert_same("parse", value)
    same(CODECS, "decode", value)


@given(value=st.binary(max_size=300) | st.binary(min_size=64, max_size=64) | any_text)
def test_arbitrary_sigils(value: Any) -> None:
    """Arbitrary bytes and text come to the same."""
    assert_same("parse", value)


@given(start=st.binary(max_size=2), rest=st.binary(min_size=64, max_size=64))
def test_arbitrary_fields(start: bytes, rest: bytes) -> None:
    """64 bytes with a plausible head come to the same in each form."""
    raw = b"\x01\x00" + rest[2:6] + b"\x00\x00" + rest[8:22] + b"\x70" + rest[23:24] + b"\x80" + rest[25:]
    raw = start + raw[len(start) :]
    for form in (raw, as_text(raw), as_strand(raw), as_token(raw, rest)):
        assert_same("parse", form)


@pytest.mark.parametrize("value", [None, 1, 1.0, [], {}, object(), memoryview(bytes(128))[::2]])
def test_values_that_are_no_sigils(value: object) -> None:
    """Other types are the same mistake everywhere."""
    assert_same("parse", value)
    for name in ("decode", "verify", "verify_json", "verify_token"):
        arguments = (1,) if name == "verify" else (b"1",) if name == "verify_json" else ()
        options = {} if name == "decode" else {"tenant": "t"}
        same(CODECS, name, value, *arguments, **options)


# -- sealing, judged by the other --------------------------------------------------


@given(
    payload=json_values,
    tenant=TENANTS,
    form=FORMS,
    expires_in=st.none() | st.floats(600, 1e9) | st.integers(600, 10**9),
)
def test_seals_verify_with_the_other_backend(
    payload: Any, tenant: str, form: str, expires_in: float | None
) -> None:
    """What one backend seals the other verifies, through every door, and reads alike."""
    exact = both({}, integers="exact")
    text = json.dumps(payload)
    for sealer, verifier in (exact, exact[::-1]):
        seals = [
            sealer.encode(payload, tenant=tenant, form=form, expires_in=expires_in),
            sealer.encode_json(text, tenant=tenant, form=form, expires_in=expires_in),
            *sealer.encode_many([payload], tenant=tenant, form=form, expires_in=expires_in),
        ]
        if form != "binary":
            lines = sealer.encode_ndjson(text + "\n", tenant=tenant, form=form, expires_in=expires_in)
            seals.append(lines.decode().rstrip("\n"))
        for seal in seals:
            sigil = verifier.verify(seal, payload, tenant=tenant)
            assert plain(sealer.decode(seal)) == plain(sigil)
            assert plain(verifier.verify_json(seal, text, tenant=tenant)) == plain(sigil)
            lifetime = sigil.expires_at_ms - sigil.issued_at_ms
            assert sigil.expires_at_ms == 0 if expires_in is None else lifetime == round(expires_in * 1000)
            if form == "token":
                assert plain(verifier.verify_token(seal, tenant=tenant)[0]) == plain(sigil)


@given(
    payload=python_values,
    tenant=TENANTS | NO_TENANTS,
    form=FORMS | NO_FORMS,
    expires_in=st.none() | st.just(5) | NO_NUMBERS,
)
def test_refusals_of_encode(payload: object, tenant: Any, form: Any, expires_in: Any) -> None:
    """Mistakes of any kind, alone or together, come to the same error; else both seal."""
    options = {"tenant": tenant, "form": form, "expires_in": expires_in}
    for name, arguments in (("encode", payload), ("encode_many", [1, payload]), ("encode_json", payload)):
        native, pure = (outcome(getattr(codec, name), arguments, **options) for codec in CODECS)
        if "error" in (native[0], pure[0]):
            assert native == pure


@given(text=nearly_json(), tenant=TENANTS | NO_TENANTS, form=FORMS | NO_FORMS)
def test_refusals_of_encode_json(text: bytes, tenant: Any, form: Any) -> None:
    """Bad texts come to the same error, as one document and as lines."""
    for name in ("encode_json", "encode_ndjson"):
        native, pure = (outcome(getattr(codec, name), text, tenant=tenant, form=form) for codec in CODECS)
        if "error" in (native[0], pure[0]):
            assert native == pure


@given(
    lines=st.lists(nearly_json() | st.just(b"") | json_documents().map(str.encode), max_size=6),
    end=st.booleans(),
)
def test_lines(lines: list[bytes], end: bool) -> None:
    """Lines are sealed or refused alike, each in its place."""
    text = b"\n".join(lines) + b"\n" * end
    native, pure = (codec.encode_ndjson(text, tenant=TENANT).split(b"\n") for codec in CODECS)
    assert len(native) == len(pure)
    for one, other in zip(native, pure, strict=True):
        assert one == other or one[:5] == other[:5] == b"sgl1_"


# -- judging -----------------------------------------------------------------------


@given(
    sigil=damaged(),
    payload=st.sampled_from([1, {"a": 1}, "é", float("nan"), b"x", "\ud800", 2**53]),
    tenant=TENANTS | NO_TENANTS,
    now=st.none() | MOMENTS | NO_NUMBERS,
)
def test_verdicts_on_damaged_sigils(sigil: Any, payload: Any, tenant: Any, now: Any) -> None:
    """Any mixture of mistakes comes to the same first error."""
    same(CODECS, "verify", sigil, payload, tenant=tenant, now=now)
    same(CODECS, "verify_token", sigil, tenant=tenant, now=now)
    same(CODECS, "verify_many", [sigil, sigil], [payload, 1], tenant=tenant, now=now)


@given(
    sigil=damaged(),
    text=nearly_json() | st.sampled_from([b"1", b'{"a":1}', None, "1"]),
    now=st.none() | MOMENTS,
)
def test_verdicts_on_texts(sigil: Any, text: Any, now: float | None) -> None:
    """A damaged sigil against a damaged text comes to the same first error."""
    same(CODECS, "verify_json", sigil, text, tenant=TENANT, now=now)


@given(
    state=st.sampled_from(["active", "verify-only", "revoked"]),
    not_before=st.none() | MOMENTS,
    retire_at=st.none() | MOMENTS,
    skew=MOMENTS,
    now=MOMENTS,
    expires_ms=st.sampled_from([0, 1, ISSUED_MS, ISSUED_MS + 1000, 2**63 - 1, 2**63, 2**64 - 1]),
    issued_ms=st.sampled_from([0, ISSUED_MS, 253402300799_999, 2**48 - 1]),
)
def test_verdicts_on_keys_and_times(
    state: str,
    not_before: float | None,
    retire_at: float | None,
    skew: float,
    now: float,
    expires_ms: int,
    issued_ms: int,
) -> None:
    """Every combination of clocks comes to the same verdict, to the millisecond."""
    key = {"state": state, "not_before": not_before, "retire_at": retire_at}
    codecs = both(key, max_future_skew=skew)
    raw = make_sigil(b"1", expires_ms=expires_ms, identifier=make_id(issued_ms))
    same(codecs, "verify", raw, 1, tenant=TENANT, now=now)
    same(codecs, "verify", as_token(raw, b"2"), 1, tenant=TENANT, now=now)
    same(codecs, "verify_token", as_token(raw, b"1"), tenant=TENANT, now=now)


@given(payload=st.binary(max_size=20) | nearly_json() | json_documents().map(str.encode))
def test_sealed_payloads_of_tokens(payload: bytes) -> None:
    """A payload that was sealed though it is not canonical is refused alike."""
    same(CODECS, "verify_token", as_token(make_sigil(payload), payload), tenant=TENANT, now=NOW)


SIGIL_TEXT = as_text(make_sigil(b"1"))
TOKEN_TEXT = as_token(make_sigil(b"1"), b"1")
member_names = st.sampled_from(["sigil", "data", "sigil", "data", "a", "e", "z", "sigill", "\ud83d\ude00"])
member_values = st.sampled_from(
    [
        SIGIL_TEXT,
        TOKEN_TEXT,
        as_strand(make_sigil(b"1")),
        1,
        "1",
        "x",
        "",
        None,
        {"sigil": SIGIL_TEXT},
        '"',
        "\\",
        {"a": 1, "sigil": "x"},
        [SIGIL_TEXT],
        ',"sigil":"',
        SIGIL_TEXT[:-1],
        TOKEN_TEXT + "g",
        10**20,
        1e16,
        "\ue000\U0001f600",
    ]
)


@given(members=st.lists(st.tuples(member_names, member_values), max_size=4), ascii_only=st.booleans())
def test_lines_to_verify(members: list[tuple[str, Any]], ascii_only: bool) -> None:
    """Lines with any members come to the same verdict."""
    pairs = (f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=ascii_only)}" for name, value in members)
    line = "{" + ",".join(pairs) + "}"
    same(CODECS, "verify_ndjson", line, tenant=TENANT, now=NOW)
    same(CODECS, "verify_ndjson", line.encode(), tenant=TENANT, now=NOW)


@given(lines=st.lists(nearly_json() | json_documents().map(str.encode), max_size=4), limit=st.integers(0, 30))
def test_damaged_lines_to_verify(lines: list[bytes], limit: int) -> None:
    """Lines that are no pairs of members come to the same verdict, under any limits."""
    codecs = both({}, max_bytes=limit, max_depth=2)
    line = f'{{"sigil":"{SIGIL_TEXT}","data":'.encode()
    text = b"\n".join([*lines, *(line + item + b"}" for item in lines)])
    same(CODECS, "verify_ndjson", text, tenant=TENANT, now=NOW)
    same(codecs, "verify_ndjson", text, tenant=TENANT, now=NOW)


@given(
    options=st.dictionaries(
        st.sampled_from(["integers", "max_depth", "max_bytes", "max_future_skew"]), NO_NUMBERS
    )
)
def test_options_of_the_codec(options: dict[str, Any]) -> None:
    """Bad options of a codec come to the same error, in the same order."""
    outcomes = []
    for library in (NATIVE, PURE):
        ring = library.KeyRing()
        outcomes.append(outcome(lambda ring=ring, library=library: repr(library.SigilCodec(ring, **options))))
    assert outcomes[0] == outcomes[1]


# -- key rings ---------------------------------------------------------------------

SECRETS: st.SearchStrategy[Any] = st.sampled_from(
    [SECRET, bytearray(SECRET), SECRET.decode(), b"B" * 32, "é" * 16, b"x" * 31, "", None, 1, "\ud800" * 32]
)
STATES: st.SearchStrategy[Any] = st.sampled_from(["active", "verify-only", "revoked", "x", None, 1, []])
TIMES: st.SearchStrategy[Any] = st.none() | MOMENTS | NO_NUMBERS
KEY_IDS: st.SearchStrategy[Any] = st.sampled_from(
    [0, -1, 2**32, 10**30, True, None, "x", 1.0]
) | st.sampled_from([NATIVE.KeyRing().add(secret) for secret in (SECRET, b"B" * 32, "é" * 16)])
operations = st.one_of(
    st.tuples(st.just("add"), st.tuples(SECRETS, STATES, TIMES, TIMES), st.just({})),
    st.tuples(
        st.just("rotate"),
        st.tuples(SECRETS),
        st.fixed_dictionaries({}, optional={"retire_previous_at": TIMES}),
    ),
    st.tuples(st.just("revoke"), st.tuples(KEY_IDS), st.just({})),
)


@given(steps=st.lists(operations, max_size=8))
def test_key_rings(steps: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
    """Any sequence of operations, mistakes included, leaves both rings alike."""
    rings = [library.KeyRing() for library in (NATIVE, PURE)]
    codecs = (NATIVE.SigilCodec(rings[0]), PURE.SigilCodec(rings[1]))

    def signer(codec: Any) -> int:
        return int(codec.decode(codec.encode(1, tenant="t")).key_id)

    for name, arguments, options in steps:
        assert same((rings[0], rings[1]), name, *arguments, **options) is not None
        assert rings[0].keys() == rings[1].keys()
        assert (repr(rings[0]), len(rings[0])) == (repr(rings[1]), len(rings[1]))
        assert outcome(signer, codecs[0]) == outcome(signer, codecs[1])


@given(size=NO_NUMBERS | st.integers())
def test_size_of_the_tenant_cache(size: Any) -> None:
    """The size of the cache is judged alike."""
    outcomes = [outcome(lambda lib=lib: repr(lib.KeyRing(tenant_cache_size=size))) for lib in (NATIVE, PURE)]
    assert outcomes[0] == outcomes[1]


def refusals(calls: Callable[[SimpleNamespace], list[Callable[[], object]]]) -> list[list[Any]]:
    """What each backend's calls come to."""
    return [[outcome(call) for call in calls(library)] for library in (NATIVE, PURE)]


def test_calls_that_miss_the_mark() -> None:
    """Objects of one backend are no objects of the other, and say so alike."""
    native, pure = refusals(
        lambda library: [
            lambda: library.SigilCodec(None),
            lambda: library.SigilCodec("ring"),
            library.Sigil,
            lambda: library.sign_event(1, object()),
        ]
    )
    assert native == pure
    with pytest.raises(TypeError):
        NATIVE.SigilCodec(PURE.KeyRing())
    with pytest.raises(TypeError):
        PURE.SigilCodec(NATIVE.KeyRing())
    assert issubclass(SigilError, ValueError)
