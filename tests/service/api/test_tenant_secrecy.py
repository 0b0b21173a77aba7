"""Nothing tells a tenant that another one's record exists: not the text, not the work, not the statements."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.api.resource import Secured
from core.cursor import write_cursor
from core.store.sql_idempotency import FORGET_EXPIRED
from tests.service.api.in_process import InProcess, Statement
from tests.service.running import SIGILS, Service

EVENT: Final = {"data": {"type": "order.paid"}}
LINES: Final = {"Content-Type": "application/x-ndjson"}
REVOKE: Final = {"reason": "x"}
SAME_ID: Final = {"X-Request-Id": "always-this-one"}
BEGIN: Final = "BEGIN IMMEDIATE"
PROBE: Final = "UPDATE sigil_probe SET count = count + 1"
#: What speaks of no tenant: the beginning of a transaction, and the tidying up of expired keys.
MAINTENANCE: Final = (BEGIN, FORGET_EXPIRED)


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[InProcess]:
    """The application, where its statements can be watched."""
    application = InProcess(tmp_path)
    yield application
    await application.close()


class Request(NamedTuple):
    """A request of a tenant."""

    method: str
    path: str
    body: object = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


class Pair(NamedTuple):
    """What a caller could hope to tell apart: something of another tenant's, and something of nobody's."""

    foreign: Request
    nobodys: Request


def pairs(foreign: Any) -> dict[str, Pair]:
    """Each way to ask for another tenant's record, and the same for one that does not exist."""
    record_id, sigil = foreign["id"], foreign["sigil"]
    # Made in the same millisecond, by a hair's breadth another.
    unknown = record_id[:-1] + ("0" if record_id[-1] != "0" else "1")
    never_issued = sigil[:-2] + ("A" if sigil[-2] != "A" else "B") + sigil[-1]

    def pair(method: str, path: str, body: object = None) -> Pair:
        return Pair(
            Request(method, f"{SIGILS}/{record_id}{path}", body),
            Request(method, f"{SIGILS}/{unknown}{path}", body),
        )

    def verify(text: str) -> Request:
        return Request("POST", f"{SIGILS}/verify", {"sigil": text, **EVENT})

    def after(last_id: str) -> Request:
        return Request("GET", f"{SIGILS}?limit=2&cursor={write_cursor(last_id)}")

    return {
        "get": pair("GET", ""),
        "head": pair("HEAD", ""),
        "revoke": pair("POST", "/revoke", REVOKE),
        "verify": Pair(verify(sigil), verify(never_issued)),
        "list": Pair(after(record_id), after(unknown)),
    }


async def encoded(inside: InProcess, token: str, key: str = "") -> Any:
    """A record that was just made."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = await inside.call("POST", SIGILS, EVENT, token=token, headers=headers)
    assert answer.status == 201
    return answer.json


async def among_neighbours(inside: InProcess, me: str, them: str) -> Any:
    """A record of theirs, made between several of mine."""
    for _ in range(5):
        await encoded(inside, me)
    foreign = await encoded(inside, them)
    for _ in range(5):
        await encoded(inside, me)
    return foreign


async def work_of(inside: InProcess, token: str, request: Request) -> tuple[list[tuple[str, int]], Any]:
    """The statements of a request, each with the steps that the database took, and the answer."""
    inside.statements.clear()
    answer = await inside.call(
        request.method, request.path, request.body, token=token, headers={**SAME_ID, **request.headers}
    )
    executed = [statement.sql for statement in inside.statements.executed]
    return list(zip(executed, inside.statements.steps, strict=True)), answer


@pytest.mark.parametrize("name", ["get", "head", "revoke", "verify", "list"])
async def test_the_same_text_and_work(inside: InProcess, name: str) -> None:
    """Asking for another tenant's record gives the answer, to the byte, and costs the database the steps, to
    the instruction, that an id of nobody's does.
    """
    me, them = inside.token("me"), inside.token("them")
    pair = pairs(await among_neighbours(inside, me, them))[name]
    foreign, foreign_answer = await work_of(inside, me, pair.foreign)
    nobodys, nobodys_answer = await work_of(inside, me, pair.nobodys)
    assert foreign_answer == nobodys_answer
    assert foreign == nobodys
    assert all(steps > 0 for _, steps in foreign)
    # A sigil that does not verify is not looked for: the key of the tenant decides, not the store.
    assert bool(foreign) == (name != "verify")


async def test_others_idempotency_keys(inside: InProcess) -> None:
    """A key that another tenant or subject has used is the same work as one that nobody has."""
    me = inside.token("me", subject="me")
    for other in (inside.token("them", subject="me"), inside.token("me", subject="you")):
        await encoded(inside, other, "used")
    await encoded(inside, me, "the-first-which-tidies-up")
    used, _ = await work_of(inside, me, Request("POST", SIGILS, EVENT, {"Idempotency-Key": "used"}))
    unused, _ = await work_of(inside, me, Request("POST", SIGILS, EVENT, {"Idempotency-Key": "unused"}))
    assert used == unused
    assert [sql.split()[0] for sql, _ in used] == ["BEGIN", "INSERT", "INSERT"]


async def test_records_are_found_by_tenant_and_id(inside: InProcess) -> None:
    """Reads and revocations of one record go straight to the tenant's id, through the unique index."""
    me, them = inside.token("me"), inside.token("them")
    asked = pairs(await among_neighbours(inside, me, them))
    for name in ("get", "revoke"):
        inside.statements.clear()
        await work_of(inside, me, asked[name].foreign)
        for statement in [one for one in inside.statements.executed if one.sql != BEGIN]:
            with inside.store._database.reading.connect() as connection:
                plan = connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters
                ).all()
            assert [row[-1] for row in plan] == ["SEARCH sigils USING INDEX sigils_by_id (tenant=? AND id=?)"]


async def everything(inside: InProcess, token: str, foreign: Any) -> set[tuple[str, str]]:
    """Call everything that a caller can, in every way that leads to other statements; what was called."""
    own, keyed = await encoded(inside, token), await encoded(inside, token, "k")
    requests = [
        Request("POST", SIGILS, {**EVENT, "expires_in": 1}),
        Request("POST", SIGILS, EVENT, {"Idempotency-Key": "k"}),
        Request("POST", SIGILS, {"data": {}}, {"Idempotency-Key": "k"}),
        Request("POST", f"{SIGILS}/batch", b'{"data":{}}\n{"data":{"n":2}}', LINES),
        *(Request(method, f"{SIGILS}?limit=1") for method in ("GET", "HEAD")),
        *(Request("GET", f"{SIGILS}?status={status}") for status in ("active", "expired", "revoked")),
        Request("GET", f"{SIGILS}?cursor={write_cursor(own['id'])}&status=active"),
    ]
    for record in (own, keyed, foreign):
        place = f"{SIGILS}/{record['id']}"
        requests += [Request("GET", place), Request("HEAD", place)]
        requests += [Request("POST", f"{place}/revoke", REVOKE)] * 2
        judged = {"sigil": record["sigil"], **EVENT}
        requests.append(Request("POST", f"{SIGILS}/verify", judged))
        requests.append(Request("POST", f"{SIGILS}/verify/batch", json.dumps(judged).encode(), LINES))
    called = set()
    for request in requests:
        answer = await inside.call(*request[:3], token=token, headers=request.headers)
        assert answer.status in {200, 201, 404, 422}, request
        path = request.path.partition("?")[0]
        for record in (own, keyed, foreign):
            path = path.replace(record["id"], "{id}")
        called.add((request.method, path))
    return called


async def test_every_statement_names_the_tenant(inside: InProcess) -> None:
    """Whatever a caller does, each statement is bound to the caller's tenant and to no other."""
    foreign = await encoded(inside, inside.token("them"))
    inside.statements.clear()
    called = await everything(inside, inside.token("me"), foreign)
    executed = list(inside.statements.executed)
    secured = {
        (name, path)
        for path, resource in inside.resources().items()
        for name, method in resource.methods.items()
        if isinstance(method, Secured)
    }
    assert called == secured, "an endpoint whose statements nobody has looked at"
    inside.statements.clear()
    await inside.call("GET", "/readyz")
    assert [one.sql for one in inside.statements.executed] == [BEGIN, PROBE]
    loose = [one for one in executed if one.tenants != {"me"} and one.sql not in MAINTENANCE]
    assert not loose
    bound = [one for one in executed if one.tenants]
    assert len(bound) > 30
    assert {one.sql.split()[0] for one in bound} == {"SELECT", "INSERT", "UPDATE", "DELETE"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM sigils WHERE id = ?",
        "SELECT * FROM sigils WHERE tenant != ?",
        "INSERT INTO sigils (id) VALUES (?)",
        "UPDATE sigils SET revoked_at_ms = ?",
    ],
)
def test_loose_statements_are_noticed(sql: str) -> None:
    """The look at a statement does not take just anything for a tenant."""
    assert Statement(sql, ("me",), many=False).tenants == set()
    assert Statement("SELECT 1 FROM t WHERE a = ? AND tenant = ?", ("me", "b"), many=False).tenants == {"b"}
    assert Statement("INSERT INTO t (a, tenant) VALUES", [("me", "b")], many=True).tenants == {"b"}


def test_the_same_answer_over_the_wire(service: Service, tenant: str) -> None:
    """From a running service, too, both answers are the same but for the date."""
    me, them = service.token(tenant), service.token(f"other than {tenant}")
    service.encode(EVENT["data"], token=me)
    asked = pairs(service.encode(EVENT["data"], token=them))
    service.encode(EVENT["data"], token=me)
    for pair in asked.values():
        answers = []
        for request in pair:
            answer = service.call(request.method, request.path, request.body, token=me, headers=SAME_ID)
            answers.append(answer._replace(headers={**answer.headers, "date": ""}))
        assert answers[0] == answers[1]


def durations(call: Callable[[Request], object], pair: Pair, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both requests, taken in turn and in alternating order."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            call(pair[side])
            taken[side].append(time.perf_counter() - start)
    return taken


@pytest.mark.heavy("measures for a while")
def test_durations(service: Service, tenant: str) -> None:
    """Prints how long both take, and their ratio; for people to look at, so there is no threshold."""
    me, them = service.token(tenant), service.token(f"other than {tenant}")
    service.encode(EVENT["data"], token=me)
    asked = pairs(service.encode(EVENT["data"], token=them))
    service.encode(EVENT["data"], token=me)
    with closing(service.connection()) as connection:

        def call(request: Request) -> None:
            service.call(request.method, request.path, request.body, token=me, connection=connection)

        for name, pair in asked.items():
            durations(call, pair, 200)
            foreign, nobodys = durations(call, pair, 2000)
            print(f"\n{name}: foreign / nobody's", end="")
            for part in (5, 50, 95):
                one, other = (statistics.quantiles(side, n=100)[part - 1] for side in (foreign, nobodys))
                print(f", p{part} {one * 1e6:.1f} / {other * 1e6:.1f} us = {one / other:.3f}", end="")
    print()
