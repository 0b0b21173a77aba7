"""The allow-list: which clients may call, and which tenants they may touch."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.dnastore.clients import Clients
from app.server.peers import names_of
from app.server.reloading import ReloadRefusedError
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


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnaStore]:
    """A server whose list these tests change."""
    folder = tmp_path_factory.mktemp("changing")
    running = DnaStore(folder, DNASTORE_SERVER_RELOAD_SECONDS="0.05").start()
    yield running
    running.stop()


def test_a_list_holds_at_once(changing: DnaStore) -> None:
    """Who is taken off the list is refused, on a connection that was open before, too; the log says who."""
    with contextlib.closing(changing.connection()) as connection:
        for method, path, body in (*_CALLS[1:], *_OTHER_CALLS[:3]):
            assert changing.call(method, path, body, connection=connection).status < 300, path
        changing.put(record(1, tenant="globex"), connection=connection)
        changing.allow({CLIENT: ["acme"]})
        for method, path, body in _CALLS:
            answer = changing.call(method, path, body, connection=connection)
            assert (answer.status, answer.json["code"]) == (403, "tenant_forbidden"), path
        assert changing.call("GET", "/v1/counts", connection=connection).json == {}
        changing.allow({CLIENT: []})
        for method, path, body in (*_CALLS, *_OTHER_CALLS):
            answer = changing.call(method, path, body, connection=connection)
            assert (answer.status, answer.json["code"]) == (403, "client_forbidden"), path
        for path in _PAGES:
            assert changing.call("GET", path, connection=connection).status == 200
    line = changing.logged("client refused")[0]
    assert (line["names"], line["peer"]) == (CLIENT, "127.0.0.1")
    assert line["setting"] == "DNASTORE_SERVER_ALLOW"


def test_a_bad_list_leaves_the_last_good_one(changing: DnaStore) -> None:
    """A list that cannot be used is refused, with the reason, and the one before it holds."""
    changing.allow({CLIENT: ["initech"]})
    changing.allow_path.write_text('{"sigil-service": "*"}')
    deadline = time.monotonic() + 20
    while not changing.logged("allow-list refused"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Expected `array`, got `str`" in changing.logged("allow-list refused")[0]["cause"]
    assert changing.call("GET", "/v1/counts").status == 200
    assert changing.call("GET", "/v1/records?tenant=acme").json["code"] == "tenant_forbidden"


def test_each_client_has_its_own_tenants(changing: DnaStore) -> None:
    """Each client of one authority gets what the list says of its name."""
    changing.allow({**EVERYTHING, "billing.example": ["acme"]})
    changing.as_client(changing.authority.issue("billing", host="billing.example"))
    writes = [Put([WireRecord.of(record(2, tenant=tenant))]) for tenant in ("acme", "globex")]
    assert [one.outcome for one in changing.write(*writes).results] == ["done", "forbidden"]
    changing.as_client(changing.authority.issue("unknown", host="unknown"))
    assert changing.call("POST", "/v1/probe").json["code"] == "client_forbidden"
    changing.as_client(changing.identity)


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


def test_lists_that_others_may_change(tmp_path: Path) -> None:
    """A list that others may read is used; one that others may write is refused, at the start and later."""
    path = tmp_path / "allow.json"
    path.write_text('{"a": ["acme"]}')
    for mode in (0o600, 0o644):
        path.chmod(mode)
        clients = Clients(path)
    path.write_text('{"a": ["*"]}')
    path.chmod(0o646)
    with pytest.raises(ReloadRefusedError, match="others may change"):
        clients.reload()
    with pytest.raises(ValueError, match="others may change"):
        Clients(path)


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
