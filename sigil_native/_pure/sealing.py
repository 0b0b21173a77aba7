"""The seal itself: how the tag is made, and in which order a seal is judged.

``tag = HMAC-SHA-256(K, header || canonical)``, where the header is a sigil's
first 32 bytes, canonical the payload's RFC 8785 form, and ``K =
HKDF-SHA-256(secret, salt="sigil-dna/v1", info="tenant:" || tenant, 32 bytes)``.
"""

from __future__ import annotations

import hmac
import time

from sigil_native._arguments import lifetime_ms
from sigil_native._constants import MAX_EXPIRY_MS
from sigil_native._pure.identifiers import uuid7_bytes
from sigil_native._pure.keyring import KeyRing, RingKey
from sigil_native._pure.sigil import Sigil, base64url, header_bytes, sigil_from_bytes
from sigil_native.errors import (
    InvalidExpiryError,
    IssuedInFutureError,
    KeyNotYetValidError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    TagMismatchError,
    UnknownKeyError,
)


def clock_ms() -> int:
    """The time, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def lifetime_of(expires_in: object) -> int | None:
    """A lifetime that begins now, in whole milliseconds; None for a sigil that never expires.

    Raises:
        TypeError: not a number.
        InvalidExpiryError: under a millisecond, not finite, or it ends beyond the year 9999.
    """
    lifetime = lifetime_ms(expires_in)
    if lifetime is not None and clock_ms() + lifetime > MAX_EXPIRY_MS:
        raise InvalidExpiryError
    return lifetime


def _tag(key: RingKey, tenant: bytes, header: bytes, canonical: bytes) -> bytes:
    return hmac.digest(key.tenant_key(tenant), header + canonical, "sha256")


def seal(ring: KeyRing, canonical: bytes, tenant: bytes, lifetime: int | None, form: str) -> str | bytes:
    """Seal a canonical payload; ``lifetime`` in milliseconds from the time of issue.

    Raises:
        NoActiveKeyError: no key of the ring may sign now.
    """
    key = ring.signing_key(clock_ms())
    identifier = uuid7_bytes()
    issued_ms = int.from_bytes(identifier[:6], "big")
    # The codec has judged the lifetime; the clock may have been set forward since.
    expires_ms = 0 if lifetime is None else min(issued_ms + lifetime, MAX_EXPIRY_MS)
    header = header_bytes(key.key_id, expires_ms, identifier)
    sigil = sigil_from_bytes(header + _tag(key, tenant, header, canonical))
    if form == "binary":
        return bytes(sigil)
    if form == "strand":
        return sigil.strand
    return sigil.text if form == "text" else f"{sigil.text}.{base64url(canonical)}"


def check(
    ring: KeyRing,
    parsed: tuple[Sigil, bytes | None],
    canonical: bytes,
    tenant: bytes,
    now_ms: int,
    skew_ms: int,
) -> Sigil:
    """Return the sigil, or raise the first reason why it does not hold.

    Args:
        ring: the verifier's keys.
        parsed: the sigil, and the payload that its token carries.
        canonical: the payload that it should seal.
        tenant: whom it should be bound to.
        now_ms: the verifier's clock.
        skew_ms: how far the signer's clock may be ahead.

    Raises:
        VerificationError: a subclass for each reason.
    """
    sigil, carried = parsed
    key = ring.find(sigil.key_id)
    if key is None:
        raise UnknownKeyError(sigil)
    if key.state == "revoked":
        raise RevokedKeyError(sigil)
    if key.is_early(now_ms):
        raise KeyNotYetValidError(sigil)
    if key.is_retired(now_ms):
        raise RetiredKeyError(sigil)
    is_other = carried is not None and carried != canonical
    if not hmac.compare_digest(_tag(key, tenant, sigil.header, canonical), sigil.tag) or is_other:
        raise TagMismatchError(sigil)
    if sigil.issued_at_ms > now_ms + skew_ms:
        raise IssuedInFutureError(sigil)
    if sigil.expires_at_ms != 0 and now_ms >= sigil.expires_at_ms:
        raise SigilExpiredError(sigil)
    return sigil
