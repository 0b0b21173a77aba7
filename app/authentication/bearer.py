"""Bearer tokens: who calls, for which tenant, with which roles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from app.authentication.claims import judge, registered_claims, roles_of, tenant_of
from app.authentication.key_sources import KeySource
from app.authentication.public_keys import PublicKey
from app.authentication.refusals import TokenRefusedError
from app.authentication.tokens import UnverifiedToken, bearer_token, take_apart
from app.authentication.verified_tokens import VerifiedToken, VerifiedTokens
from app.http.context import Caller
from app.http.head_facts import HeadFacts
from core.errors import KeysUnavailableError
from core.issuers import Issuer


class TrustedIssuer(NamedTuple):
    """An issuer, and the keys that its tokens, and no others, are checked with."""

    issuer: Issuer
    keys: KeySource


class Authenticator:
    """Turns the Authorization header into a caller.

    A token is refused as soon as anything is wrong with it, the cheap things first; one signature at most
    is verified. ``iss``, ``aud`` and the times are looked at before the signature: a token that fails them
    is refused whoever signed it, so an expired token, which is what honest clients send most, costs no
    signature, and cannot make us ask a provider for its key. Nothing is granted before it. The unverified
    ``iss`` does no more than choose the issuer whose keys, algorithms and audiences the token must then fit.

    Verified tokens are remembered; each use checks the expiry again, and the age of the keys.
    """

    def __init__(self, issuers: Iterable[TrustedIssuer], *, clock: Callable[[], float] = time.time) -> None:
        self._issuers = {trusted.issuer.issuer: trusted for trusted in issuers}
        self._clock = clock
        self._verified = VerifiedTokens()
        #: Tokens that were remembered as good ones, and others.
        self.recalled = 0
        self.unknown = 0
        for trusted in self._issuers.values():
            trusted.keys.on_withdrawal(self._verified.forget)

    @property
    def key_sources(self) -> Mapping[str, KeySource]:
        """Where the keys of each issuer come from."""
        return {name: trusted.keys for name, trusted in self._issuers.items()}

    def start(self) -> None:
        """Begin to keep the keys fresh. Needs a running event loop."""
        for trusted in self._issuers.values():
            trusted.keys.start()

    def recall(self, headers: Sequence[bytes]) -> Caller | None:
        """The caller that the Authorization headers prove, if the token is remembered as a good one."""
        try:
            known = self._verified.get(bearer_token(headers), self._clock())
        except TokenRefusedError:
            return None
        if known is None:
            self.unknown += 1
            return None
        self.recalled += 1
        return known.caller

    def known(self, head: HeadFacts) -> Caller | None:
        """The caller of a request with this head, as ``recall``; who is not known here is not counted."""
        if head.bearer is None:
            try:
                head.bearer = bearer_token(head.authorization)
            except TokenRefusedError:
                return None
        known = self._verified.get(head.bearer, self._clock())
        if known is None:
            return None
        self.recalled += 1
        return known.caller

    async def authenticate(self, headers: Sequence[bytes]) -> Caller:
        """The caller that the Authorization headers of a request prove.

        Raises:
            TokenRefusedError: they prove nothing.
            TenantMissingError: the token is good, but proves no tenant.
            KeysUnavailableError: nobody can tell now.
        """
        token = bearer_token(headers)
        known = self._verified.get(token, self._clock())
        if known is None:
            known = await self._verify(take_apart(token))
            self._verified.add(token, known, self._clock())
        return known.caller

    async def check(self) -> None:
        """Raise KeysUnavailableError unless the tokens of one issuer at least can be verified."""
        sources = [trusted.keys for trusted in self._issuers.values()]
        if any(keys.is_fresh() for keys in sources):
            return
        results = await asyncio.gather(*(keys.check() for keys in sources), return_exceptions=True)
        if None not in results:
            raise KeysUnavailableError("no issuer's keys could be fetched")

    async def close(self) -> None:
        """Give up the key sources' connections."""
        await asyncio.gather(*(trusted.keys.close() for trusted in self._issuers.values()))

    async def _verify(self, token: UnverifiedToken) -> VerifiedToken:
        claims = registered_claims(token.claims)
        trusted = self._issuers.get(claims.iss)
        if trusted is None:
            raise TokenRefusedError("issuer", "another issuer")
        issuer, keys = trusted
        if token.algorithm not in issuer.algorithms:
            raise TokenRefusedError("algorithm", "not an algorithm of this issuer")
        judge(claims, issuer, self._clock())
        key = await keys.find(token.key_id, token.algorithm)
        if key is None:
            raise TokenRefusedError("unknown_key", "no key fits")
        _check_signature(token, key)
        judge(claims, issuer, self._clock())  # the key may have taken seconds to arrive
        tenant = tenant_of(token.claims, claims.sub, issuer)
        caller = Caller(issuer.issuer, tenant, claims.sub, roles_of(token.claims, issuer))
        return VerifiedToken(caller, claims.exp, key, keys)


def _check_signature(token: UnverifiedToken, key: PublicKey) -> None:
    try:
        verified = key.verifies(token.algorithm, token.signed, token.signature)
    except ValueError as error:
        raise TokenRefusedError("signature", f"signature: {type(error).__name__}") from None
    if not verified:
        raise TokenRefusedError("signature", "the signature is not the key's")
