"""Bearer tokens: what is let in, and what never is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.key_set import read_key_set
from app.authentication.key_sources import FixedKeys
from app.authentication.refusals import TokenRefusedError
from app.authentication.roles import ROLES
from tests.service.authentication.forge import AUDIENCE, ISSUER, ISSUERS, Forge
from tests.service.authentication.provider import Provider
from tests.service.running import SIGILS, Answer, Service


def read(service: Service, token: str) -> Answer:
    """What the service says to a token."""
    return service.call("GET", SIGILS, token=token)


def test_good_tokens(guarded: Service, forge: Forge) -> None:
    """Every permitted way to say the same is accepted."""
    for changes in (
        {},
        {"aud": ["other", AUDIENCE]},
        {"tenantId": None, "tenant_id": "acme"},
        {"tenant_id": "acme"},
        {"roles": None, "scope": "openid sigil:read"},
        {"nbf": time.time() + 30, "iat": time.time() + 30},
        {"sub": None},
        {"more": {"a": [1]}},
    ):
        assert read(guarded, forge.good(**changes)).status == 200, changes
    lower = guarded.call("GET", SIGILS, headers={"Authorization": f"bearer {forge.good()}"})
    assert lower.status == 200


def test_without_a_token(service: Service) -> None:
    """No token: 401 with a challenge that names no error."""
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer"},
    ):
        answer = service.call("GET", SIGILS, headers=headers)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="sigil"')
    assert service.call("GET", SIGILS).headers["www-authenticate"] == 'Bearer realm="sigil"'


@pytest.mark.parametrize("tenant", [None, "", "x" * 129, "\u00e9" * 65, "nul\0"])
def test_no_tenant(guarded: Service, forge: Forge, tenant: str | None) -> None:
    """A token without a usable tenant is refused with 403."""
    answer = read(guarded, forge.good(tenantId=tenant))
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_two_tenants(guarded: Service, forge: Forge) -> None:
    """A token that names two tenants acts for neither."""
    assert read(guarded, forge.good(tenantId="acme", tenant_id="globex")).status == 403


def test_an_issuer_speaks_for_its_tenants_only(
    new_service: Callable[..., Service], forge: Forge, providers: tuple[Provider, Provider]
) -> None:
    """Of an issuer with a list of tenants, tokens for others are refused with 403."""
    issuer = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_uri": providers[0].uri,
        "tenants": ["acme"],
        "tenant_claims": ["/org/id", "https://issuer.example/tenant"],
        "role_claims": ["/realm_access/roles", "scp"],
        "leeway": 0,
    }
    service = new_service(JWT_ISSUERS=json.dumps([issuer])).start()

    def status(**changes: Any) -> int:
        token = forge.good(**{"tenantId": None, "roles": None, **changes})
        return service.call("GET", SIGILS, token=token).status

    read = ["sigil:read"]
    assert status(org={"id": "acme"}, realm_access={"roles": read}) == 200
    assert status(**{"https://issuer.example/tenant": "acme"}, scp="openid sigil:read") == 200
    assert status(org={"id": "acme"}, scp=read) == 200
    assert status(org={"id": "globex"}, scp=read) == 403
    assert status(org="acme", scp=read) == 403
    assert status(org={"id": "acme"}, roles=read) == 403
    assert status(tenantId="acme", scp=read) == 403
    assert status(org={"id": "acme"}, scp="sigil:read\u00a0x\tsigil:read") == 403
    assert status(org={"id": "acme"}, realm_access={"roles": "sigil:read"}) == 401


def test_tenant_only_from_the_token(service: Service, tenant: str) -> None:
    """Headers and query cannot choose the tenant."""
    token = service.token(tenant)
    record = service.encode({}, token=token)
    other = service.token("other-" + tenant)
    for headers in ({"X-Tenant-Id": tenant}, {"Tenant": tenant}):
        answer = service.call("GET", f"{SIGILS}/{record['id']}", token=other, headers=headers)
        assert answer.status == 404


def test_roles(service: Service, tenant: str) -> None:
    """Each call needs its own role, and no other one will do."""
    record = service.encode({}, token=service.token(tenant))
    calls: dict[str, list[tuple[str, str, Any]]] = {
        "sigil:encode": [("POST", SIGILS, {"data": {}})],
        "sigil:verify": [("POST", f"{SIGILS}/verify", {"sigil": record["sigil"], "data": {}})],
        "sigil:read": [("GET", SIGILS, None), ("GET", f"{SIGILS}/{record['id']}", None)],
        "sigil:revoke": [("POST", f"{SIGILS}/{record['id']}/revoke", {"reason": "x"})],
    }
    for needed, wanted in calls.items():
        others = [role for role in ROLES if role != needed]
        for method, path, body in wanted:
            refused = service.call(method, path, body, token=service.token(tenant, *others, "sigil", "admin"))
            assert (refused.status, refused.json["code"]) == (403, "forbidden")
            assert f'scope="{needed}"' in refused.headers["www-authenticate"]
            assert service.call(method, path, body, token=service.token(tenant, needed)).status in {200, 201}


async def test_expiry_counts_on_every_use(forge: Forge) -> None:
    """A token that was accepted, and is remembered, is refused once it expires."""
    now = time.time()
    keys = read_key_set(json.dumps({"keys": forge.key_set}).encode()).keys
    authenticator = Authenticator([TrustedIssuer(ISSUERS[0], FixedKeys(keys))], clock=lambda: now)
    header = [f"Bearer {forge.good(exp=now + 60)}".encode()]
    for _ in range(2):
        assert (await authenticator.authenticate(header)).tenant == "acme"
        now += 59
    now -= 58
    with pytest.raises(TokenRefusedError) as refused:
        await authenticator.authenticate(header)
    assert refused.value.reason == "expired"


def test_nothing_is_done_before_authentication(service: Service) -> None:
    """Without a token a broken body or query is not looked at."""
    for method, path, body in (
        ("POST", SIGILS, b"{"),
        ("GET", f"{SIGILS}?x=1", None),
        ("GET", f"{SIGILS}/x", None),
    ):
        assert service.call(method, path, body).status == 401


def test_new_service_is_strict(service: Service, new_service: Callable[..., Service]) -> None:
    """Tokens of one service's own issuer mean nothing to another."""
    other = new_service().start()
    assert read(service, service.token()).status == 200
    assert read(other, service.token()).status == 401
