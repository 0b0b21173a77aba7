"""Every error the library raises: one root, a class per cause.

Both backends raise these classes and take their messages from here and from ``_problems``, so a program
sees the same error whichever backend it runs on. Read the attributes; messages are for people and may change.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import ClassVar

    from sigil_native import Decision, Sigil

_LONGEST_POINTER_IN_A_MESSAGE = 120


class SigilError(ValueError):
    """Root of all errors of this library.

    ``code`` is a short, stable name for the cause, fit for logs, HTTP answers and scripts.
    """

    code: ClassVar[str] = "error"


class _ToldByTable(SigilError):  # noqa: N818 - nobody catches it by this name
    """An error whose problem is a key of a table."""

    _TEXTS: ClassVar[dict[str, str]]

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self._TEXTS[self.problem]


# -- canonical JSON ------------------------------------------------------------


class CanonicalizationError(SigilError):
    """The input has no RFC 8785 form.

    Attributes:
        pointer: where, as a JSON Pointer (RFC 6901); ``""`` is the root.
        offset: where in the text, in bytes of its UTF-8 form; ``None`` for Python values.
        index: which item of a batch, counted from 0; ``None`` outside batches.
    """

    code = "canonicalization"

    def __init__(
        self,
        problem: str,
        *,
        pointer: str = "",
        offset: int | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(problem, pointer, offset, index)
        self.problem = problem
        self.pointer = pointer
        self.offset = offset
        self.index = index

    def __str__(self) -> str:
        place = []
        if self.index is not None:
            place.append(f"item {self.index}")
        if self.offset is not None:
            place.append(f"byte {self.offset}")
        if self.pointer:
            import json  # noqa: PLC0415 (errors are rare, and json is slow to import)

            shown = self.pointer
            if len(shown) > _LONGEST_POINTER_IN_A_MESSAGE:
                shown = shown[:_LONGEST_POINTER_IN_A_MESSAGE] + "..."
            place.append(f"pointer {json.dumps(shown)}")
        return f"{self.problem} ({', '.join(place)})" if place else self.problem

    def __reduce__(self) -> tuple[object, ...]:
        from functools import partial  # noqa: PLC0415 (as json above)

        kind = partial(type(self), pointer=self.pointer, offset=self.offset, index=self.index)
        return kind, (self.problem,)


class JsonSyntaxError(CanonicalizationError):
    """The text is not JSON (RFC 8259)."""

    code = "syntax"


class TrailingDataError(JsonSyntaxError):
    """Something other than white space follows the value."""

    code = "trailing_data"


class InvalidUtf8Error(CanonicalizationError):
    """The bytes are not strict UTF-8 (RFC 3629)."""

    code = "invalid_utf8"


class ByteOrderMarkError(CanonicalizationError):
    """The text begins with a byte order mark."""

    code = "byte_order_mark"


class LoneSurrogateError(CanonicalizationError):
    """A string or a member name holds half of a surrogate pair."""

    code = "lone_surrogate"


class DuplicateNameError(CanonicalizationError):
    """An object has two members of one name, compared after unescaping."""

    code = "duplicate_name"


class NonFiniteNumberError(CanonicalizationError):
    """NaN, an infinity, or a number that overflows to one."""

    code = "non_finite_number"


class IntegerRangeError(CanonicalizationError):
    """An integer outside the range that every JSON reader keeps exactly."""

    code = "integer_range"


class NestingTooDeepError(CanonicalizationError):
    """Arrays and objects are nested beyond the limit."""

    code = "nesting_too_deep"


class DocumentTooLargeError(CanonicalizationError):
    """The document is larger than the limit that the caller set."""

    code = "document_too_large"


class UnsupportedTypeError(CanonicalizationError, TypeError):
    """A Python object, or the type of a member name, is not JSON."""

    code = "unsupported_type"


def at_index(error: CanonicalizationError, index: int) -> CanonicalizationError:
    """The same error, told of an item of a batch."""
    return type(error)(error.problem, pointer=error.pointer, offset=error.offset, index=index)


# -- arguments and keys --------------------------------------------------------


class InvalidOptionError(SigilError):
    """An option has a value that it does not know, or out of its range."""

    code = "invalid_option"


class UnusableLevelError(SigilError, ImportError):
    """The import fails: ``SIGIL_NATIVE_LEVEL`` names no level, or one that this machine cannot run.

    Attributes:
        level: what the variable asks for.
    """

    code = "unusable_level"

    def __init__(self, level: str, reason: str) -> None:
        super().__init__(level, reason)
        self.level = level
        self.reason = reason

    def __str__(self) -> str:
        return f"SIGIL_NATIVE_LEVEL asks for {self.level!r}: {self.reason}"


class InvalidTenantError(SigilError):
    """A tenant is not 1 to 128 bytes of UTF-8."""

    code = "invalid_tenant"


class InvalidExpiryError(SigilError):
    """A lifetime is not positive or ends beyond what a sigil can hold."""

    code = "invalid_expiry"

    def __init__(self, message: str = "expires_in is out of range") -> None:
        super().__init__(message)


class WeakSecretError(SigilError):
    """A secret has fewer than 32 bytes."""

    code = "weak_secret"


class DuplicateKeyError(SigilError):
    """The key ring already holds a key with this id."""

    code = "duplicate_key"


class NoSuchKeyError(SigilError):
    """The key ring holds no key with the id that a caller named."""

    code = "no_such_key"


class NoActiveKeyError(SigilError):
    """The key ring holds no key that may sign now."""

    code = "no_active_key"

    def __init__(self, message: str = "the ring holds no key that may sign now") -> None:
        super().__init__(message)


class KeyRingFormatError(SigilError):
    """A key ring file does not follow its format."""

    code = "key_ring_format"


# -- sigils --------------------------------------------------------------------


class SigilFormatError(_ToldByTable):
    """This is not a version 1 sigil, or not spelt in its one canonical way.

    Attributes:
        problem: the first thing found wrong; a key of the table below.
    """

    code = "format"

    _TEXTS: ClassVar[dict[str, str]] = {
        # The names are those of csrc/sigil_format.h.
        "shape": "not a sigil: neither text, strand, token nor binary",
        "token": "not a token: it carries no payload",
        "alphabet": "a character outside the alphabet",
        "trailing_bits": "unused bits are not zero",
        "version": "unsupported version",
        "flags": "unsupported flags",
        "reserved": "reserved bytes are not zero",
        "identifier": "the id is not a UUIDv7",
        "payload": "the token's payload is not canonical JSON",
    }


class InvalidLineError(SigilError):
    """A line of a batch does not hold what it should, though it is JSON."""

    code = "line"


class VerificationError(SigilError):
    """The sigil is well formed but does not hold.

    Attributes:
        sigil: the decoded sigil. Its fields are claims, not facts, unless the error says that the tag was
            right (``IssuedInFutureError`` and ``SigilExpiredError``).
    """

    code = "verification"
    _text: ClassVar[str] = "the sigil does not hold"

    def __init__(self, sigil: Sigil) -> None:
        super().__init__(sigil)
        self.sigil = sigil

    def __str__(self) -> str:
        return self._text


class UnknownKeyError(VerificationError):
    """No key of the ring has the sigil's key id."""

    code = "unknown_key"
    _text = "the key is unknown"


class RevokedKeyError(VerificationError):
    """The sigil's key is revoked."""

    code = "revoked_key"
    _text = "the key is revoked"


class KeyNotYetValidError(VerificationError):
    """The sigil's key is not valid yet, by the verifier's clock."""

    code = "key_not_yet_valid"
    _text = "the key is not yet valid"


class RetiredKeyError(VerificationError):
    """The sigil's key is retired, by the verifier's clock."""

    code = "retired_key"
    _text = "the key is retired"


class TagMismatchError(VerificationError):
    """Payload, tenant or header is not what was sealed."""

    code = "tag_mismatch"
    _text = "the tag does not match"


class IssuedInFutureError(VerificationError):
    """The sigil was issued later than the verifier's clock allows."""

    code = "issued_in_future"
    _text = "issued in the future"


class SigilExpiredError(VerificationError):
    """The sigil has expired, by the verifier's clock."""

    code = "expired"
    _text = "expired"


# -- audit logs ----------------------------------------------------------------


class AuditFormatError(_ToldByTable):
    """A line is not of an audit log, or cannot become one.

    Attributes:
        problem: the first thing found wrong; a key of the table below.
    """

    code = "audit_format"

    _TEXTS: ClassVar[dict[str, str]] = {
        # The names of the first five are those of csrc/audit_line.h.
        "too_large": "the line is longer than 64 KiB",
        "shape": "not a line of an audit log",
        "sequence": "the sequence number is not one from 1 to 2^53-1",
        "chain": "the chain is not 32 bytes in base64url",
        "begin": "a begin line of another format",
        "reserved": "seq, chain, format, key_id and previous are the chain's own members",
        "not_begun": "a chain starts with a begin line",
        "used_up": "all sequence numbers are used up",
    }


# -- token buckets -------------------------------------------------------------


class BucketFileError(_ToldByTable):
    """The file in shared memory cannot hold these buckets.

    Attributes:
        problem: what is wrong with it; a key of the table below.
    """

    code = "bucket_file"

    _TEXTS: ClassVar[dict[str, str]] = {
        "foreign": "the file is no table of token buckets",
        "version": "the file was made by another version",
        "parameters": "the file holds buckets of another rate, burst, capacity or policy",
        "damaged": "the file has another size than it says",
        "open_to_others": "the file belongs to somebody else, or others can use it",
        "locked": "another process has been opening the file for too long",
        "unsupported": "buckets cannot be shared between processes on this platform",
    }


class RateLimitedError(SigilError):
    """A body went over its sender's rate limit while it was read.

    Attributes:
        decision: how things stand with the limit.
    """

    code = "rate_limited"

    def __init__(self, decision: Decision) -> None:
        super().__init__("the body has more lines than its sender may send now")
        self.decision = decision

    def __reduce__(self) -> tuple[type[RateLimitedError], tuple[Decision]]:
        return type(self), (self.decision,)
