"""A real service and a real provider, which comes late, changes its keys, fails and comes back."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import trustme
from joserfc.jwk import Key

from app.server.certificates import end_of_authorities
from tests.service.authentication.forge import AUDIENCE, ISSUER, Forge, public
from tests.service.authentication.provider import running_provider
from tests.service.metrics.test_service_metrics import of, samples
from tests.service.running import SIGILS, Service


def test_the_life_of_a_provider(new_service: Callable[..., Service], forge: Forge) -> None:
    """Keys that come late, are added, withdrawn, or cannot be fetched, all without a restart."""
    with running_provider() as provider:
        provider.status = 500
        service = new_service(
            JWT_ISSUER=ISSUER,
            JWT_AUDIENCE=AUDIENCE,
            JWT_JWKS_URI=provider.uri,
            JWT_ALGORITHMS="ES256, PS256",
            JWT_TENANT_CLAIMS="/organisation/id",
            JWT_ROLE_CLAIMS="scp",
            JWT_LEEWAY="0",
            JWT_JWKS_REFRESH="1",
            JWT_JWKS_COOLDOWN="1",
        ).start()

        def token(key: Key, key_id: str, algorithm: str = "ES256", **changes: object) -> str:
            own = {"tenantId": None, "roles": None, "organisation": {"id": "acme"}, "scp": "sigil:read"}
            return forge.by(key, key_id, algorithm, **{**own, **changes})

        def status(token: str) -> int:
            return service.call("GET", SIGILS, token=token).status

        def becomes(wanted: int, token: str) -> None:
            deadline = time.monotonic() + 60
            while status(token) != wanted:
                assert time.monotonic() < deadline, wanted
                time.sleep(0.05)

        first, second = token(forge.ec, "first"), token(forge.stranger, "second")
        third = token(forge.rsa, "third", "PS256")
        answer = service.call("GET", SIGILS, token=first)
        assert (answer.status, answer.json["code"]) == (503, "keys_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert service.call("GET", "/readyz").status == 503
        assert service.call("GET", "/healthz").status == 200

        provider.serve(public(forge.ec, kid="first"))
        becomes(200, first)
        assert service.call("GET", "/readyz").status == 200
        assert status(token(forge.stranger, "first")) == 401
        assert status(service.token()) == 401
        assert status(token(forge.rsa, "third", "RS256")) == 401
        assert status(token(forge.ec, "first", nbf=int(time.time()) + 30)) == 401
        assert status(token(forge.ec, "first", tenantId="acme", organisation=None)) == 403
        assert service.call("POST", SIGILS, {"data": {}}, token=first).status == 403

        provider.serve(public(forge.stranger, kid="second"))
        becomes(200, second)
        assert status(first) == 401

        provider.status = 500
        fetches = provider.fetches
        deadline = time.monotonic() + 60
        while provider.fetches == fetches:
            assert time.monotonic() < deadline
            assert status(second) == 200
            assert status(third) == 401
        assert status(second) == 200
        assert service.call("GET", "/readyz").status == 200

        provider.serve(public(forge.stranger, kid="second"), public(forge.rsa, kid="third", alg="PS256"))
        becomes(200, third)
        assert status(second) == 200
        assert service.logged("key set not fetched")
        assert {"second"} <= {key for line in service.logged("key set changed") for key in line["added"]}
        assert not service.logged("Task exception was never retrieved")
        assert service.stop() == 0


def test_a_provider_with_an_authority_of_its_own(
    new_service: Callable[..., Service], forge: Forge, tmp_path: Path
) -> None:
    """In production keys come over TLS, from a server that the named authority vouches for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running_provider(context) as provider:
        provider.serve(public(forge.ec, kid="ec"))
        settings = {
            "SIGIL_ENVIRONMENT": "production",
            "SPIRAL_EVENT_SECRET": "p" * 32,
            "SIGIL_AUDIT_SECRET": "a" * 32,
            "JWT_ISSUER": ISSUER,
            "JWT_AUDIENCE": AUDIENCE,
            "JWT_JWKS_URI": provider.uri,
        }
        trusting = new_service(**settings, JWT_CA_CERT=str(tmp_path / "ca.pem")).start()
        assert trusting.call("GET", SIGILS, token=forge.good()).status == 200
        assert provider.fetches == 1
        end = end_of_authorities(tmp_path / "ca.pem")
        name = "sigil_certificate_not_after_timestamp_seconds"
        assert of(samples(trusting), name, certificate="jwt_ca") == end
        ordinary = new_service(**settings).start()
        assert ordinary.call("GET", SIGILS, token=forge.good()).status == 503
        assert "CERTIFICATE_VERIFY_FAILED" in ordinary.logged("key set not fetched")[0]["cause"]
        assert provider.fetches == 1
