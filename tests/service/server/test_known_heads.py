"""Requests whose heads were read before, and which are answered without a task."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from app.server.known_heads import KnownHeads
from tests.service.running import SIGILS, Service
from tests.service.server.wire import connected, read_answer, request, statuses


class Read(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


def parted(answer: bytes) -> Read:
    """An answer in its parts."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Read(int(first.split()[1]), headers, json.loads(body))


def answers(port: int, *requests: bytes) -> list[Read]:
    """The answers to requests of one connection, each sent in one piece when the one before is answered."""
    found = []
    with connected(port) as connection:
        for one in requests:
            connection.sendall(one)
            found.append(parted(read_answer(connection)))
    return found


def shape(read: Read) -> object:
    """What is the same of like answers."""
    body = {
        name: re.sub(r"[0-9a-f-]{36}|\d{4}-.*Z|^sgl1_.*|[0-9a-f]{32}", "…", str(value))
        for name, value in read.body.items()
    }
    return read.status, sorted(read.headers), list(body), body


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"a":1}}',
        b'{\n "expires_in": 60,\n "data": {"b": [1.50], "a": "\\u00e9"}\n}\n',
        b'{"data":{"a":1},"expires_in":60.001}',
        b'{"data":[1]}',
        b'{"data":{"a":1,"a":2}}',
        b'{"data":{},"more":1}',
        b'{"data":{}}\n{"data":{}}',
        b"nonsense",
        b"",
    ],
)
def test_same_answer_whichever_way(service: Service, body: bytes) -> None:
    """A head that is seen for the second time brings what it brought for the first."""
    token = service.token("acme", subject='te"s\\tér')
    post = request(SIGILS, method="POST", body=body, token=token)
    first, second, third = answers(service.port, post, post, post)
    assert shape(first) == shape(second) == shape(third)
    assert len({one.headers["x-request-id"] for one in (first, second, third)}) == 3
    if first.status == 201:
        assert second.body["canonical_sha256"] == first.body["canonical_sha256"]
        assert second.body["created_by"] == 'te"s\\tér'
        assert second.headers["location"] == f"{SIGILS}/{second.body['id']}"
        kept = service.call("GET", second.headers["location"], token=token)
        assert kept.status == 200
        assert kept.json.items() >= {**second.body, "status": kept.json["status"]}.items()


def test_no_head_opens_a_door(service: Service) -> None:
    """Whoever lacks role or token is refused for the second time as for the first, and keys are heeded."""
    body = b'{"data":{}}'
    reader = request(SIGILS, method="POST", body=body, token=service.token("acme", "sigil:read"))
    nobody = request(SIGILS, method="POST", body=body)
    assert [one.status for one in answers(service.port, reader, reader, nobody, nobody)] == [
        403,
        403,
        401,
        401,
    ]
    once = request(SIGILS, "Idempotency-Key: k", method="POST", body=body, token=service.token("acme"))
    first, second = answers(service.port, once, once)
    assert first.body["id"] == second.body["id"]
    assert second.headers["idempotency-replayed"] == "true"


def test_pieces_and_pipelines(service: Service) -> None:
    """A known head is read as ever where its body comes later, or another request with it."""
    token = service.token("acme")
    post = request(SIGILS, "X-Request-Id: mine", method="POST", body=b'{"data":{}}', token=token)
    get = request("/healthz")
    with connected(service.port) as connection:
        for pieces in (
            [post],
            [post],
            [post[:-4], post[-4:]],
            [post[:50], post[50:]],
            [post[:-1], post[-1:]],
        ):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)  # so that it arrives by itself
            assert parted(read_answer(connection)).headers["x-request-id"] == "mine"
        connection.sendall(post + get + post + post)
        received = b""
        while received.count(b'"id":') < 3:
            received += connection.recv(1 << 16)
        assert statuses(received) == [201, 200, 201, 201]


def test_heads_are_bounded() -> None:
    """Heads are kept up to a number and a sum of bytes; the oldest goes first, and long ones never come."""
    scope = {"method": "GET", "path": "/", "headers": []}
    heads = KnownHeads(most=3, most_bytes=100)
    for name in (b"a" * 30, b"b" * 30, b"c" * 30, b"d" * 30, b"e" * 5000):
        heads.remember(name, scope, 0)
    assert len(heads) == 3
    assert heads.get(b"a" * 30) is None
    assert heads.get(b"d" * 30) is not None
    heads.remember(b"f" * 90, scope, 0)
    assert len(heads) == 1
