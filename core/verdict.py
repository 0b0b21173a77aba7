"""What a verification found, aspect by aspect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from core.records import CanonicalJson
from sigil_native import Sigil
from sigil_native.errors import (
    IssuedInFutureError,
    KeyNotYetValidError,
    RetiredKeyError,
    RevokedKeyError,
    SigilError,
    SigilExpiredError,
    UnknownKeyError,
    VerificationError,
)

SignatureAspect = Literal["valid", "invalid", "unchecked"]
TimeAspect = Literal["valid", "expired", "issued_in_future", "unchecked"]
KeyAspect = Literal["active", "verify-only", "revoked", "retired", "not_yet_valid", "unknown", "unchecked"]
RevocationAspect = Literal["not_revoked", "revoked", "not_recorded", "unknown", "unchecked"]


class Verdict(msgspec.Struct, frozen=True):
    """The answer to a verification.

    Attributes:
        valid: whether every aspect holds.
        reason: the first that does not, as a short stable name; ``None`` for a valid sigil.
        sigil: decoded, or ``None`` where it was no sigil at all.
        canonical_sha256: of the payload that was presented, 32 bytes; ``None`` where a token held none.
        stale: whether the revocation is what this host knows while the store is away.
    """

    valid: bool
    reason: str | None
    signature: SignatureAspect
    time: TimeAspect
    key_state: KeyAspect
    revocation: RevocationAspect
    sigil: Sigil | None
    canonical_sha256: bytes | None
    stale: bool = False


class Revocation(NamedTuple):
    """What the records say of a sigil.

    Attributes:
        aspect: that.
        stale: whether it is what this host knows while the store is away.
        accepted: whether a sigil is good all the same though this is unknown.
    """

    aspect: RevocationAspect
    stale: bool = False
    accepted: bool = False


#: Of what was never issued: there is nothing to revoke.
UNCHECKED: Final = Revocation("unchecked")


class Finding(msgspec.Struct, frozen=True):
    """What the library's verification said: everything but the revocation."""

    sigil: Sigil | None
    reason: str | None
    signature: SignatureAspect
    time: TimeAspect
    key_state: KeyAspect

    @property
    def issued_id(self) -> str | None:
        """The sigil's id, if the tag proves that it was issued for this tenant and payload."""
        return self.sigil.id if self.sigil is not None and self.signature == "valid" else None


def verdict_of(finding: Finding, payload: CanonicalJson | None, revocation: Revocation) -> Verdict:
    """The verdict over a payload that was presented, which is None where a token held none."""
    reason = finding.reason
    if reason is None and revocation.aspect == "revoked":
        reason = "revoked"
    elif reason is None and revocation.aspect == "unknown" and not revocation.accepted:
        reason = "revocation_unknown"
    return Verdict(
        valid=reason is None,
        reason=reason,
        signature=finding.signature,
        time=finding.time,
        key_state=finding.key_state,
        revocation=revocation.aspect,
        sigil=finding.sigil,
        canonical_sha256=None if payload is None else hashlib.sha256(payload).digest(),
        stale=revocation.stale,
    )


_UNUSABLE_KEYS: Final[dict[str, KeyAspect]] = {
    UnknownKeyError.code: "unknown",
    RevokedKeyError.code: "revoked",
    KeyNotYetValidError.code: "not_yet_valid",
    RetiredKeyError.code: "retired",
}
_TIMES: Final[dict[str, TimeAspect]] = {
    SigilExpiredError.code: "expired",
    IssuedInFutureError.code: "issued_in_future",
}


def finding_from_error(error: SigilError, state_of_key: Mapping[int, KeyAspect]) -> Finding:
    """Translate the cause that the library gave."""
    if not isinstance(error, VerificationError):
        return Finding(None, error.code, "invalid", "unchecked", "unchecked")
    return finding_of(error.sigil, error.code, state_of_key.get(error.sigil.key_id, "unknown"))


def finding_of(sigil: Sigil | None, code: str | None, state: KeyAspect) -> Finding:
    """What a code of the library says of a sigil, whose key has a state; None: it holds."""
    if code is None:
        return Finding(sigil, None, "valid", "valid", state)
    unusable = _UNUSABLE_KEYS.get(code)
    if unusable is not None:
        return Finding(sigil, code, "unchecked", "unchecked", unusable)
    time = _TIMES.get(code)
    if time is not None:
        return Finding(sigil, code, "valid", time, state)
    return Finding(sigil, code, "invalid", "unchecked", state)
