"""What a caller may do: authentication, limits, roles, and what is said and noted without them."""

from __future__ import annotations

from typing import Final

from app.authentication.bearer import Authenticator
from app.authentication.refusals import TenantMissingError, TokenRefusedError
from app.http.context import Caller, Context
from app.http.problems import ProblemError
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.errors import KeysUnavailableError
from core.limits.routes import ROUTE_CLASSES

#: What a call that needs a role counts as.
_ROUTE_CLASSES: Final = {f"sigil:{name}": name for name in ROUTE_CLASSES}
_NO_TOKEN: Final = ((b"www-authenticate", b'Bearer realm="sigil"'),)
_INVALID_TOKEN: Final = ((b"www-authenticate", b'Bearer realm="sigil", error="invalid_token"'),)


class Access:
    """Lets callers with the right role pass, within their limits, and nobody else.

    A token that is remembered as a good one is its caller's affair alone. Any other is the address's as
    well, until it has proved good.
    """

    def __init__(self, authenticator: Authenticator, limits: RateLimits, audit: Audit) -> None:
        self._authenticator = authenticator
        self._callers = limits.callers
        self._addresses = limits.addresses
        self._audit = audit

    @property
    def is_prompt(self) -> bool:
        """Whether limits can be asked for at once: nobody else keeps them."""
        return self._callers.is_prompt

    def knows(self, context: Context, role: str) -> bool:
        """Whether the token is remembered as that of a caller with the role, who is the context's then.

        Nothing is counted.
        """
        caller = self._authenticator.known(context.head)
        if caller is None or role not in caller.roles:
            return False
        context.caller = caller
        return True

    def count(self, context: Context, role: str) -> None:
        """Count a request of the context's caller, who is known; where ``is_prompt``.

        Raises:
            ProblemError, LimiterUnavailableError: as ``require``.
        """
        self._callers.admit_now(context, context.caller, _ROUTE_CLASSES[role])

    def counts_all(self, context: Context, role: str, items: int) -> bool:
        """Count a request of the context's caller with all its items; False: some limit is in the way.

        Nothing is counted then; where ``is_prompt``.
        """
        return self._callers.admit_all_now(context, context.caller, _ROUTE_CLASSES[role], items)

    async def require(self, context: Context, role: str) -> Caller:
        """The caller, who has the role; the request has been counted.

        Raises:
            ProblemError: 401 without a valid token, 403 without tenant or role, 429 beyond a limit.
            KeysUnavailableError, LimiterUnavailableError: nobody can tell now.
        """
        caller = self._authenticator.recall(context.head.authorization) or await self._meet(context)
        await self._callers.admit(context, caller, _ROUTE_CLASSES[role])
        if role not in caller.roles:
            context.refusal = "role_missing"
            self._audit.note(
                "authorization.refused",
                request_id=context.request_id.decode(),
                peer=context.peer,
                **caller.named(),
                reason="role_missing",
                role=role,
            )
            challenge = f'Bearer realm="sigil", error="insufficient_scope", scope="{role}"'.encode()
            headers = ((b"www-authenticate", challenge),)
            raise ProblemError("forbidden", f"the role {role} is missing", headers=headers)
        return caller

    async def _meet(self, context: Context) -> Caller:
        """The caller of a token that is not known yet."""
        self._addresses.admit(context)
        request_id = context.request_id.decode()
        try:
            caller = await self._authenticator.authenticate(context.head.authorization)
        except KeysUnavailableError:
            self._addresses.pardon(context)
            raise
        except TokenRefusedError as error:
            context.refusal = error.reason
            self._audit.note(
                "authentication.refused", request_id=request_id, peer=context.peer, reason=error.reason
            )
            raise _unauthenticated(context) from None
        except TenantMissingError as error:
            context.refusal = error.reason
            self._audit.note(
                "authorization.refused",
                request_id=request_id,
                peer=context.peer,
                issuer=error.issuer,
                subject=error.subject,
                reason=error.reason,
            )
            raise ProblemError("forbidden", str(error)) from None
        self._addresses.pardon(context)
        return caller


def _unauthenticated(context: Context) -> ProblemError:
    if not context.head.authorization:
        return ProblemError("unauthenticated", "no bearer token", headers=_NO_TOKEN)
    return ProblemError("unauthenticated", "the bearer token is not valid", headers=_INVALID_TOKEN)
