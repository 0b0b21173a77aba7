"""What a caller may do: authentication and roles, and what is said and noted when they are missing."""

from __future__ import annotations

from typing import Final

from app.authentication.bearer import Authenticator
from app.authentication.refusals import TenantMissingError, TokenRefusedError
from app.http.context import Caller, Context
from app.http.problems import ProblemError
from core.audit.interface import Audit

_NO_TOKEN: Final = ((b"www-authenticate", b'Bearer realm="sigil"'),)
_INVALID_TOKEN: Final = ((b"www-authenticate", b'Bearer realm="sigil", error="invalid_token"'),)


class Access:
    """Lets callers with the right role pass, and nobody else."""

    def __init__(self, authenticator: Authenticator, audit: Audit) -> None:
        self._authenticator = authenticator
        self._audit = audit

    async def require(self, context: Context, role: str) -> Caller:
        """The caller, who has the role.

        Raises:
            ProblemError: 401 without a valid token, 403 without tenant or role.
            KeysUnavailableError: nobody can tell now.
        """
        request_id = context.request_id.decode()
        try:
            caller = await self._authenticator.authenticate(context.authorization)
        except TokenRefusedError as error:
            self._audit.note(
                "authentication.refused", request_id=request_id, peer=context.peer, reason=error.reason
            )
            raise _unauthenticated(context) from None
        except TenantMissingError as error:
            self._audit.note(
                "authorization.refused",
                request_id=request_id,
                peer=context.peer,
                issuer=error.issuer,
                subject=error.subject,
                reason=error.reason,
            )
            raise ProblemError("forbidden", str(error)) from None
        if role not in caller.roles:
            self._audit.note(
                "authorization.refused",
                request_id=request_id,
                peer=context.peer,
                **caller.named(),
                reason="role_missing",
                role=role,
            )
            challenge = f'Bearer realm="sigil", error="insufficient_scope", scope="{role}"'.encode()
            headers = ((b"www-authenticate", challenge),)
            raise ProblemError("forbidden", f"the role {role} is missing", headers=headers)
        return caller


def _unauthenticated(context: Context) -> ProblemError:
    if not context.authorization:
        return ProblemError("unauthenticated", "no bearer token", headers=_NO_TOKEN)
    return ProblemError("unauthenticated", "the bearer token is not valid", headers=_INVALID_TOKEN)
