"""Whole sigils that never change: known answers for all that the format fixes."""

from __future__ import annotations

import hashlib
import hmac
from types import SimpleNamespace

import pytest

from tests.sigils import as_strand, as_text, make_id, make_sigil

SECRET = b"0123456789abcdef0123456789abcdef"
ISSUED_MS = 1_700_000_000_000
EXPIRES_MS = 1_700_000_600_000
IDENTIFIER = make_id(ISSUED_MS, 0x0123456789AB)
PAYLOAD = {"total": 12.50, "id": "é-1", "items": [True, None, -0.0, 1e21]}
CANONICAL = '{"id":"é-1","items":[true,null,0,1e+21],"total":12.5}'.encode()
# Computed once, with nothing but hmac and hashlib; every release must agree.
HEX = (
    "0100e606c4ae0000"
    "0000018bcfee8fc0"
    "018bcfe56800700080000123456789ab"
    "0ac298145b5eb733787f58f8d0f6dd0281b9d658f87d98f3a456eb74cf44f3b4"
)
TEXT = "sgl1_AQDmBsSuAAAAAAGLz-6PwAGLz-VoAHAAgAABI0VniasKwpgUW163M3h_WPjQ9t0CgbnWWPh9mPOkVut0z0TztA"
TOKEN_PAYLOAD = "eyJpZCI6IsOpLTEiLCJpdGVtcyI6W3RydWUsbnVsbCwwLDFlKzIxXSwidG90YWwiOjEyLjV9"


def test_answer_is_that_of_the_definition() -> None:
    """The known answer follows from the format, step by step."""
    extracted = hmac.new(b"sigil-dna/v1", SECRET, hashlib.sha256).digest()
    key_id = hmac.new(extracted, b"key-id\x01", hashlib.sha256).digest()[:4]
    tenant_key = hmac.new(extracted, b"tenant:acme\x01", hashlib.sha256).digest()
    header = bytes([1, 0]) + key_id + bytes(2) + EXPIRES_MS.to_bytes(8, "big") + IDENTIFIER
    tag = hmac.new(tenant_key, header + CANONICAL, hashlib.sha256).digest()
    assert (header + tag).hex() == HEX
    assert as_text(bytes.fromhex(HEX)) == TEXT
    by_hand = make_sigil(CANONICAL, secret=SECRET, expires_ms=EXPIRES_MS, identifier=IDENTIFIER)
    assert by_hand.hex() == HEX


@pytest.mark.parametrize(
    "form", [bytes.fromhex(HEX), TEXT, as_strand(bytes.fromhex(HEX)), f"{TEXT}.{TOKEN_PAYLOAD}"]
)
def test_known_sigil_verifies(library: SimpleNamespace, form: str | bytes) -> None:
    """The known sigil verifies in each form and tells its fields."""
    ring = library.KeyRing()
    key_id = ring.add(SECRET)
    sigil = library.SigilCodec(ring).verify(form, PAYLOAD, tenant="acme", now=ISSUED_MS / 1000)
    assert sigil.id == "018bcfe5-6800-7000-8000-0123456789ab"
    assert sigil.key_id == key_id == int(HEX[4:12], 16)
    assert (sigil.issued_at, sigil.expires_at) == (1_700_000_000.0, 1_700_000_600.0)
    assert sigil.text == TEXT


def test_known_token_carries_its_payload(library: SimpleNamespace) -> None:
    """The known token verifies by itself."""
    ring = library.KeyRing()
    ring.add(SECRET)
    codec = library.SigilCodec(ring)
    _, payload = codec.verify_token(f"{TEXT}.{TOKEN_PAYLOAD}", tenant="acme", now=ISSUED_MS / 1000)
    assert payload == CANONICAL
