"""Who may call what: every set of roles, on every endpoint, with every kind of record."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, NamedTuple

import pytest

from app.api.openapi import document
from app.api.resource import Public, Secured
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.http.resource import Resource
from tests.heavy import HEAVY
from tests.service.api.in_process import InProcess
from tests.service.running import SIGILS, Service

#: The role that each call needs.
REQUIRED: Final = {
    ("GET", SIGILS): "sigil:read",
    ("HEAD", SIGILS): "sigil:read",
    ("POST", SIGILS): "sigil:encode",
    ("POST", f"{SIGILS}/batch"): "sigil:encode",
    ("POST", f"{SIGILS}/verify"): "sigil:verify",
    ("POST", f"{SIGILS}/verify/batch"): "sigil:verify",
    ("GET", f"{SIGILS}/{{id}}"): "sigil:read",
    ("HEAD", f"{SIGILS}/{{id}}"): "sigil:read",
    ("POST", f"{SIGILS}/{{id}}/revoke"): "sigil:revoke",
}
#: Paths that are open to everybody, each with one that fits it.
OPEN: Final = {
    "/healthz": "/healthz",
    "/readyz": "/readyz",
    "/openapi.json": "/openapi.json",
    "/docs": "/docs",
    "/docs/{name}": "/docs/page.css",
    "/docs/problems": "/docs/problems",
    "/docs/problems/{name}": "/docs/problems/not_found",
}
#: What a caller with the role gets; 404 where the path names a record that is not the tenant's own.
SUCCESS: Final = {("POST", SIGILS): 201}
LINES: Final = {"Content-Type": "application/x-ndjson"}
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Roles that resemble ours, or sound mighty, and mean nothing.
FOREIGN: Final = (
    "admin",
    "sigil",
    "sigil:*",
    "sigil:",
    "*",
    "SIGIL:READ",
    "sigil:read ",
    "sigil:read,sigil:revoke",
    "sigil:reader",
    "sigil:encode:all",
    "",
)
RELATIONS: Final = ("own", "other", "unknown", "malformed")


class Target(NamedTuple):
    """What a request is about: a record's id, and its sigil and payload."""

    relation: str
    id: str
    sigil: str
    data: object


def role_sets() -> Iterator[tuple[str, ...]]:
    """Every subset of the roles, without and with all the foreign ones; of these some in the quick suite."""
    for size in range(len(ROLES) + 1):
        for chosen in itertools.combinations(ROLES, size):
            yield chosen
            if HEAVY or size in (0, len(ROLES) - 1):
                yield (*FOREIGN, *chosen)


def expected(method: str, path: str, roles: tuple[str, ...] | None, relation: str) -> int:
    """The status that the design demands; ``roles`` is None without a token."""
    if roles is None:
        return 401
    if REQUIRED[method, path] not in roles:
        return 403
    if "{id}" in path and relation != "own":
        return 404
    return SUCCESS.get((method, path), 200)


def body_for(path: str, target: Target) -> Any:
    """A body that the endpoint understands."""
    if "/verify" in path:
        return {"sigil": target.sigil, "data": target.data}
    return {"reason": "x"} if path.endswith("/revoke") else {"data": {}}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resource]:
    """The service's own routing table."""
    inside = InProcess(tmp_path_factory.mktemp("routes"))
    asyncio.run(inside.close())
    return inside.resources()


@pytest.fixture
def targets(service: Service, tenant: str) -> list[Target]:
    """A record of each relation to the tenant."""
    mine, theirs = ({"of": name} for name in ("me", "them"))
    own = service.encode(mine, token=service.token(tenant))
    other = service.encode(theirs, token=service.token(f"other than {tenant}"))
    gone = own["id"][:-4] + ("0000" if own["id"][-4:] != "0000" else "0001")
    return [
        Target("own", own["id"], own["sigil"], mine),
        Target("other", other["id"], other["sigil"], theirs),
        Target("unknown", gone, own["sigil"], {"of": "nobody"}),
        Target("malformed", own["id"].upper(), "sgl1_", mine),
    ]


def test_every_endpoint_has_an_expectation(resources: dict[str, Resource]) -> None:
    """The tables above speak of exactly the endpoints that there are, and of their roles."""
    found = {
        (name, path): method
        for path, resource in resources.items()
        for name, method in resource.methods.items()
    }
    secured = {key: method.role for key, method in found.items() if isinstance(method, Secured)}
    assert secured == REQUIRED
    assert set(REQUIRED.values()) == set(ROLES)
    assert {path for (_, path), method in found.items() if isinstance(method, Public)} == set(OPEN)
    assert all(isinstance(method, Secured | Public) for method in found.values())


def test_what_is_not_described_is_for_people(resources: dict[str, Resource]) -> None:
    """The API's description has every path with every method, but for the pages."""
    described = {
        path: {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        for path, methods in document()["paths"].items()
    }
    served = {path: set(resource.methods) for path, resource in resources.items()}
    assert described == {path: methods for path, methods in served.items() if not path.startswith("/docs")}


def calls(resources: dict[str, Resource], targets: list[Target]) -> Iterator[tuple[str, str, Target]]:
    """Each method that the secured paths know, with each target that makes a difference to it."""
    for path, resource in resources.items():
        for name, method in resource.methods.items():
            if isinstance(method, Secured):
                about_records = "{id}" in path or "/verify" in path
                for target in targets if about_records else targets[:1]:
                    yield name, path, target


def test_the_matrix(
    service: Service, tenant: str, resources: dict[str, Resource], targets: list[Target]
) -> None:
    """Role set × endpoint × relation: the status is the one that follows from the tables, always."""
    issuer = DevelopmentIssuer(service.data_dir)
    tokens: dict[tuple[str, ...] | None, str | None] = {
        roles: issuer.token(tenant, "tester", roles, lifetime=3600) for roles in role_sets()
    }
    tokens[None] = None
    wrong, made = [], 0
    with closing(service.connection()) as connection:
        for method, path, target in calls(resources, targets):
            for roles, token in tokens.items():
                body = body_for(path, target) if method == "POST" else None
                answer = service.call(
                    method,
                    path.replace("{id}", target.id),
                    body,
                    token=token,
                    headers=LINES if path.endswith("/batch") else None,
                    connection=connection,
                )
                made += 1
                if answer.status != expected(method, path, roles, target.relation):
                    wrong.append((method, path, roles, target.relation, answer.status))
                elif "/verify" in path and answer.status == 200:
                    assert answer.json["valid"] == (target.relation == "own")
    assert not wrong
    assert len(tokens) == (33 if HEAVY else 22)
    assert made == len(tokens) * (4 + 5 * 4)
    assert not service.logged("request failed")


def test_other_methods(service: Service, tenant: str, resources: dict[str, Resource]) -> None:
    """A method that a path does not know is 405 for everybody, whatever the roles."""
    tokens = (None, service.token(tenant), service.token(tenant, "admin"))
    with closing(service.connection()) as connection:
        for (path, resource), method, token in itertools.product(resources.items(), METHODS, tokens):
            if method not in resource.methods:
                answer = service.call(method, path, token=token, connection=connection)
                assert answer.status == 405, (method, path)
                assert set(answer.headers["allow"].split(", ")) == set(resource.methods)


def test_open_pages(service: Service, tenant: str, resources: dict[str, Resource]) -> None:
    """What is open answers everybody alike, even those with a token that proves nothing."""
    with closing(service.connection()) as connection:
        for pattern, path in OPEN.items():
            for method in resources[pattern].methods:
                statuses = {
                    service.call(method, path, token=token, connection=connection).status
                    for token in (None, service.token(tenant), service.token(tenant, "admin"), "nonsense")
                }
                assert statuses == {200}, path


def test_a_new_endpoint_is_noticed(resources: dict[str, Resource]) -> None:
    """An endpoint without an expectation fails, be it open or not."""
    for like in ("/healthz", f"{SIGILS}/verify"):
        with pytest.raises(AssertionError):
            test_every_endpoint_has_an_expectation({**resources, "/new": resources[like]})
