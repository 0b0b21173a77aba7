"""Tamper-evident seals for JSON events, at native speed.

The compiled modules do the work. ``SIGIL_NATIVE_PURE=1`` in the environment
asks for the same in plain Python; ``backend`` says which it is.
"""

from __future__ import annotations

import os

from sigil_native._decision import Decision
from sigil_native._levels import level_in_use
from sigil_native.errors import (
    AuditFormatError,
    BucketFileError,
    ByteOrderMarkError,
    CanonicalizationError,
    DocumentTooLargeError,
    DuplicateKeyError,
    DuplicateNameError,
    IntegerRangeError,
    InvalidExpiryError,
    InvalidLineError,
    InvalidOptionError,
    InvalidTenantError,
    InvalidUtf8Error,
    IssuedInFutureError,
    JsonSyntaxError,
    KeyNotYetValidError,
    KeyRingFormatError,
    LoneSurrogateError,
    NestingTooDeepError,
    NoActiveKeyError,
    NonFiniteNumberError,
    NoSuchKeyError,
    RateLimitedError,
    RetiredKeyError,
    RevokedKeyError,
    SigilError,
    SigilExpiredError,
    SigilFormatError,
    TagMismatchError,
    TrailingDataError,
    UnknownKeyError,
    UnsupportedTypeError,
    UnusableLevelError,
    VerificationError,
    WeakSecretError,
)

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import Final, Literal

    from sigil_native._audit_records import AuditFault, AuditLine
    from sigil_native._keyinfo import KeyInfo

_wanted = os.environ.get("SIGIL_NATIVE_PURE", "")
if _wanted not in {"", "0", "1"}:
    raise ImportError(
        f"SIGIL_NATIVE_PURE is 1 for the plain Python backend, 0 or empty otherwise, not {_wanted!r}"
    )
_wants_pure = _wanted == "1"

#: What does the work: the compiled modules, or plain Python.
backend: Final[Literal["native", "pure"]] = "pure" if _wants_pure else "native"

if TYPE_CHECKING or _wants_pure:
    from sigil_native._pure.allowance import Allowance
    from sigil_native._pure.audit import AuditChain, AuditVerifier, read_audit_line
    from sigil_native._pure.bucket import TokenBucket
    from sigil_native._pure.canonical import canonicalize, canonicalize_json
    from sigil_native._pure.codec import SigilCodec
    from sigil_native._pure.hashing import HmacKey
    from sigil_native._pure.keyring import KeyRing
    from sigil_native._pure.seal_requests import SealRequests
    from sigil_native._pure.sigil import Sigil
    from sigil_native._pure.signature import sign_event, verify_event
    from sigil_native._pure.verify_requests import VerifyRequests
else:
    try:
        from sigil_native._allowance import Allowance
        from sigil_native._audit import read_audit_line
        from sigil_native._audit_chain import AuditChain
        from sigil_native._bucket import TokenBucket
        from sigil_native._canonical_text import canonicalize_json
        from sigil_native._canonical_values import canonicalize
        from sigil_native._codec import SigilCodec
        from sigil_native._hashing import HmacKey
        from sigil_native._keyring import KeyRing
        from sigil_native._seal_requests import SealRequests
        from sigil_native._sigil import Sigil
        from sigil_native._signature import sign_event, verify_event
        from sigil_native._verify_requests import VerifyRequests
    except ModuleNotFoundError as error:
        # Never a silent step down to the slow backend: whoever wants it says so.
        raise ImportError(
            f"the compiled module {error.name} is missing. In a source folder, which hides an "
            "installed wheel, run 'make build' or work elsewhere; otherwise install a wheel. "
            "SIGIL_NATIVE_PURE=1 asks for the plain Python backend.",
            name=error.name,
        ) from error


#: The instructions that are used, by the names that ``SIGIL_NATIVE_LEVEL`` takes; ``none`` in plain Python.
level: Final[str] = level_in_use() if backend == "native" else "none"

#: What needs typing, which takes longer to import than the rest, and where it is.
_LATE: Final = {
    "AuditFault": "_audit_records",
    "AuditLine": "_audit_records",
    "AuditVerifier": "_audit_native",
    "KeyInfo": "_keyinfo",
}


def __getattr__(name: str) -> object:
    if name in _LATE:
        from importlib import import_module  # noqa: PLC0415

        found: object = getattr(import_module(f"sigil_native.{_LATE[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__: Final = "0.1.0"

__all__ = [
    "Allowance",
    "AuditChain",
    "AuditFault",
    "AuditFormatError",
    "AuditLine",
    "AuditVerifier",
    "BucketFileError",
    "ByteOrderMarkError",
    "CanonicalizationError",
    "Decision",
    "DocumentTooLargeError",
    "DuplicateKeyError",
    "DuplicateNameError",
    "HmacKey",
    "IntegerRangeError",
    "InvalidExpiryError",
    "InvalidLineError",
    "InvalidOptionError",
    "InvalidTenantError",
    "InvalidUtf8Error",
    "IssuedInFutureError",
    "JsonSyntaxError",
    "KeyInfo",
    "KeyNotYetValidError",
    "KeyRing",
    "KeyRingFormatError",
    "LoneSurrogateError",
    "NestingTooDeepError",
    "NoActiveKeyError",
    "NoSuchKeyError",
    "NonFiniteNumberError",
    "RateLimitedError",
    "RetiredKeyError",
    "RevokedKeyError",
    "SealRequests",
    "Sigil",
    "SigilCodec",
    "SigilError",
    "SigilExpiredError",
    "SigilFormatError",
    "TagMismatchError",
    "TokenBucket",
    "TrailingDataError",
    "UnknownKeyError",
    "UnsupportedTypeError",
    "UnusableLevelError",
    "VerificationError",
    "VerifyRequests",
    "WeakSecretError",
    "__version__",
    "backend",
    "canonicalize",
    "canonicalize_json",
    "level",
    "read_audit_line",
    "sign_event",
    "verify_event",
]
