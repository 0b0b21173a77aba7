"""The allow-list: which clients may call, and which tenants they may touch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.server.peers import names_of
from core.dnastore.allow_list import AllowList, read_allow_list
from core.dnastore.wire import Put, WireRecord
from tests.service.dnastore.in_process import Inside
from tests.service.dnastore.running import CLIENT, EVERYTHING, DnaStore
from tests.service.store.store_records import record, record_id

_CALLS = [
    ("GET", f"/v1/records/{record_id(1)}?tenant=globex", None),
    ("GET", "/v1/records?tenant=globex", None),
    ("GET", "/v1/entries?tenant=globex", None),
    ("POST", "/v1/lookups", {"tenant": "globex", "ids": []}),
    ("POST", "/v1/purges", {"tenant": "globex", "before": record_id(1), "limit": 1}),
]
_OTHER_CALLS: list[tuple[str, str, object]] = [
    ("POST", "/v1/writes", {"writes": []}),
    ("GET", "/v1/counts", None),
    ("POST", "/v1/probe", None),
    ("GET", "/v1/nowhere", None),
    ("POST", "/v1/counts", None),
]
_PAGES = ["/healthz", "/readyz", "/openapi.json"]


def test_a_list_holds_at_once(new_dnastore: Callable[..., DnaStore]) -> None:
    """Who is taken off the list is refused, on a connection that was open before, too; the log says who."""
    dnastore = new_dnastore(DNASTORE_SERVER_RELOAD_SECONDS="0.05").start()
    with contextlib.closing(dnastore.connection()) as connection:
        for method, path, body in (*_CALLS[1:], *_OTHER_CALLS[:3]):
            assert dnastore.call(method, path, body, connection=connection).status < 300, path
        dnastore.allow({CLIENT: ["acme"]})
        for method, path, body in _CALLS:
            answer = dnastore.call(method, path, body, connection=connection)
            assert (answer.status, answer.json["code"]) == (403, "tenant_forbidden"), path
        dnastore.allow({CLIENT: []})
        for method, path, body in (*_CALLS, *_OTHER_CALLS):
            answer = dnastore.call(method, path, body, connection=connection)
            assert (answer.status, answer.json["code"]) == (403, "client_forbidden"), path
        for path in _PAGES:
            assert dnastore.call("GET", path, connection=connection).status == 200
    (line,) = dnastore.logged("client refused")
    assert (line["names"], line["peer"]) == (CLIENT, "127.0.0.1")
    assert line["setting"] == "DNASTORE_SERVER_ALLOW"


def test_a_bad_list_leaves_the_last_good_one(new_dnastore: Callable[..., DnaStore]) -> None:
    """A list that cannot be used is refused, with the reason; SIGHUP reloads as well."""
    dnastore = new_dnastore(DNASTORE_SERVER_RELOAD_SECONDS="0").start()
    dnastore.allow_path.write_text('{"sigil-service": "*"}')
    os.kill(dnastore.pid, signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not dnastore.logged("allow-list refused"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (line,) = dnastore.logged("allow-list refused")
    assert "Expected `array`, got `str`" in line["cause"]
    assert dnastore.call("GET", "/v1/counts").status == 200
    dnastore.allow_path.write_text("{}")
    os.kill(dnastore.pid, signal.SIGHUP)
    while dnastore.call("GET", "/v1/counts").status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON that can be used"),
        ("[]", "Expected `object`, got `array`"),
        ('{"a": ["x"], "a": ["y"]}', "duplicate member name"),
        ('{"a": [1]}', "Expected `str`, got `int`"),
        ('{"": ["x"]}', "a client's name"),
        ('{"*": ["x"]}', "names are whole"),
        ('{"*.example.com": ["x"]}', "names are whole"),
        ('{"a": ["acme-*"]}', "stands alone"),
        ('{"a": [""]}', "1 to 128 bytes"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    """What is no list, or looks as if it meant more than it does, is refused with the reason."""
    path = tmp_path / "allow.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_allow_list(path)


def test_grants() -> None:
    """A client may touch what all its names together may; a star is all; a name without tenants is none."""
    clients = AllowList({"a": ["acme"], "b": ["globex", "*x"], "all": ["*"], "none": []})
    both = clients.grant(["a", "unknown", "b"])
    assert both is not None
    assert [tenant in both for tenant in ("acme", "globex", "initech", "*")] == [True, True, False, False]
    everything = clients.grant(["a", "all"])
    assert everything is not None
    assert "initech" in everything
    assert clients.grant(["none"]) is clients.grant(["unknown"]) is clients.grant([]) is None


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        ({"subjectAltName": (("DNS", "a"), ("URI", "spiffe://x/y"), ("DNS", "a"))}, ("a", "spiffe://x/y")),
        ({"subjectAltName": (("DNS", "a"),), "subject": ((("commonName", "b"),),)}, ("a",)),
        ({"subjectAltName": (("IP Address", "::1"),), "subject": ((("commonName", "b"),),)}, ("b",)),
        ({"subject": ((("commonName", "b"),), (("commonName", "c"),))}, ()),
        ({"subject": ((("organizationName", "b"),),)}, ()),
        ({}, ()),
    ],
)
def test_names_of_certificates(certificate: Mapping[str, Any], names: Sequence[str]) -> None:
    """The alternative names count; the common name where there is none of the kinds that name clients."""
    assert names_of(certificate) == names


async def test_without_a_certificate(tmp_path: Path) -> None:
    """A request that no certificate stands behind is refused, should it ever come so far."""
    inside = Inside(tmp_path, object())
    body = json.dumps({"writes": []}).encode()
    answer = await inside.call("POST", "/v1/writes", body, names=())
    assert (answer.status, json.loads(answer.body)["code"]) == (403, "client_forbidden")


def test_other_names(new_dnastore: Callable[..., DnaStore]) -> None:
    """Each client of one authority gets what the list says of its name."""
    dnastore = new_dnastore({**EVERYTHING, "billing.example": ["acme"]}).start()
    dnastore.as_client(dnastore.authority.issue("billing", host="billing.example"))
    writes = [Put([WireRecord.of(record(1, tenant=tenant))]) for tenant in ("acme", "globex")]
    assert [one.outcome for one in dnastore.write(*writes).results] == ["done", "forbidden"]
    dnastore.as_client(dnastore.authority.issue("unknown", host="unknown"))
    assert dnastore.call("POST", "/v1/probe").json["code"] == "client_forbidden"
