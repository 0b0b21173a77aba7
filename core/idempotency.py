"""Idempotency keys: a request that is sent again is not sealed again."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

#: Characters of a key.
LONGEST_KEY: Final = 255


class KeyLimits(msgspec.Struct, frozen=True):
    """How long idempotency keys are remembered, and how many of them.

    Attributes:
        seconds: from a key's first use; afterwards it may be used for something else.
        per_tenant: beyond this a tenant's oldest keys are forgotten early; nobody else's are.
    """

    seconds: int = 86_400
    per_tenant: int = 1_000_000


class Claim(msgspec.Struct, frozen=True):
    """A request's claim to an idempotency key of its tenant.

    Digests have a fixed size and keep what callers write out of an index. They are not keyed: the
    payload is stored beside them anyway, and they must outlive a rotation of the secret.

    Attributes:
        key_digest: of the claimant and its key, 32 bytes: claimants do not share keys.
        request_digest: of what the request asks for, 32 bytes.
    """

    key_digest: bytes
    request_digest: bytes


class Claimant(NamedTuple):
    """Whose a key is: a subject, as its issuer names it."""

    issuer: str
    subject: str


def claim_of(claimant: Claimant, key: str, *, canonical_sha256: bytes, expires_in: float | None) -> Claim:
    """The claim of a request to seal the payload of this digest for ``expires_in`` seconds."""
    owner = b"".join(b"%d:%b" % (len(name), name) for name in (part.encode() for part in claimant))
    lifetime = b"" if expires_in is None else float(expires_in).hex().encode()
    return Claim(
        key_digest=hashlib.sha256(owner + key.encode()).digest(),
        request_digest=hashlib.sha256(canonical_sha256 + lifetime).digest(),
    )
