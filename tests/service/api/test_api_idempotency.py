"""The header Idempotency-Key over HTTP: a request that is sent again is not sealed again."""

from __future__ import annotations

import http.client
import json
import re
import resource
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.context import Context
from app.http.idempotency import PATTERN, idempotency_key
from app.http.problems import ProblemError
from core.idempotency import LONGEST_KEY
from tests.service.running import SIGILS, Answer, Service

EVENT = {"data": {"type": "order.paid", "amount": 1299.5}, "expires_in": 3600}


visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=LONGEST_KEY)


def read(*values: str) -> str | None:
    """The key of a request with these headers."""
    headers = [(b"idempotency-key", value.encode("latin-1")) for value in values]

    async def receive() -> Any:
        raise AssertionError("the body is not needed")

    return idempotency_key(Context({"type": "http", "headers": headers}, receive))


@given(visible)
def test_every_key_can_be_written(key: str) -> None:
    """Whatever visible characters a key has, its quoted form stands for it; bare it is itself, or refused."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read(f'"{escaped}"') == key
    if set(key).isdisjoint('",;\\'):
        assert read(key) == key


@given(st.text(st.characters(max_codepoint=0xFF)) | st.from_regex('["a\\\\ ,]{1,9}', fullmatch=True))
def test_what_is_described_is_accepted(value: str) -> None:
    """The description's pattern and the service agree about every text, but for blanks around it."""
    described = re.fullmatch(PATTERN.removeprefix("^").removesuffix("$"), value.strip(" \t"))
    if described:
        assert read(value)
    else:
        with pytest.raises(ProblemError, match="one Idempotency-Key"):
            read(value)


@pytest.fixture
def token(service: Service, tenant: str) -> str:
    """A token with every role."""
    return service.token(tenant)


def encode(service: Service, token: str, key: str, body: object = EVENT) -> Answer:
    """Ask to seal a payload under a key."""
    return service.call("POST", SIGILS, body, token=token, headers={"Idempotency-Key": key})


def fresh(service: Service, token: str, key: str, body: object = EVENT) -> Any:
    """The record of a request that is the key's first."""
    answer = encode(service, token, key, body)
    assert (answer.status, answer.headers.get("idempotency-replayed")) == (201, None), answer.body
    return answer.json


def replayed(service: Service, token: str, key: str, body: object = EVENT) -> Any:
    """The record of a request that was sent before."""
    answer = encode(service, token, key, body)
    assert (answer.status, answer.headers.get("idempotency-replayed")) == (201, "true"), answer.body
    assert answer.headers["location"] == f"{SIGILS}/{answer.json['id']}"
    return answer.json


def refused(service: Service, token: str, key: str, body: object = EVENT) -> tuple[int, str]:
    """Status and code of a refusal."""
    answer = encode(service, token, key, body)
    return answer.status, answer.json["code"]


def count(service: Service, token: str) -> int:
    """How many records the tenant has."""
    return len(service.call("GET", f"{SIGILS}?limit=200", token=token).json["sigils"])


def test_a_repeated_request(service: Service, token: str) -> None:
    """The same key and request give the same record, and there is one of it."""
    record = fresh(service, token, "k")
    assert replayed(service, token, "k") == record
    assert replayed(service, token, "k") == record
    assert count(service, token) == 1
    assert service.verify(record["sigil"], EVENT["data"], token=token)["valid"]


def test_without_a_key(service: Service, token: str) -> None:
    """Requests without the header are sealed each."""
    assert service.encode({}, token=token)["id"] != service.encode({}, token=token)["id"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"data":{"a":1,"b":"\u00e9"}}', ' {"expires_in" : null, "data":{"b":"\\u00e9", "a":1.0}}'),
        ('{"data":{},"expires_in":60}', '{"expires_in":6e1,"data":{}}'),
    ],
)
def test_spelling_does_not_matter(service: Service, token: str, first: str, second: str) -> None:
    """The same request in other words is the same request."""
    assert fresh(service, token, "k", first) == replayed(service, token, "k", second)


@pytest.mark.parametrize(
    "other",
    [
        {**EVENT, "data": {"type": "order.paid", "amount": 1299.6}},
        {**EVENT, "expires_in": 3601},
        {"data": EVENT["data"]},
    ],
)
def test_another_request(service: Service, token: str, other: object) -> None:
    """A key that was used for something else is refused, and still stands for the first request."""
    record = fresh(service, token, "k")
    assert refused(service, token, "k", other) == (422, "idempotency_key_reused")
    assert replayed(service, token, "k") == record
    assert count(service, token) == 1


def test_quoted_and_bare(service: Service, token: str) -> None:
    """A key is the same in quotes, as the draft has it, and bare, as most send it."""
    spellings = [
        ("abc", '"abc"'),
        ('"=a:/+?"', "=a:/+?"),
        (r'"\"a\\"', r'"\"a\\"'),
        ("x" * 255, f'"{"x" * 255}"'),
    ]
    ids = set()
    for bare, quoted in spellings:
        record = fresh(service, token, bare)
        assert replayed(service, token, f" {quoted}\t") == record
        ids.add(record["id"])
    assert fresh(service, token, "ABC")["id"] not in ids


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        "x" * 256,
        f'"{"x" * 256}"',
        "two words",
        '"two words"',
        "a,b",
        '"a", "b"',
        "a;b",
        '"a";b=1',
        '"a',
        'a"',
        'a"b',
        "a\\b",
        '"a\\b"',
        '"a\\"',
        "k\u00e9y",
        '"k\u00e9y"',
        "'a b'",
    ],
)
def test_keys_that_are_refused(service: Service, token: str, key: str) -> None:
    """What is no key is refused before anything is sealed."""
    assert refused(service, token, key) == (400, "invalid_idempotency_key")
    assert count(service, token) == 0


def test_several_headers(service: Service, token: str) -> None:
    """Two keys are refused, even equal ones."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    body = json.dumps(EVENT).encode()
    connection.putrequest("POST", SIGILS)
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    for _ in range(2):
        connection.putheader("Idempotency-Key", "k")
    connection.endheaders(body)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (400, "invalid_idempotency_key")
    connection.close()


def test_only_encode_has_keys(service: Service, token: str) -> None:
    """Elsewhere the header means nothing; and nobody hears about it before the token is checked."""
    headers = {"Idempotency-Key": '"'}
    assert service.call("GET", SIGILS, token=token, headers=headers).status == 200
    assert service.call("POST", SIGILS, EVENT, headers=headers).status == 401


def test_others_keys(service: Service, tenant: str) -> None:
    """Another user or tenant with the same key neither gets the record nor learns that there is one."""
    me = service.token(tenant, subject="me")
    record = fresh(service, me, "k")
    for other in (service.token(tenant, subject="you"), service.token(f"other {tenant}", subject="me")):
        theirs = fresh(service, other, "k", {"data": {"other": True}})
        assert theirs["id"] != record["id"]
    assert replayed(service, me, "k") == record


def test_the_record_as_it_stands(service: Service, token: str) -> None:
    """A record that was revoked, or has expired, since comes back as revoked or expired."""
    record = fresh(service, token, "k")
    path = f"{SIGILS}/{record['id']}/revoke"
    revoked = service.call("POST", path, {"reason": "r"}, token=token).json
    assert replayed(service, token, "k") == revoked
    brief = {"data": {}, "expires_in": 0.001}
    expired = fresh(service, token, "brief", brief)
    while service.call("GET", f"{SIGILS}/{expired['id']}", token=token).json["status"] == "active":
        pass
    assert replayed(service, token, "brief", brief) == {**expired, "status": "expired"}


@pytest.mark.parametrize("bad", ["{", '{"data":1}', '{"data":{"a":1,"a":1}}', '{"data":{},"expires_in":-1}'])
def test_refused_requests_use_up_nothing(service: Service, token: str, bad: str) -> None:
    """A request that was refused leaves its key free."""
    assert encode(service, token, "k", bad).status in {400, 422}
    fresh(service, token, "k")


def test_many_at_once(service: Service, token: str) -> None:
    """Of fifty equal requests at the same time one is sealed, and all are answered with its record."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: encode(service, token, "k"), range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert count(service, token) == 1


def test_two_services(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """Services that share a store share its keys: which of them is asked makes no difference."""
    shared = {"SPIRAL_EVENT_SECRET": "s" * 32, "SIGIL_STORE_URL": f"sqlite:///{tmp_path / 'shared.db'}"}
    services = [new_service(**shared).start() for _ in range(2)]
    tokens = [service.token() for service in services]
    with ThreadPoolExecutor(20) as pool:
        numbers = range(60)
        answers = list(pool.map(lambda n: encode(services[n % 2], tokens[n % 2], f"k{n // 20}"), numbers))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 3
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 3
    assert count(services[0], tokens[0]) == 3


def test_after_a_rotation(new_service: Callable[..., Service]) -> None:
    """A repeated request gets the sigil of the earlier key while that key verifies; then it is withheld."""
    service = new_service(SPIRAL_EVENT_SECRET="s" * 32).start()
    token = service.token()
    record = fresh(service, token, "k")
    service.stop()
    service.variables["SPIRAL_EVENT_SECRET"] = "t" * 32
    service.variables["SPIRAL_EVENT_SECRET_PREVIOUS"] = "s" * 32
    service.start()
    assert replayed(service, token, "k") == record
    assert fresh(service, token, "l")["key_id"] != record["key_id"]
    service.stop()
    del service.variables["SPIRAL_EVENT_SECRET_PREVIOUS"]
    service.start()
    assert refused(service, token, "k") == (500, "record_unverifiable")


def change(service: Service, statement: str) -> None:
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(service.data_dir / "sigils.db")) as connection, connection:
        connection.execute(statement)


def test_in_the_database(new_service: Callable[..., Service]) -> None:
    """Keys outlive a restart, live as long as they shall, and give out no record that does not verify."""
    service = new_service(SIGIL_IDEMPOTENCY_SECONDS="1000").start()
    token = service.token()
    record = fresh(service, token, "k")
    service.stop()
    service.start()
    assert replayed(service, token, "k") == record
    change(service, "UPDATE sigil_idempotency_keys SET claimed_at_ms = claimed_at_ms - 900000")
    assert replayed(service, token, "k") == record
    change(service, "UPDATE sigil_idempotency_keys SET claimed_at_ms = claimed_at_ms - 100000")
    later = fresh(service, token, "k")
    assert later["id"] != record["id"]
    fresh(service, token, "l", {"data": {"another": "payload"}})
    change(
        service,
        "UPDATE sigil_idempotency_keys SET record_id ="
        ' (SELECT id FROM sigils WHERE payload = CAST(\'{"another":"payload"}\' AS BLOB))',
    )
    assert refused(service, token, "k") == (500, "record_corrupt")


def test_a_full_disk(new_service: Callable[..., Service]) -> None:
    """A request that failed for want of room leaves its key free."""
    service = new_service().start()
    token = service.token()
    record = fresh(service, token, "first")
    unlimited = resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    assert refused(service, token, "second") == (503, "store_unavailable")
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, unlimited)
    fresh(service, token, "second", {"data": {"now": "another"}})
    assert replayed(service, token, "first") == record
