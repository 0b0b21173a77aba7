"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app.http.problem_catalogue import KINDS, problem_type
from core.errors import (
    AuditUnavailableError,
    DomainError,
    KeysUnavailableError,
    LimiterUnavailableError,
    StoreUnavailableError,
)
from sigil_native.errors import CanonicalizationError, NoActiveKeyError, SigilError

MEDIA_TYPE: Final = b"application/problem+json"

Headers = Sequence[tuple[bytes, bytes]]


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """An error, as RFC 9457 has it. Programs read ``code``; the page at ``type`` says what to do."""

    kind: Annotated[
        str,
        Meta(
            description="Where the page about this kind of problem is, relative to the service's address.",
            extra_json_schema={"format": "uri-reference"},
        ),
    ]
    title: Annotated[str, Meta(description="What is wrong, in a few words; the same for all of its kind.")]
    status: Annotated[int, Meta(description="The answer's status.", ge=400, le=599)]
    code: Annotated[str, Meta(description="Names the kind of problem for programs; stable.")]
    detail: Annotated[str, Meta(description="What happened here, for people; may change.")]
    request_id: Annotated[str, Meta(description="Names this request; also in the header `X-Request-Id`.")]
    pointer: Annotated[str, Meta(description="Where in the body, as a JSON Pointer.")] | None = None
    offset: Annotated[int, Meta(description="Where in the body, in bytes.", ge=0)] | None = None

    @classmethod
    def of(
        cls, code: str, *, detail: str, request_id: str, pointer: str | None = None, offset: int | None = None
    ) -> ProblemDocument:
        """A document of a kind."""
        kind = KINDS[code]
        return cls(problem_type(code), kind.title, kind.status, code, detail, request_id, pointer, offset)


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
        return ProblemDocument.of(
            self.code,
            detail=self.detail,
            request_id=request_id,
            pointer=self.pointer,
            offset=self.offset,
        )


def retry_after(seconds: int) -> Headers:
    """The header that says when another attempt makes sense."""
    return ((b"retry-after", b"%d" % seconds),)


#: Errors that tell when another attempt makes sense.
_PASSING: Final = (
    StoreUnavailableError,
    AuditUnavailableError,
    KeysUnavailableError,
    LimiterUnavailableError,
)

#: What callers are told of a domain's error; its own text is for the operator, in log and audit.
_DETAILS: Final[dict[str, str]] = {
    "not_found": "no record with this id",
    "record_corrupt": "the stored record is not what was sealed; it is withheld",
    "record_unverifiable": "the key ring has no usable key for the record; it is withheld",
    "store_unavailable": "the store cannot do this now",
    "store_overloaded": "too many writes wait",
    "limiter_unavailable": "rate limits cannot be checked now",
    "keys_unavailable": "tokens cannot be checked now",
    "no_active_key": "no key may sign now",
    "invalid_cursor": "no listing has given out this cursor",
    "data_missing": "a sigil without its payload can only be verified as a token",
}


def problem_from(error: Exception) -> ProblemError | None:
    """The problem that a domain's or the library's error means; None for what is a defect of ours."""
    if isinstance(error, ProblemError):
        return error
    code = getattr(error, "code", None)
    if not isinstance(error, DomainError | SigilError) or code not in KINDS:
        return None
    if isinstance(error, CanonicalizationError):
        return ProblemError(code, error.problem, pointer=error.pointer, offset=error.offset)
    # Without a text for callers, they get to know no more than the kind.
    problem = ProblemError(code, _DETAILS.get(code, KINDS[code].title))
    if isinstance(error, _PASSING):
        problem.headers = retry_after(error.retry_after)
    elif isinstance(error, NoActiveKeyError):
        problem.headers = retry_after(30)
    return problem
