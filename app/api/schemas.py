"""Bodies of requests and answers."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from app.http.problem_catalogue import KINDS, problem_type
from app.http.problems import Headers, ProblemError
from core.audit.interface import AuditCondition
from core.engine import LONGEST_REASON
from core.records import Record, Status
from core.timestamps import timestamp
from core.verdict import KeyAspect, RevocationAspect, SignatureAspect, TimeAspect, Verdict
from sigil_native import Sigil

_REFERENCE: Final = {"format": "uri-reference"}
_JSON_OBJECT: Final = {"type": "object", "additionalProperties": True}
Data = Annotated[
    msgspec.Raw, Meta(description="The payload: any JSON object (RFC 7493).", extra_json_schema=_JSON_OBJECT)
]
Timestamp = Annotated[
    str, Meta(description="RFC 3339, UTC, milliseconds.", extra_json_schema={"format": "date-time"})
]
RecordId = Annotated[str, Meta(description="The sigil's id, a UUIDv7.", extra_json_schema={"format": "uuid"})]
KeyId = Annotated[str, Meta(description="Eight hexadecimal digits.", pattern="^[0-9a-f]{8}$")]
Sha256 = Annotated[str, Meta(description="SHA-256 of the payload's RFC 8785 form.", pattern="^[0-9a-f]{64}$")]

#: A century. What shall last longer lasts for ever: leave the lifetime out.
_LONGEST_LIFETIME: Final = 3_155_760_000
Lifetime = Annotated[
    float,
    Meta(
        description="Seconds, to the millisecond; absent or null: for ever.", ge=0.001, le=_LONGEST_LIFETIME
    ),
]


class EncodeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A payload to seal, and for how long."""

    data: Data
    expires_in: Lifetime | None = None


class VerifyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A sigil in any of its text forms, and the payload; a token carries its own."""

    sigil: Annotated[str, Meta(description="As text, strand or token.")]
    data: Data | msgspec.UnsetType = msgspec.UNSET


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why a sigil shall count no more."""

    # The class keeps NUL out, which some databases cannot hold; newlines are allowed anyway.
    reason: Annotated[
        str,
        Meta(
            description=f"In 1 to {LONGEST_REASON} characters.",
            min_length=1,
            max_length=LONGEST_REASON,
            pattern="^[^\\u0000]+$",
        ),
    ]


class SigilRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed payload's record, without the payload."""

    id: RecordId
    sigil: Annotated[str, Meta(description="The text form.", pattern="^sgl1_[A-Za-z0-9_-]{86}$")]
    key_id: KeyId
    issued_at: Timestamp
    expires_at: Timestamp | None
    status: Annotated[Status, Meta(description="A revoked record stays revoked after its expiry.")]
    canonical_sha256: Sha256
    created_at: Timestamp
    created_by: Annotated[str, Meta(description="The subject whose token asked for the seal.")]
    revoked_at: Timestamp | None
    revoked_by: Annotated[str, Meta(description="The subject whose token asked for the revocation.")] | None
    revoked_reason: Annotated[str, Meta(description="The first revocation's reason.")] | None


class SigilRecordWithData(SigilRecord, frozen=True, kw_only=True):
    """A sealed payload's record."""

    strand: Annotated[str, Meta(description="The DNA form.", pattern="^[ACGT]{256}$")]
    data: Data


class SigilPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the listing, newest first."""

    sigils: Annotated[list[SigilRecord], Meta(description="Without their payloads.")]
    next_cursor: Annotated[str, Meta(description="Give it as cursor for the next piece.")] | None
    stale: Annotated[
        bool, Meta(description="Whether records may be missing, because the store cannot be asked now.")
    ]
    withheld: Annotated[
        list[RecordId],
        Meta(
            description="Records that belong here and are not shown: they are not what was sealed, or cannot "
            "be verified. Absent where there are none."
        ),
    ] = []


class VerifyAnswer(msgspec.Struct, frozen=True):
    """What a verification found. The sigil's fields are given where the seal proves them."""

    valid: Annotated[bool, Meta(description="Whether every aspect holds.")]
    reason: Annotated[str, Meta(description="The first aspect that does not hold.")] | None
    signature: Annotated[SignatureAspect, Meta(description="Whether the tag is the payload's.")]
    time: Annotated[TimeAspect, Meta(description="Whether it is in force now.")]
    key_state: Annotated[KeyAspect, Meta(description="Whether its key may still verify.")]
    revocation: Annotated[RevocationAspect, Meta(description="What the tenant's records say of it.")]
    canonical_sha256: Sha256 | None
    id: RecordId | None
    key_id: KeyId | None
    issued_at: Timestamp | None
    expires_at: Timestamp | None


class LineProblem(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """An error, as for a request that has nothing but this line (RFC 9457)."""

    kind: Annotated[
        str,
        Meta(description="Where the page about this kind of problem is.", extra_json_schema=_REFERENCE),
    ]
    title: Annotated[str, Meta(description="What is wrong, in a few words; the same for all of its kind.")]
    status: Annotated[int, Meta(description="Of the answer to such a request.", ge=400, le=499)]
    code: Annotated[str, Meta(description="Names the kind of problem for programs; stable.")]
    detail: Annotated[str, Meta(description="What happened here, for people; may change.")]
    pointer: Annotated[str, Meta(description="Where in the line, as a JSON Pointer.")] | None = None
    offset: Annotated[int, Meta(description="Where in the line, in bytes.", ge=0)] | None = None


class FailedLine(msgspec.Struct, frozen=True):
    """What a batch answers to a line that is wrong."""

    error: LineProblem
    line: Annotated[int, Meta(description="Its place in the body; blank lines count, too.", ge=1)]


class BreakProblem(msgspec.Struct, frozen=True, rename={"kind": "type"}):
    """Why nothing more was done (RFC 9457)."""

    kind: Annotated[
        str,
        Meta(description="Where the page about this kind of problem is.", extra_json_schema=_REFERENCE),
    ]
    title: Annotated[str, Meta(description="What is wrong, in a few words; the same for all of its kind.")]
    status: Annotated[int, Meta(description="Of the answer to a request that fails so.", ge=400, le=599)]
    code: Annotated[str, Meta(description="Names the kind of problem for programs; stable.")]
    detail: Annotated[str, Meta(description="What happened here, for people; may change.")]


class BrokenOff(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last line of a streamed answer that has not come to its end. All lines before it hold."""

    broken_off: BreakProblem
    line: Annotated[
        int, Meta(description="The first line of the body that has no answer; blank ones count, too.", ge=1)
    ]
    retry_after: (
        Annotated[int, Meta(description="Seconds after which the rest may be sent again.", ge=0)] | None
    ) = None


class StreamEnd(msgspec.Struct, frozen=True):
    """The last line of a streamed answer that is whole."""

    end: Literal[True] = True


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """The service can do its work."""

    status: Literal["ready"]
    store: Literal["ok"]
    keys: Literal["ok"]
    audit: AuditCondition
    limits: Annotated[
        Literal["ok", "degraded", "off"],
        Meta(description="`degraded`: what counts for all hosts does not answer."),
    ]
    spool: Annotated[
        Literal["off", "empty", "waiting", "forwarding", "full", "failing"],
        Meta(
            description="What waits on this host for the store; `full`: no more is taken; `failing`: the "
            "file cannot be used."
        ),
    ] = "off"
    spool_rejected: Annotated[
        int, Meta(description="Waiting records and revocations that the store has refused for good.", ge=0)
    ] = 0


_VERDICT_ASPECTS: Final = ("valid", "reason", "signature", "time", "key_state", "revocation")


def _timestamp_or_none(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds) if milliseconds else None


def record_answer(record: Record, now_ms: int) -> SigilRecord:
    """A record as the API shows it."""
    return SigilRecord(
        id=record.id,
        sigil=record.sigil,
        key_id=f"{record.key_id:08x}",
        issued_at=timestamp(record.issued_at_ms),
        expires_at=_timestamp_or_none(record.expires_at_ms),
        status=record.status(now_ms),
        canonical_sha256=record.canonical_sha256.hex(),
        created_at=timestamp(record.created_at_ms),
        created_by=record.created_by,
        revoked_at=_timestamp_or_none(record.revoked_at_ms),
        revoked_by=record.revoked_by,
        revoked_reason=record.revoked_reason,
    )


@lru_cache(maxsize=256)  # many are made within a millisecond
def record_parts(created_at_ms: int, created_by: str) -> tuple[bytes | str, ...]:
    """A record that was just made, for ``SealRequests.answers``: what ``record_answer`` shows."""
    made = b'","created_at":"%b","created_by":%b' % (
        timestamp(created_at_ms).encode(),
        msgspec.json.encode(created_by),
    )
    return (
        *(b'{"id":"', "id", b'","sigil":"', "sigil", b'","key_id":"', "key_id"),
        *(b'","issued_at":"', "issued_at", b'","expires_at":', "expires_at", b',"status":"', "status"),
        *(b'","canonical_sha256":"', "canonical_sha256", made),
        b',"revoked_at":null,"revoked_by":null,"revoked_reason":null}',
    )


def record_with_data(record: Record, sigil: Sigil, now_ms: int) -> SigilRecordWithData:
    """A record and its payload as the API shows them."""
    shown = record_answer(record, now_ms)
    fields = {name: getattr(shown, name) for name in SigilRecord.__struct_fields__}
    return SigilRecordWithData(**fields, strand=sigil.strand, data=msgspec.Raw(record.payload or b"null"))


def verify_answer(verdict: Verdict) -> VerifyAnswer:
    """A verdict as the API shows it."""
    digest = verdict.canonical_sha256
    sigil = verdict.sigil if verdict.signature == "valid" else None
    return VerifyAnswer(
        valid=verdict.valid,
        reason=verdict.reason,
        signature=verdict.signature,
        time=verdict.time,
        key_state=verdict.key_state,
        revocation=verdict.revocation,
        canonical_sha256=None if digest is None else digest.hex(),
        id=None if sigil is None else sigil.id,
        key_id=None if sigil is None else f"{sigil.key_id:08x}",
        issued_at=None if sigil is None else timestamp(sigil.issued_at_ms),
        expires_at=None if sigil is None else _timestamp_or_none(sigil.expires_at_ms),
    )


@lru_cache(maxsize=128)
def verdict_parts(verdict: Verdict) -> tuple[bytes | str, ...]:
    """The line of a verdict for ``VerifyRequests.answers``: what ``verify_answer`` shows of any sigil."""
    shown = verify_answer(verdict)
    aspects = {name: getattr(shown, name) for name in _VERDICT_ASPECTS}
    head = msgspec.json.encode(aspects)[:-1] + b',"canonical_sha256":'
    if verdict.signature != "valid":
        nothing = b',"id":null,"key_id":null,"issued_at":null,"expires_at":null}\n'
        return head, "canonical_sha256", nothing
    return (
        *(head, "canonical_sha256", b',"id":"', "id", b'","key_id":"', "key_id"),
        *(b'","issued_at":"', "issued_at", b'","expires_at":', "expires_at", b"}\n"),
    )


def failed_line(number: int, problem: ProblemError) -> FailedLine:
    """What is wrong with a line, as the API shows it."""
    code = problem.code
    return FailedLine(
        LineProblem(
            problem_type(code),
            KINDS[code].title,
            problem.status,
            code,
            problem.detail,
            problem.pointer,
            problem.offset,
        ),
        number,
    )


def broken_off(number: int, problem: ProblemError, headers: Headers) -> BrokenOff:
    """Why the rest of a batch was not carried out, as the API shows it, with what headers would tell."""
    code = problem.code
    why = BreakProblem(problem_type(code), KINDS[code].title, problem.status, code, problem.detail)
    waits = [int(value) for name, value in headers if name == b"retry-after"]
    return BrokenOff(why, number, waits[0] if waits else None)
