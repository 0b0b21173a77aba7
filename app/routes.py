"""The resource ``/api/consciousness/sigils`` and the service's own pages."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import Route
from starlette.types import Receive, Scope

from app.asgi import Resource
from app.http import BodyLimits, Reply, json_reply, read_json_text
from app.openapi import document
from app.problems import ProblemError
from app.schemas import (
    EncodeRequest,
    Health,
    Readiness,
    RevokeRequest,
    SigilPage,
    VerifyRequest,
    record_answer,
    record_with_data,
    verify_answer,
)
from app.tokens import Authenticator
from core.engine import Engine, now_ms
from core.errors import DomainError
from core.records import CanonicalJson, Status
from sigil_native import SigilError, canonicalize_json

BASE: Final = "/api/consciousness/sigils"
_T = TypeVar("_T")

#: One level more than payloads may have: the envelope's own.
_MAX_DEPTH: Final = 513
_RECORD_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LIMIT: Final = re.compile(r"[0-9]{1,3}")
_DEFAULT_LIMIT: Final = 50
_HIGHEST_LIMIT: Final = 200
_PROBE_SECONDS: Final = 1.0

_encode_request = msgspec.json.Decoder(EncodeRequest)
_verify_request = msgspec.json.Decoder(VerifyRequest)
_revoke_request = msgspec.json.Decoder(RevokeRequest)


class SigilRoutes:
    """The verbs over HTTP."""

    def __init__(self, engine: Engine, authenticator: Authenticator, body_limits: BodyLimits) -> None:
        self._engine = engine
        self._authenticator = authenticator
        self._body_limits = body_limits

    def routes(self) -> list[Route]:
        """Where each verb lives."""
        return [
            Route(BASE, Resource(get=self.list, post=self.encode)),
            Route(BASE + "/verify", Resource(post=self.verify)),
            Route(BASE + "/{id}", Resource(get=self.get)),
            Route(BASE + "/{id}/revoke", Resource(post=self.revoke)),
        ]

    async def encode(self, scope: Scope, receive: Receive) -> Reply:
        """Seal a payload and keep its record."""
        caller = await self._authenticator.require(scope, "sigil:encode")
        request = await self._body(scope, receive, _encode_request)
        payload = _payload(request.data)
        record = await self._engine.encode(
            caller.tenant, caller.subject, payload, expires_in=request.expires_in
        )
        location = ((b"location", f"{BASE}/{record.id}".encode()),)
        return json_reply(201, record_answer(record, now_ms()), location)

    async def verify(self, scope: Scope, receive: Receive) -> Reply:
        """Judge a sigil and a payload."""
        caller = await self._authenticator.require(scope, "sigil:verify")
        request = await self._body(scope, receive, _verify_request)
        payload = None if request.data is msgspec.UNSET else _payload(request.data)
        verdict = await self._engine.verify(caller.tenant, request.sigil, payload)
        return json_reply(200, verify_answer(verdict))

    async def list(self, scope: Scope, _: Receive) -> Reply:
        """The tenant's records, newest first."""
        caller = await self._authenticator.require(scope, "sigil:read")
        query = _query(scope, {"limit", "cursor", "status"})
        page = await self._engine.list(
            caller.tenant, limit=_limit(query), cursor=query.get("cursor"), status=_status(query)
        )
        now = now_ms()
        shown = [record_answer(record, now) for record in page.records]
        return json_reply(200, SigilPage(shown, page.next_cursor))

    async def get(self, scope: Scope, _: Receive) -> Reply:
        """One record with its payload."""
        caller = await self._authenticator.require(scope, "sigil:read")
        _query(scope, set())
        record, sigil = await self._engine.get(caller.tenant, _record_id(scope))
        return json_reply(200, record_with_data(record, sigil, now_ms()))

    async def revoke(self, scope: Scope, receive: Receive) -> Reply:
        """Revoke a record; the first time counts."""
        caller = await self._authenticator.require(scope, "sigil:revoke")
        request = await self._body(scope, receive, _revoke_request)
        record = await self._engine.revoke(
            caller.tenant, caller.subject, _record_id(scope), reason=request.reason
        )
        return json_reply(200, record_answer(record, now_ms()))

    async def _body(self, scope: Scope, receive: Receive, decoder: msgspec.json.Decoder[_T]) -> _T:
        """Read a body through the one strict door.

        The whole body is canonicalised, envelope included: msgspec would take duplicate members
        and malformed UTF-8. What it then cuts out of the canonical text is canonical itself.
        """
        text = await read_json_text(scope, receive, self._body_limits)
        canonical = canonicalize_json(text, max_depth=_MAX_DEPTH)
        try:
            return decoder.decode(canonical)
        except msgspec.ValidationError as error:
            detail, _, path = str(error).partition(" - at `$")
            pointer = path.rstrip("`").replace(".", "/")
            raise ProblemError("invalid_request", detail, pointer=pointer) from None


class ServiceRoutes:
    """What needs no token: health, readiness and the API's description."""

    def __init__(self, engine: Engine, authenticator: Authenticator) -> None:
        self._engine = engine
        self._authenticator = authenticator
        self._probing = asyncio.Lock()
        self._probe_again_at = 0.0
        self._trouble: str | None = None
        self._openapi = msgspec.json.encode(document())

    def routes(self) -> list[Route]:
        """Where the pages live."""
        return [
            Route("/healthz", Resource(get=self.health)),
            Route("/readyz", Resource(get=self.readiness)),
            Route("/openapi.json", Resource(get=self.openapi)),
        ]

    async def health(self, _scope: Scope, _receive: Receive) -> Reply:
        """The process runs."""
        return json_reply(200, Health("ok"))

    async def readiness(self, _scope: Scope, _receive: Receive) -> Reply:
        """An encode would work. Probes the store at most once a second, whoever asks how often."""
        async with self._probing:
            if time.monotonic() >= self._probe_again_at:
                self._trouble = await self._probe()
                self._probe_again_at = time.monotonic() + _PROBE_SECONDS
        if self._trouble is not None:
            raise ProblemError("not_ready", self._trouble, headers=((b"retry-after", b"2"),))
        return json_reply(200, Readiness("ready", "ok", "ok"))

    async def _probe(self) -> str | None:
        try:
            await self._engine.probe()
            await self._authenticator.check()
        except (DomainError, SigilError) as error:
            return str(error)
        return None

    async def openapi(self, _scope: Scope, _receive: Receive) -> Reply:
        """The description of this API."""
        return Reply(200, self._openapi)


def _payload(data: msgspec.Raw) -> CanonicalJson:
    payload = bytes(data)
    if not payload.startswith(b"{"):
        raise ProblemError("invalid_request", "Expected `object`", pointer="/data")
    return CanonicalJson(payload)


def _record_id(scope: Scope) -> str:
    record_id: str = scope["path_params"]["id"]
    if not _RECORD_ID.fullmatch(record_id):
        raise ProblemError("not_found", "no record with this id")
    return record_id


def _query(scope: Scope, known: set[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(scope["query_string"]),
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        raise ProblemError("invalid_query", "the query is malformed") from None
    query = dict(pairs)
    if len(query) != len(pairs) or not query.keys() <= known:
        raise ProblemError("invalid_query", f"known, once each: {', '.join(sorted(known)) or 'nothing'}")
    return query


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= _HIGHEST_LIMIT:
        raise ProblemError("invalid_query", f"limit is a number from 1 to {_HIGHEST_LIMIT}")
    return int(text)


def _status(query: dict[str, str]) -> Status | None:
    text = query.get("status")
    if text not in {None, "active", "expired", "revoked"}:
        raise ProblemError("invalid_query", "status is active, expired or revoked")
    return cast("Status | None", text)
