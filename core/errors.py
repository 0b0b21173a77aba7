"""What can go wrong in the domain, apart from what the library says about JSON and sigils."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from core.records import Place, Record


class DomainError(Exception):
    """Root of the domain's errors. ``code`` is short and stable, fit for logs and HTTP answers."""

    code: ClassVar[str] = "error"


class StoreUnavailableError(DomainError):
    """The store cannot answer now. Nothing was acknowledged; the same call may work later.

    Attributes:
        reason: short and stable: ``locked``, ``full``, ``io``, ``replaced``, ``overloaded``, ``closed``; of a
            PostgreSQL database also ``timeout``, ``connection``, ``forbidden``, ``read_only``; of a DNAStore
            also ``timeout``, ``connection``, ``tls``, ``open`` (the breaker), ``refused`` (it answers, but
            not with what was asked), ``forbidden``, ``invalid_answer``; of a spool also ``spool_full``.
        retry_after: seconds after which another attempt makes sense.
    """

    code = "store_unavailable"

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(f"the store is unavailable: {reason}")
        self.reason = reason
        self.retry_after = retry_after

    def again(self) -> StoreUnavailableError:
        """Another of the same: of those who wait for one thing, each raises its own."""
        return StoreUnavailableError(self.reason, retry_after=self.retry_after)


class StoreOverloadedError(StoreUnavailableError):
    """More writes wait than the store admits."""

    code = "store_overloaded"

    def __init__(self) -> None:
        super().__init__("overloaded", retry_after=1)

    def again(self) -> StoreOverloadedError:
        """Another of the same."""
        return StoreOverloadedError()


class StorePartlyUnavailableError(StoreUnavailableError):
    """The store cannot answer now, and of what was asked only a part is known without it.

    Attributes:
        known: the records that are known, or why one cannot be read, by id.
    """

    def __init__(
        self,
        cause: StoreUnavailableError,
        known: Mapping[str, Record | RecordCorruptError | RecordUnverifiableError],
    ) -> None:
        super().__init__(cause.reason, retry_after=cause.retry_after)
        self.known = known


class AuditUnavailableError(DomainError):
    """The audit log is required and cannot be written now.

    Attributes:
        reason: short and stable: ``full``, ``io``, ``foreign``, ``damaged``, ``slow``, ``overloaded``.
        retry_after: seconds after which another attempt makes sense.
    """

    code = "audit_unavailable"

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(f"the audit log is unavailable: {reason}")
        self.reason = reason
        self.retry_after = retry_after


class StoreSchemaError(DomainError):
    """The database belongs to something else, or to a newer version of the service."""

    code = "store_schema"


class BackupError(DomainError):
    """No backup was made."""

    code = "backup"


class DuplicateRecordError(DomainError):
    """The store already holds a record with this id for this tenant."""

    code = "duplicate_record"


class IdempotencyKeyReusedError(DomainError):
    """The idempotency key belongs to an earlier request that asked for something else."""

    code = "idempotency_key_reused"


class InvalidRecordError(DomainError):
    """The store cannot hold this record, whatever the moment."""

    code = "invalid_record"


class RecordNotFoundError(DomainError):
    """The tenant has no record with this id."""

    code = "not_found"


class RecordCorruptError(DomainError):
    """A stored record is not what was sealed.

    Attributes:
        past: of an entry of a history that cannot be read: the place behind which to go on, if it is known.
    """

    code = "record_corrupt"

    def __init__(self, record_id: str, cause: str, *, past: Place | None = None) -> None:
        super().__init__(f"stored record {record_id} does not verify: {cause}")
        self.record_id = record_id
        self.cause = cause
        self.past = past


class RecordUnverifiableError(DomainError):
    """The key that sealed a stored record is missing from the key ring, or revoked."""

    code = "record_unverifiable"

    def __init__(self, record_id: str, cause: str) -> None:
        super().__init__(f"stored record {record_id} cannot be verified: {cause}")
        self.record_id = record_id
        self.cause = cause


class InvalidCursorError(DomainError):
    """A cursor that no listing has given out."""

    code = "invalid_cursor"


class PayloadMissingError(DomainError):
    """A verification needs the payload, and the sigil does not carry it."""

    code = "data_missing"


class KeysUnavailableError(DomainError):
    """No usable keys are known that tokens can be checked with.

    Attributes:
        retry_after: seconds after which another attempt makes sense.
    """

    code = "keys_unavailable"

    def __init__(self, message: str, *, retry_after: int = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LimiterUnavailableError(DomainError):
    """Nobody can tell now whether a limit is kept.

    Attributes:
        reason: short and stable: ``timeout``, ``connection``, ``refused``, ``open``.
        retry_after: seconds after which another attempt makes sense.
    """

    code = "limiter_unavailable"

    def __init__(self, reason: str, *, retry_after: int = 2) -> None:
        super().__init__(f"the rate limits cannot be checked: {reason}")
        self.reason = reason
        self.retry_after = retry_after
