"""Two tenants who use the service at the same time: nothing of one is ever in an answer to the other."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.heavy import HEAVY
from tests.service.running import SIGILS, Answer, Service

_turns = itertools.count()

CALLS: Final = ("encode", "encode_once", "walk", "follow", "get", "head", "verify", "revoke")
steps = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(CALLS), st.integers(0, 30)), min_size=5, max_size=40
)


class Tenant:
    """One of the two: what it made, and what may be in its answers and in nobody else's."""

    def __init__(self, service: Service, name: str) -> None:
        self.name = name
        self.token = service.token(name, subject=f"subject-of-{name}")
        self.made: list[tuple[dict[str, Any], Any]] = []
        self.keys: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.cursors: list[str] = []
        self.secrets = {name}

    def keep(self, record: dict[str, Any], data: Any) -> None:
        """Remember a record of one's own."""
        if record["id"] not in {kept["id"] for kept, _ in self.made}:
            self.made.append((record, data))
            self.secrets |= {record["id"], record["sigil"], record["canonical_sha256"]}


class World:
    """Two tenants, and the calls that they make. Every answer is looked through."""

    def __init__(self, service: Service, connection: HTTPConnection) -> None:
        turn = next(_turns)
        self.service = service
        self.connection = connection
        self.tenants = [Tenant(service, f"{name}-of-{turn}") for name in ("fox", "hedgehog")]

    def call(
        self, who: int, method: str, path: str, body: object = None, known: str = "", **headers: str
    ) -> Answer:
        """A call of one tenant; its answer holds nothing of the other's but what the call itself said."""
        answer = self.service.call(
            method, path, body, token=self.tenants[who].token, headers=headers, connection=self.connection
        )
        text = answer.body.decode() + json.dumps(dict(answer.headers))
        found = {secret for secret in self.tenants[1 - who].secrets if secret in text}
        assert not found - {known}, (method, path)
        return answer

    def step(self, who: int, call: str, number: int) -> None:
        """One call; ``number`` chooses among the records of both."""
        getattr(self, call)(who, number)

    def record(self, number: int) -> tuple[int, dict[str, Any], Any] | None:
        """A record of either, and whose it is."""
        everything = [(owner, *kept) for owner in (0, 1) for kept in self.tenants[owner].made]
        return everything[number % len(everything)] if everything else None

    def encode(self, who: int, number: int) -> None:
        """A record is the caller's."""
        tenant = self.tenants[who]
        data = {"of": tenant.name, "number": number}
        answer = self.call(who, "POST", SIGILS, {"data": data})
        assert answer.status == 201
        tenant.keep(answer.json, data)

    def encode_once(self, who: int, number: int) -> None:
        """Both use the same keys for the same payload, and each gets records of its own."""
        tenant = self.tenants[who]
        key = f"key-{number % 3}"
        answer = self.call(who, "POST", SIGILS, {"data": {"shared": key}}, **{"Idempotency-Key": key})
        assert answer.status == 201
        assert ("idempotency-replayed" in answer.headers) == (key in tenant.keys)
        assert answer.json["id"] == tenant.keys.setdefault(key, answer.json["id"])
        # Both seal this payload, so its digest is no secret of either.
        digest = answer.json["canonical_sha256"]
        tenant.keep(answer.json, {"shared": key})
        tenant.secrets.discard(digest)

    def walk(self, who: int, number: int) -> None:
        """A walk shows exactly the caller's records."""
        tenant = self.tenants[who]
        seen: list[str] = []
        query = f"?limit={number % 4 + 1}"
        while True:
            page = self.call(who, "GET", SIGILS + query).json
            seen += [record["id"] for record in page["sigils"]]
            if page["next_cursor"] is None:
                break
            tenant.cursors.append(page["next_cursor"])
            query = f"?limit={number % 4 + 1}&cursor={page['next_cursor']}"
        assert seen == sorted((record["id"] for record, _ in tenant.made), reverse=True)

    def follow(self, who: int, number: int) -> None:
        """With the other's cursor a listing goes on in the caller's own records."""
        theirs = self.tenants[1 - who].cursors
        if theirs:
            page = self.call(who, "GET", f"{SIGILS}?limit=200&cursor={theirs[number % len(theirs)]}").json
            assert {record["id"] for record in page["sigils"]} <= {
                record["id"] for record, _ in self.tenants[who].made
            }

    def get(self, who: int, number: int) -> None:
        """The other's record is not found."""
        if chosen := self.record(number):
            owner, record, data = chosen
            answer = self.call(who, "GET", f"{SIGILS}/{record['id']}")
            assert answer.status == (200 if owner == who else 404)
            assert owner != who or answer.json["data"] == data

    def head(self, who: int, number: int) -> None:
        """Nor does it show in the headers."""
        if chosen := self.record(number):
            owner, record, _ = chosen
            answer = self.call(who, "HEAD", f"{SIGILS}/{record['id']}")
            assert answer.status == (200 if owner == who else 404)

    def verify(self, who: int, number: int) -> None:
        """The other's sigil does not verify, even with its payload."""
        if chosen := self.record(number):
            owner, record, data = chosen
            body = {"sigil": record["sigil"], "data": data}
            verdict = self.call(who, "POST", f"{SIGILS}/verify", body, known=record["canonical_sha256"]).json
            expected = "revoked" if record["id"] in self.tenants[who].revoked else None
            assert verdict["reason"] == (expected if owner == who else "tag_mismatch")
            assert owner == who or verdict["revocation"] == "unchecked"

    def revoke(self, who: int, number: int) -> None:
        """The other's record cannot be revoked."""
        if chosen := self.record(number):
            owner, record, _ = chosen
            reason = f"because {self.tenants[who].name} says so"
            answer = self.call(who, "POST", f"{SIGILS}/{record['id']}/revoke", {"reason": reason})
            assert answer.status == (200 if owner == who else 404)
            if owner == who:
                self.tenants[who].revoked.add(record["id"])

    def check(self) -> None:
        """In the end everything is as its owner left it."""
        for who, tenant in enumerate(self.tenants):
            self.walk(who, 3)
            shown = self.call(who, "GET", f"{SIGILS}?limit=200&status=revoked").json["sigils"]
            assert {record["id"] for record in shown} == tenant.revoked
            assert {record["revoked_by"] for record in shown} <= {f"subject-of-{tenant.name}"}


@pytest.fixture(scope="module")
def connection(service: Service) -> Iterator[HTTPConnection]:
    """One connection for all calls."""
    with closing(service.connection()) as opened:
        yield opened


@settings(
    max_examples=300 if HEAVY else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps=steps)
def test_two_tenants(service: Service, connection: HTTPConnection, steps: list[tuple[int, str, int]]) -> None:
    """However their calls interleave, each sees its own records, all of them, and no trace of the other's."""
    world = World(service, connection)
    for step in steps:
        world.step(*step)
    world.check()
