"""Tokens that were verified, so that the next request with one of them costs no signature."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from app.authentication.key_sources import KeySource
from app.authentication.public_keys import PublicKey
from app.http.context import Caller

#: With the longest tokens, of 8 KiB, about 40 MiB; with those that most issuers make, 8 MiB.
_MOST: Final = 4096
#: Of all tokens, that are one tenant's before the tenant has to make room for its own new ones.
_SHARE: Final = 1 / 8
#: Seconds between looks for tokens that have expired: nobody shows them again, so nothing else drops them.
_SWEEP: Final = 60.0


class VerifiedToken(msgspec.Struct, frozen=True, eq=False):
    """What a good token said, and what that hangs on.

    Attributes:
        expires_at: seconds since the Unix epoch.
        key: that it was verified with.
        source: where the key comes from.
    """

    caller: Caller
    expires_at: float
    key: PublicKey
    source: KeySource


class VerifiedTokens:
    """A bounded memory of good tokens, never of refused ones.

    When it is full the token that was not used for the longest time goes: one of the same tenant, if
    that tenant holds its share already, otherwise anybody's. So a tenant that shows ever new tokens
    drives out its own.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._share = max(1, int(most * _SHARE))
        #: The least recently used first; so are the tokens of each tenant.
        self._tokens: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._of_tenant: dict[str, OrderedDict[bytes, None]] = {}
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._tokens)

    def get(self, token: bytes, now: float) -> VerifiedToken | None:
        """What is known of a token, unless it has expired or its keys have."""
        known = self._tokens.get(token)
        if known is None:
            return None
        if known.expires_at <= now:
            self._drop(token)
            return None
        if not known.source.is_fresh():
            return None
        self._tokens.move_to_end(token)
        self._of_tenant[known.caller.tenant].move_to_end(token)
        return known

    def add(self, token: bytes, verified: VerifiedToken, now: float) -> None:
        """Remember a token, in the place of others if need be."""
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP
            self._drop_all(one for one, known in self._tokens.items() if known.expires_at <= now)
        if token in self._tokens:
            self._drop(token)
        own = self._of_tenant.get(verified.caller.tenant, ())
        if len(self._tokens) >= self._most:
            self._drop(next(iter(own if len(own) >= self._share else self._tokens)))
        self._tokens[token] = verified
        self._of_tenant.setdefault(verified.caller.tenant, OrderedDict())[token] = None

    def forget(self, keys: Collection[PublicKey]) -> None:
        """Drop all tokens that were verified with these keys."""
        self._drop_all(token for token, known in self._tokens.items() if known.key in keys)

    def _drop_all(self, tokens: Iterable[bytes]) -> None:
        for token in list(tokens):
            self._drop(token)

    def _drop(self, token: bytes) -> None:
        tenant = self._tokens.pop(token).caller.tenant
        own = self._of_tenant[tenant]
        del own[token]
        if not own:
            del self._of_tenant[tenant]
