"""Facts of the formats that both backends share."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import Final

#: The largest integer that binary64 keeps exactly along with both neighbours (RFC 7493 §2.2).
MAX_SAFE_INTEGER: Final = 2**53 - 1
#: Longest integer that ``integers="exact"`` writes.
MAX_INTEGER_DIGITS: Final = 4300
DEFAULT_MAX_DEPTH: Final = 512
#: The highest nesting limit a caller may ask for.
MAX_DEPTH_CEILING: Final = 2048

SIGIL_SIZE: Final = 64
HEADER_SIZE: Final = 32
TAG_SIZE: Final = 32
TEXT_PREFIX: Final = "sgl1_"
TEXT_SIZE: Final = 91
STRAND_SIZE: Final = 256
#: The last millisecond that an expiry may name: 9999-12-31T23:59:59.999Z.
MAX_EXPIRY_MS: Final = 253_402_300_799_999

MIN_SECRET_SIZE: Final = 32
MAX_TENANT_SIZE: Final = 128
HKDF_SALT: Final = b"sigil-dna/v1"
HKDF_TENANT_PREFIX: Final = b"tenant:"
HKDF_KEY_ID_INFO: Final = b"key-id"
DEFAULT_FUTURE_SKEW: Final = 60.0
#: Derived tenant keys that a ring keeps at most, for each of its keys.
DEFAULT_TENANT_CACHE_SIZE: Final = 4096

FORMS: Final = ("text", "strand", "token", "binary")
KEY_STATES: Final = ("active", "verify-only", "revoked")
INTEGER_MODES: Final = ("safe", "exact")
SIGNED_TEXTS: Final = ("jcs", "json-stringify")

#: What a begin line of an audit log names as its format.
AUDIT_FORMAT: Final = "sigil-audit/1"
HKDF_AUDIT_INFO: Final = b"audit"
HKDF_AUDIT_KEY_ID_INFO: Final = b"audit-key-id"
#: Longest line of an audit log, its newline included.
MAX_AUDIT_LINE: Final = 65_536
#: ``,"chain":"``, 43 characters and ``"}``, which end each line.
AUDIT_CHAIN_SIZE: Final = 55
#: Names of members that the chain writes itself.
AUDIT_RESERVED: Final = ("seq", "chain", "format", "key_id", "previous")

#: What becomes of new keys while a table of token buckets has no room.
FULL_POLICIES: Final = ("refuse", "allow")
#: Limits that an allowance may have.
MOST_PLACES: Final = 16

#: The longest lifetime of a plain request for a seal, in seconds: a century.
MAX_PLAIN_LIFETIME: Final = 3_155_760_000
#: What the answer to such a request may tell of its seal.
ANSWER_FIELDS: Final = ("id", "sigil", "key_id", "issued_at", "expires_at", "status", "canonical_sha256")
#: What the answer to a request for a verdict may tell of the sigil, and of the payload.
VERDICT_FIELDS: Final = ("id", "sigil", "key_id", "issued_at", "expires_at", "canonical_sha256")
MOST_ANSWER_PARTS: Final = 32

#: What a line of a batch to be verified holds.
LINE_RULE: Final = 'a line holds the members "sigil" and "data" and no others'
