"""Bearer tokens: what is let in, and what never is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from app.authentication.bearer import Authenticator, TokenRefusedError
from app.authentication.development import AUDIENCE, ISSUER, DevelopmentIssuer
from app.authentication.key_sources import FixedKeys
from app.authentication.roles import ROLES
from tests.service.running import SIGILS, Answer, Service


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that the service accepts, with changes; None takes a claim away."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "s",
        "tenantId": "acme",
        "roles": list(ROLES),
        "exp": time.time() + 60,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def segment(value: object) -> str:
    """A part of a compact token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Makes tokens with the development issuer's key, and without."""

    def __init__(self, service: Service) -> None:
        issuer = DevelopmentIssuer(service.data_dir)
        self.key = issuer._key
        self.key_id = issuer._key_id

    def sign(self, header: dict[str, Any], payload: object, key: ECKey | None = None) -> str:
        """A token with an ES256 signature whatever the header says."""
        text = f"{segment(header)}.{segment(payload)}"
        private = (key or self.key).private_key
        assert private is not None
        r, s = utils.decode_dss_signature(private.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{segment(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def good(self, **changes: Any) -> str:
        """A properly signed token."""
        return self.sign({"alg": "ES256", "kid": self.key_id, "typ": "JWT"}, claims(**changes))

    def hs256(self, secret: bytes) -> str:
        """An HMAC token."""
        text = f"{segment({'alg': 'HS256', 'kid': self.key_id})}.{segment(claims())}"
        return f"{text}.{segment(hmac.digest(secret, text.encode(), hashlib.sha256))}"


@pytest.fixture
def forge(service: Service) -> Forge:
    """Tokens of all kinds."""
    return Forge(service)


def read(service: Service, token: str) -> Answer:
    """What the service says to a token."""
    return service.call("GET", SIGILS, token=token)


def test_good_tokens(service: Service, forge: Forge) -> None:
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
        assert read(service, forge.good(**changes)).status == 200, changes
    lower = service.call("GET", SIGILS, headers={"Authorization": f"bearer {forge.good()}"})
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


def hostile_tokens(forge: Forge) -> dict[str, str]:
    """Tokens that prove nothing, by what is wrong with them."""
    good = forge.good()
    header, payload, signature = good.split(".")
    kid = {"kid": forge.key_id}
    es256 = {"alg": "ES256", **kid}
    other = ECKey.generate_key("P-256")
    public = forge.key.as_pem(private=False)
    public_jwk = {"jwk": other.as_dict(private=False)}
    duplicate = json.dumps(claims())[:-1] + ',"tenantId":"globex"}'
    twice = b'{"alg":"none","alg":"ES256"}'
    return {
        "empty": "",
        "dots": "..",
        "text": "a.b.c",
        "no signature": f"{header}.{payload}.",
        "two parts": f"{header}.{payload}",
        "five parts": f"{good}.a.b",
        "none": f"{segment({'alg': 'none'})}.{payload}.",
        "None": f"{segment({'alg': 'None', **kid})}.{payload}.{signature}",
        "HS256 with the public key": forge.hs256(public),
        "HS256 with the public JWK": forge.hs256(json.dumps(forge.key.as_dict(private=False)).encode()),
        "HS256 with nothing": forge.hs256(b""),
        "another key": forge.sign(es256, claims(), other),
        "an unknown kid": forge.sign({"alg": "ES256", "kid": "x"}, claims()),
        "a number as kid": forge.sign({"alg": "ES256", "kid": 1}, claims()),
        "a path as kid": forge.sign({"alg": "ES256", "kid": "../../dev/null"}, claims()),
        "its own key": forge.sign({**es256, **public_jwk}, claims(), other),
        "its own key's address": forge.sign({**es256, "jku": "http://127.0.0.1/"}, claims()),
        "its own certificate": forge.sign({**es256, "x5u": "http://127.0.0.1/"}, claims()),
        "its own chain": forge.sign({**es256, "x5c": ["MII="]}, claims()),
        "crit": forge.sign({**es256, "crit": ["exp"]}, claims()),
        "b64": forge.sign({**es256, "b64": False}, claims()),
        "another algorithm of the key": forge.sign({"alg": "ES384", **kid}, claims()),
        "an RSA algorithm": forge.sign({"alg": "RS256", **kid}, claims()),
        "no algorithm": forge.sign(kid, claims()),
        "a list as algorithm": forge.sign({"alg": ["ES256"], **kid}, claims()),
        "another type": forge.sign({**es256, "typ": "secevent+jwt"}, claims()),
        "duplicate header member": f"{segment(twice)}.{payload}.{signature}",
        "changed claims": f"{header}.{segment(claims(tenantId='globex'))}.{signature}",
        "duplicate claims": forge.sign(es256, duplicate.encode()),
        "claims that are a list": forge.sign(es256, []),
        "claims that are no JSON": forge.sign(es256, b"\xff"),
        "another issuer": forge.good(iss="somebody"),
        "a list of issuers": forge.good(iss=[ISSUER]),
        "no issuer": forge.good(iss=None),
        "another audience": forge.good(aud="other"),
        "part of the audience": forge.good(aud="sig"),
        "audiences of others": forge.good(aud=["other", "sigi"]),
        "no audience": forge.good(aud=None),
        "expired": forge.good(exp=time.time() - 1),
        "no expiry": forge.good(exp=None),
        "text as expiry": forge.good(exp=str(time.time() + 60)),
        "endless": forge.good(exp=1e400),
        "not valid yet": forge.good(nbf=time.time() + 120),
        "issued later": forge.good(iat=time.time() + 120),
        "padded": f"{header}=.{payload}.{signature}",
        "another spelling": good[:-1] + chr(ord(good[-1]) + 1),
        "white space": f"{header}. {payload}.{signature}",
        "huge": forge.good(filler="x" * 9000),
        "far from its scheme": " " * 9000 + good,
        "a long subject": forge.good(sub="x" * 256),
        "zero signature": f"{header}.{payload}.{segment(bytes(64))}",
        "short signature": f"{header}.{payload}.{segment(bytes(63))}",
        "roles as text": forge.good(roles="sigil:read"),
    }


def test_hostile_tokens(service: Service, forge: Forge) -> None:
    """Each is refused with the same 401, whatever is wrong with it, and the service stays calm."""
    answers = {}
    for kind, token in hostile_tokens(forge).items():
        answer = read(service, token)
        assert answer.status == 401, kind
        assert "www-authenticate" in answer.headers
        answers[kind] = {**answer.json, "request_id": ""}
    details = {answer["detail"] for kind, answer in answers.items()}
    assert details == {"the bearer token is not valid"}
    assert not service.logged("request failed")


def test_several_headers(service: Service, forge: Forge) -> None:
    """Two Authorization headers are refused, even equal ones."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("GET", SIGILS)
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {forge.good()}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.parametrize("tenant", [None, "", "x" * 129, "\u00e9" * 65, "nul\0"])
def test_no_tenant(service: Service, forge: Forge, tenant: str | None) -> None:
    """A token without a usable tenant is refused with 403."""
    answer = read(service, forge.good(tenantId=tenant))
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_two_tenants(service: Service, forge: Forge) -> None:
    """A token that names two tenants acts for neither."""
    assert read(service, forge.good(tenantId="acme", tenant_id="globex")).status == 403


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


async def test_expiry_counts_on_every_use(service: Service, forge: Forge) -> None:
    """A token that was accepted, and is remembered, is refused once it expires."""
    now = time.time()
    issuer = DevelopmentIssuer(service.data_dir)
    authenticator = Authenticator(
        FixedKeys([issuer.public_key]), issuer=ISSUER, audience=AUDIENCE, clock=lambda: now
    )
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
