"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from core.errors import (
    AuditUnavailableError,
    DomainError,
    KeysUnavailableError,
    RecordCorruptError,
    RecordNotFoundError,
    RecordUnverifiableError,
    StoreUnavailableError,
)
from sigil_native.errors import CanonicalizationError, NoActiveKeyError, SigilError

MEDIA_TYPE: Final = b"application/problem+json"
_TYPE_PREFIX: Final = "urn:sigil-dna:problem:"

Headers = Sequence[tuple[bytes, bytes]]


class Kind(NamedTuple):
    """What all problems of one code have in common."""

    status: int
    title: str


#: Every problem that the service answers with, by its code.
KINDS: Final[dict[str, Kind]] = {
    # What the text of a body can have wrong; the codes are the library's.
    "syntax": Kind(400, "The body is not JSON"),
    "trailing_data": Kind(400, "Something follows the JSON value"),
    "invalid_utf8": Kind(400, "The body is not UTF-8"),
    "byte_order_mark": Kind(400, "The body begins with a byte order mark"),
    "lone_surrogate": Kind(422, "A string holds half of a surrogate pair"),
    "duplicate_name": Kind(422, "An object has two members of one name"),
    "non_finite_number": Kind(422, "A number is too large"),
    "integer_range": Kind(422, "An integer is outside the safe range"),
    "nesting_too_deep": Kind(422, "The body is nested too deeply"),
    # What a request can have wrong.
    "invalid_request": Kind(422, "The request does not have the expected form"),
    "data_missing": Kind(422, "The payload is missing"),
    "invalid_query": Kind(400, "The query does not have the expected form"),
    "invalid_cursor": Kind(400, "The cursor is not valid"),
    "invalid_idempotency_key": Kind(400, "The idempotency key is not valid"),
    "idempotency_key_reused": Kind(422, "The idempotency key was used for another request"),
    "unauthenticated": Kind(401, "A valid bearer token is required"),
    "forbidden": Kind(403, "The token does not allow this"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "The method is not allowed here"),
    "body_timeout": Kind(408, "The body did not arrive in time"),
    "body_too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body must be application/json"),
    # What the service can have wrong.
    "record_corrupt": Kind(500, "A stored record does not verify"),
    "record_unverifiable": Kind(500, "A stored record cannot be verified"),
    "internal": Kind(500, "The service failed"),
    "store_unavailable": Kind(503, "The store is unavailable"),
    "store_overloaded": Kind(503, "The store is overloaded"),
    "audit_unavailable": Kind(503, "The audit log is unavailable"),
    "keys_unavailable": Kind(503, "The keys that tokens are checked with are unavailable"),
    "no_active_key": Kind(503, "No key may sign now"),
    "not_ready": Kind(503, "The service is not ready"),
    "overloaded": Kind(503, "Too many requests are in progress"),
    "timeout": Kind(503, "The request took too long"),
}


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """An error.

    Attributes:
        kind: names the kind of problem for programs; stable.
        code: the last part of ``type``.
        detail: what happened here, for people; may change.
        request_id: also in the header ``X-Request-Id``.
        pointer: where in the body, as a JSON Pointer.
        offset: where in the body, in bytes.
    """

    kind: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    pointer: str | None = None
    offset: int | None = None


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Headers = (),
        pointer: str | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = KINDS[code].status
        self.detail = detail
        self.headers = headers
        self.pointer = pointer
        self.offset = offset

    def document(self, request_id: str) -> ProblemDocument:
        """What the caller gets to see."""
        return ProblemDocument(
            kind=_TYPE_PREFIX + self.code,
            title=KINDS[self.code].title,
            status=self.status,
            code=self.code,
            detail=self.detail,
            request_id=request_id,
            pointer=self.pointer,
            offset=self.offset,
        )


def _retry_after(seconds: int) -> Headers:
    return ((b"retry-after", b"%d" % seconds),)


#: What callers are told where the error's own text is for the operator.
_DETAILS: Final[dict[type[Exception], str]] = {
    RecordNotFoundError: "no record with this id",
    RecordCorruptError: "the stored record is not what was sealed; it is withheld",
    RecordUnverifiableError: "the key ring has no usable key for the record; it is withheld",
    KeysUnavailableError: "tokens cannot be checked now",
}


def problem_from(error: Exception) -> ProblemError | None:
    """The problem that a domain's or the library's error means; None for what is a defect of ours."""
    if isinstance(error, ProblemError):
        return error
    code = getattr(error, "code", None)
    if not isinstance(error, DomainError | SigilError) or code not in KINDS:
        return None
    problem = ProblemError(code, _DETAILS.get(type(error), str(error)))
    if isinstance(error, CanonicalizationError):
        problem.detail = error.problem
        problem.pointer = error.pointer
        problem.offset = error.offset
    elif isinstance(error, StoreUnavailableError | AuditUnavailableError | KeysUnavailableError):
        problem.headers = _retry_after(error.retry_after)
    elif isinstance(error, NoActiveKeyError):
        problem.headers = _retry_after(30)
    return problem
