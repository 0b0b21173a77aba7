"""The checker of audit logs on the compiled key."""

from __future__ import annotations

from typing import final

from sigil_native._audit import AuditKey, read_audit_line
from sigil_native._audit_records import AuditLine
from sigil_native._audit_verifier import BytesLike, Verifier


@final
class AuditVerifier(Verifier):
    """See ``Verifier``."""

    __doc__ = Verifier.__doc__

    @staticmethod
    def _make_key(secret: str | BytesLike) -> AuditKey:
        return AuditKey(secret)

    @staticmethod
    def _read(line: bytes) -> AuditLine:
        return read_audit_line(line)
