"""The layout of a sigil, its four forms, and what is refused as none of them."""

from __future__ import annotations

import array
import copy
import pickle
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native.errors import SigilFormatError
from tests.backends import BACKENDS, load_backend
from tests.sigils import ISSUED_MS, as_strand, as_text, as_token, base64url, make_id, make_sigil

ID = make_id(tail=0x123456789ABC)
EXPIRES_MS = ISSUED_MS + 5_000
TAG = bytes(range(0xE0, 0x100))
RAW = bytes.fromhex("01 00 deadbeef 0000") + EXPIRES_MS.to_bytes(8, "big") + ID + TAG
PAYLOAD = b'{"a":1}'


def problem_of(library: SimpleNamespace, value: object) -> str:
    """Why a value is refused as a sigil."""
    with pytest.raises(SigilFormatError) as caught:
        library.parse(value)
    return str(caught.value.problem)


def changed(position: int, byte: int, raw: bytes = RAW) -> bytes:
    """The bytes with one of them replaced."""
    return raw[:position] + bytes([byte]) + raw[position + 1 :]


# -- reading -----------------------------------------------------------------------


def test_fields_lie_where_the_layout_says(library: SimpleNamespace) -> None:
    """Each field is read from its place, big-endian."""
    sigil, payload = library.parse(RAW)
    assert payload is None
    assert sigil.key_id == 0xDEADBEEF
    assert sigil.expires_at_ms == EXPIRES_MS
    assert sigil.expires_at == EXPIRES_MS / 1000
    assert sigil.id == str(uuid.UUID(bytes=ID))
    assert sigil.issued_at_ms == ISSUED_MS
    assert sigil.issued_at == ISSUED_MS / 1000
    assert sigil.header == RAW[:32]
    assert sigil.tag == TAG
    assert bytes(sigil) == RAW


def test_no_expiry_is_none(library: SimpleNamespace) -> None:
    """Expiry 0 means never."""
    sigil = library.parse(RAW[:8] + bytes(8) + RAW[16:])[0]
    assert sigil.expires_at_ms == 0
    assert sigil.expires_at is None


def test_text_form_is_prefix_and_base64url(library: SimpleNamespace) -> None:
    """The text form has 91 characters."""
    text = library.parse(RAW)[0].text
    assert text == as_text(RAW)
    assert len(text) == 91


def test_strand_form_has_two_bits_a_letter(library: SimpleNamespace) -> None:
    """The first byte 0x01 is AAAC; 256 letters in all."""
    strand = library.parse(RAW)[0].strand
    assert strand == as_strand(RAW)
    assert strand.startswith("AAAC")
    assert len(strand) == 256


@pytest.mark.parametrize("form", [as_text(RAW), as_strand(RAW), as_token(RAW, PAYLOAD)])
def test_text_forms_are_read_from_str_and_bytes_like(library: SimpleNamespace, form: str) -> None:
    """Any form is recognised by its shape, whatever holds its characters."""
    expected = (library.parse(RAW)[0], PAYLOAD if "." in form else None)
    for value in (form, form.encode(), bytearray(form.encode()), memoryview(form.encode())):
        assert library.parse(value) == expected


@pytest.mark.parametrize("value", [bytearray(RAW), memoryview(RAW), array.array("I", RAW)])
def test_binary_form_is_read_from_any_buffer(library: SimpleNamespace, value: object) -> None:
    """64 bytes are the binary form."""
    assert bytes(library.parse(value)[0]) == RAW


def test_sigil_is_itself(library: SimpleNamespace) -> None:
    """A Sigil is read as itself, without a payload."""
    sigil = library.parse(RAW)[0]
    assert library.parse(sigil) == (sigil, None)


@given(data=st.binary(min_size=1, max_size=200))
@pytest.mark.parametrize("backend", BACKENDS)
def test_token_carries_any_payload(backend: str, data: bytes) -> None:
    """A token's payload comes back byte for byte."""
    assert load_backend(backend).parse(as_token(RAW, data))[1] == data


@given(key=st.integers(0, 2**32 - 1), expiry=st.integers(0, 2**64 - 1), issued=st.integers(0, 2**48 - 1))
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_field_value_survives_every_form(backend: str, key: int, expiry: int, issued: int) -> None:
    """Any values of the free fields are read back from any form."""
    library = load_backend(backend)
    raw = (
        b"\x01\x00" + key.to_bytes(4, "big") + b"\x00\x00" + expiry.to_bytes(8, "big") + make_id(issued) + TAG
    )
    for form in (raw, as_text(raw), as_strand(raw), as_token(raw, b"0")):
        sigil = library.parse(form)[0]
        assert (sigil.key_id, sigil.expires_at_ms, sigil.issued_at_ms) == (key, expiry, issued)
        assert bytes(sigil) == raw


# -- refusing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "",
        b"",
        RAW[:63],
        RAW + b"\x00",
        RAW.decode("latin-1"),
        as_text(RAW)[:-1],
        as_text(RAW) + "A",
        as_text(RAW) + "=",
        as_text(RAW) + "\n",
        as_text(RAW) + ".",
        as_text(RAW) + ".A",
        as_text(RAW) + ".AAAAA",
        as_text(RAW).replace("sgl1_", "sgl2_"),
        as_text(RAW).replace("sgl1_", "SGL1_"),
        " " + as_text(RAW),
        as_strand(RAW)[:-1],
        as_strand(RAW) + "A",
        "." * 91,
        "sgl1_",
    ],
)
def test_wrong_shape(library: SimpleNamespace, value: object) -> None:
    """What has no form's length and prefix is not a sigil."""
    assert problem_of(library, value) == "shape"
    if isinstance(value, str):
        assert problem_of(library, value.encode()) == "shape"


@pytest.mark.parametrize(
    "value",
    [
        as_text(RAW)[:20] + "+" + as_text(RAW)[21:],
        as_text(RAW)[:20] + "/" + as_text(RAW)[21:],
        as_text(RAW)[:20] + "é" + as_text(RAW)[21:],
        as_text(RAW)[:20] + "\ud800" + as_text(RAW)[21:],
        as_text(RAW)[:-1] + "=",
        as_token(RAW, PAYLOAD)[:-1] + "=",
        as_token(RAW, PAYLOAD)[:-1] + ".",
        as_token(RAW, PAYLOAD)[:-1] + "😀",
        as_strand(RAW).lower(),
        as_strand(RAW)[:-1] + "U",
        as_strand(RAW)[:-1] + "Ā",
        "é" * 256,
    ],
)
def test_wrong_alphabet(library: SimpleNamespace, value: str) -> None:
    """A character that the form does not know is refused, in the payload as well."""
    assert problem_of(library, value) == "alphabet"


def test_unused_bits_are_zero(library: SimpleNamespace) -> None:
    """86 characters hold four bits more than 64 bytes need: of 16 spellings one is right."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = as_text(RAW)
    first = alphabet.index(text[-1])
    assert first % 16 == 0
    for spelling in range(first + 1, first + 16):
        assert problem_of(library, text[:-1] + alphabet[spelling]) == "trailing_bits"
        assert problem_of(library, text[:-1] + alphabet[spelling] + ".AAAA") == "trailing_bits"


@pytest.mark.parametrize(
    ("payload", "is_right"), [("AA", True), ("AB", False), ("AAA", True), ("AAB", False)]
)
def test_unused_bits_of_the_payload_are_zero(library: SimpleNamespace, payload: str, is_right: bool) -> None:
    """The payload's last character, too, has one spelling."""
    token = as_text(RAW) + "." + payload
    if is_right:
        assert library.parse(token)[1] == bytes(len(payload) - 1)
    else:
        assert problem_of(library, token) == "trailing_bits"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (changed(0, 0), "version"),
        (changed(0, 2), "version"),
        (changed(1, 0x80), "flags"),
        (changed(1, 1), "flags"),
        (changed(6, 1), "reserved"),
        (changed(7, 1), "reserved"),
        (changed(22, 0x40 | ID[6] & 0x0F), "identifier"),
        (changed(24, 0x40 | ID[8] & 0x3F), "identifier"),
        (changed(24, 0xC0 | ID[8] & 0x3F), "identifier"),
        (changed(24, 0x00 | ID[8] & 0x3F), "identifier"),
        (bytes(64), "version"),
    ],
)
def test_wrong_fields(library: SimpleNamespace, raw: bytes, problem: str) -> None:
    """Values that version 1 does not know are refused in every form."""
    for form in (raw, as_text(raw), as_strand(raw), as_token(raw, PAYLOAD)):
        assert problem_of(library, form) == problem


def test_first_problem_wins(library: SimpleNamespace) -> None:
    """Shape, alphabet, unused bits, version, flags, reserved, identifier: in this order."""
    raw = bytes([9, 9]) + RAW[2:6] + b"\x09\x09" + RAW[8:16] + bytes(16) + TAG
    text = as_text(raw)[:-1] + "B"  # unused bits as well
    foreign = text[:30] + "!" + text[31:]
    assert problem_of(library, foreign + ".A") == "shape"
    assert problem_of(library, foreign + ".AB") == "alphabet"
    assert problem_of(library, text + ".A!") == "alphabet"
    assert problem_of(library, text + ".AA") == "trailing_bits"
    assert problem_of(library, as_text(raw) + ".AB") == "trailing_bits"
    assert problem_of(library, raw) == "version"
    raw = changed(0, 1, raw)
    assert problem_of(library, raw) == "flags"
    raw = changed(1, 0, raw)
    assert problem_of(library, raw) == "reserved"
    raw = changed(7, 0, changed(6, 0, raw))
    assert problem_of(library, raw) == "identifier"


@pytest.mark.parametrize("value", [None, 1, 1.5, [RAW], {"sigil": RAW}, memoryview(RAW * 2)[::2]])
def test_other_types_are_the_callers_mistake(library: SimpleNamespace, value: object) -> None:
    """What is neither Sigil, str nor bytes-like is a TypeError."""
    with pytest.raises(
        TypeError, match=f"sigil must be Sigil, str or bytes-like, not {type(value).__name__}"
    ):
        library.parse(value)


def test_subclass_of_str_counts_by_its_text(library: SimpleNamespace) -> None:
    """What a subclass makes of encode() is not asked for."""

    class Odd(str):
        __slots__ = ()

        def encode(self, *_: object) -> Any:
            return 1.5

    assert problem_of(library, Odd("é" * 256)) == "alphabet"
    assert bytes(library.parse(Odd(as_text(RAW)))[0]) == RAW


def test_problem_is_told_in_words(library: SimpleNamespace) -> None:
    """The error has the problem's name, a stable code and a text."""
    with pytest.raises(SigilFormatError) as caught:
        library.parse("x")
    assert caught.value.code == "format"
    assert str(caught.value) == "not a sigil: neither text, strand, token nor binary"


@given(position=st.integers(5, 90), replacement=st.characters())
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_sigil_has_one_text(backend: str, position: int, replacement: str) -> None:
    """No other character anywhere gives the same sigil."""
    library, text = load_backend(backend), as_text(make_sigil(PAYLOAD))
    other = text[:position] + replacement + text[position + 1 :]
    try:
        sigil = library.parse(other)[0]
    except SigilFormatError:
        return
    assert sigil.text == other
    assert (bytes(sigil) == make_sigil(PAYLOAD)) == (other == text)


@given(value=st.one_of(st.text(alphabet="ACGTsgl1_.-AZaz09", max_size=300), st.binary(max_size=300)))
@pytest.mark.parametrize("backend", BACKENDS)
def test_whatever_is_read_is_spelt_again_alike(backend: str, value: Any) -> None:
    """Arbitrary text is refused, or is the spelling that the sigil itself gives."""
    try:
        sigil, payload = load_backend(backend).parse(value)
    except SigilFormatError:
        return
    spelt = value if isinstance(value, str) else value.decode("latin-1")
    text = sigil.text if payload is None else sigil.text + "." + base64url(payload)
    assert spelt in (text, sigil.strand) or value == bytes(sigil)


# -- the object --------------------------------------------------------------------


def test_equality_and_hash_follow_the_bytes(library: SimpleNamespace) -> None:
    """Sigils of equal bytes are equal and one key of a dict."""
    one, same = library.parse(RAW)[0], library.parse(as_text(RAW))[0]
    other = library.parse(changed(63, 0))[0]
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != RAW
    assert len({one, same, other}) == 2


def test_repr_names_id_and_key(library: SimpleNamespace) -> None:
    """The repr is short and shows no tag."""
    assert repr(library.parse(RAW)[0]) == f"<Sigil {uuid.UUID(bytes=ID)} key deadbeef>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_sigil_is_equal(library: SimpleNamespace, protocol: int) -> None:
    """Sigils are values: they can be pickled and copied."""
    sigil = library.parse(RAW)[0]
    assert pickle.loads(pickle.dumps(sigil, protocol)) == sigil  # noqa: S301 - our own bytes
    assert copy.copy(sigil) == sigil
    assert copy.deepcopy([sigil]) == [sigil]


def test_sigil_never_changes(library: SimpleNamespace) -> None:
    """No attribute can be set or deleted, none added."""
    sigil = library.parse(RAW)[0]
    for name in ("id", "tag", "key_id", "issued_at", "text", "colour"):
        with pytest.raises(AttributeError):
            setattr(sigil, name, 1)
    with pytest.raises(AttributeError):
        del sigil.tag


def test_sigil_is_made_by_the_codec_alone(library: SimpleNamespace) -> None:
    """The class has no public constructor and no subclasses."""
    with pytest.raises(TypeError, match=r"SigilCodec\.decode"):
        library.Sigil()
    with pytest.raises(TypeError):
        type("Other", (library.Sigil,), {})
