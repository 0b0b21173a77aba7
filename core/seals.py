"""The keys in use, and whether what a store gives back is what was sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Self, cast

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.records import Record
from core.verdict import KeyAspect
from sigil_native import KeyInfo, KeyRing, Sigil, SigilCodec, SigilError
from sigil_native.errors import (
    IssuedInFutureError,
    KeyNotYetValidError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    UnknownKeyError,
)


class Keys(NamedTuple):
    """A key ring in use. One reference, so that another ring takes its place in one step.

    Attributes:
        states: as the ring has them. Times are not among them: a key that is used outside of its times
            makes the codec refuse, at that moment.
        known: what may be told of each.
    """

    codec: SigilCodec
    states: dict[int, KeyAspect]
    known: Sequence[KeyInfo] = ()

    @classmethod
    def of(cls, ring: KeyRing) -> Self:
        """The keys of a ring, which must not be changed afterwards."""
        # Payloads arrive canonical, checked by the strict rules. To canonicalise them again must not
        # change or refuse anything: 1e17 is fine, its RFC 8785 form 100000000000000000 would be an
        # integer out of range.
        codec = SigilCodec(ring, integers="exact")
        keys = ring.keys()
        return cls(codec, {key.key_id: cast("KeyAspect", key.state) for key in keys}, keys)


class Seals:
    """The keys that seal and check now, for all who need them; any thread may use and exchange them."""

    def __init__(self, ring: KeyRing) -> None:
        """Begin with a ring, which must not be changed afterwards."""
        self._keys = Keys.of(ring)

    @property
    def keys(self) -> Keys:
        """The keys of this moment: take them once for what must be sealed or checked with one ring alone."""
        return self._keys

    def use_ring(self, ring: KeyRing) -> None:
        """Seal and check with another ring from now on; it must not be changed afterwards."""
        self._keys = Keys.of(ring)

    def check(self, record: Record) -> Sigil:
        """Check that a record, which must have its payload, is what was sealed; its sigil.

        Raises:
            RecordCorruptError: it is not.
            RecordUnverifiableError: the key ring cannot tell.
        """
        payload = record.payload or b""
        codec = self._keys.codec
        at_ms = record.created_at_ms
        sigil = checked_seal(codec, record.sigil, payload, tenant=record.tenant, at_ms=at_ms, name=record.id)
        sealed = (sigil.id, sigil.key_id, sigil.issued_at_ms, sigil.expires_at_ms)
        if sealed != (record.id, record.key_id, record.issued_at_ms, record.expires_at_ms):
            raise RecordCorruptError(record.id, "fields")
        if hashlib.sha256(payload).digest() != record.canonical_sha256:
            raise RecordCorruptError(record.id, "canonical_sha256")
        return sigil


def checked_seal(
    codec: SigilCodec, sigil: str, payload: bytes, *, tenant: str, at_ms: int, name: str
) -> Sigil:
    """Check the seal of something stored at a time, in milliseconds, that goes by this name.

    Raises:
        RecordCorruptError: it is not what was sealed.
        RecordUnverifiableError: the key ring cannot tell.
    """
    try:
        # As of its creation: a key that has retired since does not make it corrupt.
        return codec.verify_json(sigil, payload, tenant=tenant, now=at_ms / 1000)
    except (SigilExpiredError, IssuedInFutureError) as error:
        return error.sigil  # The tag was right; the clock says nothing about the seal.
    except (UnknownKeyError, RevokedKeyError, KeyNotYetValidError, RetiredKeyError) as error:
        raise RecordUnverifiableError(name, error.code) from None
    except SigilError as error:
        raise RecordCorruptError(name, error.code) from None
    except OverflowError:
        raise RecordCorruptError(name, "created_at_ms") from None
