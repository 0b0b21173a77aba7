"""Tokens that are well signed, and say what nobody may believe."""

from __future__ import annotations

import time
from collections.abc import Iterable

from app.authentication.refusals import RefusalReason
from tests.service.authentication.forge import AUDIENCE, ISSUER, Forge, claims
from tests.service.authentication.hostile_kinds import Kinds


def wrong_claims(forge: Forge) -> Kinds:
    """Claims of wrong types, issuers and audiences."""

    def with_(**changes: object) -> str:
        return forge.sign({"alg": "ES256", "kid": "ec"}, {**claims(), **changes})

    wrong: dict[str, str] = {
        "no issuer": forge.good(iss=None),
        "a list of issuers": forge.good(iss=[ISSUER]),
        "a null issuer": with_(iss=None),
        "no audience": forge.good(aud=None),
        "a null audience": with_(aud=None),
        "an object as audience": forge.good(aud={AUDIENCE: True}),
        "a list with a number as audience": forge.good(aud=[AUDIENCE, 1]),
        "a list in a list as audience": forge.good(aud=[[AUDIENCE]]),
        "a number as subject": forge.good(sub=1),
        "a null subject": with_(sub=None),
        "a list as subject": forge.good(sub=["s"]),
        "a long subject": forge.good(sub="x" * 256),
        "a subject with a null byte": forge.good(sub="s\0"),
        "a number as tenant": forge.good(tenantId=1),
        "a list as tenant": forge.good(tenantId=["acme"]),
        "an object as tenant": forge.good(tenantId={"id": "acme"}),
        "true as tenant": forge.good(tenantId=True),
        "a second tenant that is a list": forge.good(tenant_id=["acme"]),
        "roles as text": forge.good(roles="sigil:read"),
        "roles as an object": forge.good(roles={"sigil:read": True}),
        "roles as a number": forge.good(roles=1),
        "roles as true": forge.good(roles=True),
        "a role in a list in a list": forge.good(roles=[["sigil:read"]]),
        "a role that is an object": forge.good(roles=["sigil:read", {"name": "sigil:revoke"}]),
        "a scope that is an object": forge.good(scope={"sigil:read": True}),
        "a scope that is a number": forge.good(scope=1),
    }
    kinds: Kinds = {name: ("claims", token) for name, token in wrong.items()}
    issuers = {
        "another issuer": "https://evil.example",
        "the issuer with a slash": ISSUER + "/",
        "the issuer in capitals": ISSUER.upper(),
        "the issuer with a space": ISSUER + " ",
        "the issuer with a null byte": ISSUER + "\0",
        "the issuer with letters that look right": ISSUER.replace("e", "\u0435"),
        "the beginning of the issuer": ISSUER[:-1],
        "an empty issuer": "",
    }
    kinds |= {name: ("issuer", forge.good(iss=value)) for name, value in issuers.items()}
    audiences: dict[str, object] = {
        "another audience": "other",
        "the beginning of the audience": AUDIENCE[:-1],
        "the audience in capitals": AUDIENCE.upper(),
        "the audience and another in one text": AUDIENCE + " other",
        "an empty audience": "",
        "no audience in a list": [],
        "other audiences in a list": ["other", "seal"],
        "the issuer as audience": ISSUER,
    }
    return kinds | {name: ("audience", forge.good(aud=value)) for name, value in audiences.items()}


def wrong_times(forge: Forge) -> Kinds:
    """Times that are over, not yet, or no times."""
    now = int(time.time())
    wrong: Iterable[tuple[str, RefusalReason, dict[str, object]]] = (
        ("expired a second ago", "expired", {"exp": now - 1}),
        ("expired long ago", "expired", {"exp": 1}),
        ("expired before the epoch", "expired", {"exp": -1e15}),
        ("an expiry of zero", "expired", {"exp": 0}),
        ("expired a fraction ago", "expired", {"exp": now - 0.5}),
        ("an expiry in milliseconds", "claims", {"exp": (now + 600) * 1000}),
        ("an expiry beyond all time", "claims", {"exp": 1e300}),
        ("an integer beyond all time", "claims", {"exp": 10**30}),
        ("an expiry of true", "claims", {"exp": True}),
        ("an expiry in text", "claims", {"exp": str(now + 600)}),
        ("an expiry as a date", "claims", {"exp": "2099-01-01T00:00:00Z"}),
        ("an expiry in a list", "claims", {"exp": [now + 600]}),
        ("an expiry of infinity", "claims", {"exp": float("inf")}),
        ("an expiry that is no number", "claims", {"exp": float("nan")}),
        ("no expiry", "claims", {"exp": None}),
        ("not valid yet", "not_yet_valid", {"nbf": now + 120}),
        ("never valid", "not_yet_valid", {"nbf": 1e300}),
        ("a beginning in text", "claims", {"nbf": str(now)}),
        ("a beginning of true", "claims", {"nbf": True}),
        ("issued in the future", "not_yet_valid", {"iat": now + 120}),
        ("issued in milliseconds", "not_yet_valid", {"iat": now * 1000}),
        ("issued in text", "claims", {"iat": str(now)}),
        ("issued false", "claims", {"iat": False}),
    )
    kinds: Kinds = {name: (reason, forge.good(**changes)) for name, reason, changes in wrong}
    header = {"alg": "ES256", "kid": "ec"}
    for name in ("exp", "nbf", "iat"):
        kinds[f"null as {name}"] = ("claims", forge.sign(header, {**claims(), name: None}))
    return kinds
