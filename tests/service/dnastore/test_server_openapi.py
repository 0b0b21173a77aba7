"""The description of the wire protocol tells the truth: schemathesis tries it against a running server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from app.dnastore.examples import ANSWERS, REQUESTS
from app.dnastore.openapi import document
from app.http.problem_catalogue import KINDS
from tests.heavy import HEAVY
from tests.service.dnastore.running import DnaStore

if TYPE_CHECKING:
    import schemathesis

EXAMPLES = 50 if HEAVY else 2

#: What JSON Schema cannot say: ids that nobody has, places that are half named, names of too many bytes.
BEYOND_THE_SCHEMA = {"not_found", "invalid_query", "invalid_request"}
#: Writes have so many forms that making up the first takes seconds.
OPERATIONS = [
    (method, path)
    for path, methods in document()["paths"].items()
    for method in methods
    if HEAVY or path != "/v1/writes"
]


@pytest.fixture(scope="module")
def api() -> schemathesis.BaseSchema:
    """The description."""
    import schemathesis  # noqa: PLC0415 - it takes a second, which other tests need not wait for

    import tests.service.api.schemathesis_lines  # noqa: F401, PLC0415 - for its effect

    return schemathesis.openapi.from_dict(document())


def try_all(operation: Any, dnastore: DnaStore, session: requests.Session, *, positive: bool) -> None:
    """Send many requests of an operation, and check each answer against the description."""
    from schemathesis import GenerationMode  # noqa: PLC0415 - as above
    from schemathesis.specs.openapi.checks import (  # noqa: PLC0415
        ignored_auth,
        negative_data_rejection,
        positive_data_acceptance,
    )

    mode = GenerationMode.POSITIVE if positive else GenerationMode.NEGATIVE
    # A write that is wrong inside fails alone, in a good answer. And who calls is not told by headers.
    excluded = [positive_data_acceptance, negative_data_rejection, ignored_auth]

    cert, authority = tuple(map(str, dnastore.identity)), str(dnastore.authority.path)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        answer = case.call(base_url=dnastore.url, session=session, cert=cert, verify=authority)
        case.validate_response(answer, excluded_checks=excluded)
        if positive and not 200 <= answer.status_code < 300:
            assert answer.json()["code"] in BEYOND_THE_SCHEMA, answer.content

    check()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_as_described(dnastore: DnaStore, api: schemathesis.BaseSchema, method: str, path: str) -> None:
    """No request, well formed or not, makes the server fail or answer what is not described."""
    failures = len(dnastore.logged("request failed"))
    with requests.Session() as session:
        try_all(api[path][method], dnastore, session, positive=True)
        if HEAVY and {"parameters", "requestBody"} & document()["paths"][path][method].keys():
            try_all(api[path][method], dnastore, session, positive=False)
    assert len(dnastore.logged("request failed")) == failures


def test_every_operation_is_documented() -> None:
    """Each operation has a summary, a description and a tag, and each answer its headers and an example."""
    described = document()
    codes = described["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"]
    assert set(codes) == set(KINDS)
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert {"summary", "description", "tags", "operationId"} <= operation.keys(), path
            assert {"500", "503"} <= operation["responses"].keys(), path
            assert ("403" in operation["responses"]) == path.startswith("/v1/"), path
            for status, answer in operation["responses"].items():
                assert "X-Request-Id" in answer["headers"]
                assert ("Retry-After" in answer["headers"]) == (status == "503")
                for content in answer.get("content", {}).values():
                    assert content.get("examples") or path == "/openapi.json", (path, status)


def compact(value: object) -> str:
    """A text in which payloads stand as canonical JSON has them."""
    return json.dumps(value, separators=(",", ":"))


def test_examples_hold(dnastore: DnaStore) -> None:
    """The examples work when they are sent, and the answers are those that are shown."""
    for name, path in (("write", "/v1/writes"), ("lookUp", "/v1/lookups"), ("purge", "/v1/purges")):
        for example in REQUESTS[name].values():
            assert dnastore.call("POST", path, compact(example["value"])).status == 200, example
    (put, _, revoke) = REQUESTS["write"].values()
    assert dnastore.call("POST", "/v1/writes", compact(put["value"])).json == {
        "results": [{"outcome": "done"}]
    }
    revoked = dnastore.call("POST", "/v1/writes", compact(revoke["value"])).json["results"]
    assert revoked == [ANSWERS["write"]["done"]["value"]["results"][1]]
    listed = dnastore.call("GET", "/v1/entries?tenant=acme")
    assert listed.body.decode().endswith(ANSWERS["entries"]["one"]["value"])
    assert dnastore.call("GET", "/healthz").json == ANSWERS["health"]["ok"]["value"]
    assert dnastore.call("GET", "/readyz").json == ANSWERS["readiness"]["ready"]["value"]


def test_live_description(dnastore: DnaStore) -> None:
    """What the server serves is this version's description."""
    assert dnastore.call("GET", "/openapi.json").json == json.loads(json.dumps(document()))
