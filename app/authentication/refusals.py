"""Why a token does not let its bearer in."""

from __future__ import annotations

from typing import Literal

#: Short and stable, for the audit log and metrics; docs/runbook.md says what each means.
RefusalReason = Literal[
    "missing",
    "malformed",
    "header",
    "algorithm",
    "claims",
    "issuer",
    "audience",
    "expired",
    "not_yet_valid",
    "unknown_key",
    "signature",
]

#: Of a good token: it names no tenant, several, one that cannot be, or one that its issuer may not speak for.
TenantProblem = Literal["tenant_missing", "tenant_ambiguous", "tenant_invalid", "tenant_foreign"]


class TokenRefusedError(Exception):
    """The token proves nothing. Both texts are for the operator: a caller learns only that it was refused.

    Attributes:
        reason: the first thing that was found wrong, short and stable.
    """

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TenantMissingError(Exception):
    """A good token that proves no tenant. The text is fit for its bearer.

    Attributes:
        reason: short and stable.
        issuer: who vouches for the bearer.
        subject: the bearer.
    """

    def __init__(self, reason: TenantProblem, detail: str, *, issuer: str, subject: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.issuer = issuer
        self.subject = subject
