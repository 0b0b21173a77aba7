"""The description tells the truth: schemathesis tries it against the running service."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from app.api.openapi import document
from app.http.problems import KINDS
from tests.service.running import SIGILS, Service

if TYPE_CHECKING:
    import schemathesis

EXAMPLES = 300 if os.environ.get("RUN_HEAVY_TESTS") == "1" else 25

BEYOND_THE_SCHEMA = {
    "not_found",
    "idempotency_key_reused",
    "integer_range",
    "lone_surrogate",
    "nesting_too_deep",
}


def operations() -> list[tuple[str, str]]:
    """Method and path of each operation."""
    paths: dict[str, dict[str, object]] = document()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def api(service: Service) -> schemathesis.BaseSchema:
    """The live description."""
    import schemathesis  # noqa: PLC0415 - it takes a second, which other tests need not wait for

    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def try_all(operation: Any, *, positive: bool, session: requests.Session) -> None:
    """Send many requests of an operation, and check each answer against the description."""
    from schemathesis import GenerationMode  # noqa: PLC0415 - as above
    from schemathesis.core.parameters import ParameterLocation  # noqa: PLC0415
    from schemathesis.specs.openapi.checks import (  # noqa: PLC0415
        negative_data_rejection,
        positive_data_acceptance,
    )

    mode = GenerationMode.POSITIVE if positive else GenerationMode.NEGATIVE

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        answer = case.call(session=session, headers=session.headers)
        excluded = [positive_data_acceptance]
        body = None if case.meta is None else case.meta.components.get(ParameterLocation.BODY)
        if body is None or body.mode is not GenerationMode.NEGATIVE:
            # What was made wrong need not reach the wire: an empty list in the query, or the header
            # with the token, which is ours.
            excluded.append(negative_data_rejection)
        case.validate_response(answer, headers=session.headers, excluded_checks=excluded)
        if positive and not 200 <= answer.status_code < 300:
            # Beyond what JSON Schema can say: unknown ids, and what RFC 7493 forbids in payloads.
            assert answer.json()["code"] in BEYOND_THE_SCHEMA, answer.content

    check()


@pytest.mark.parametrize(("method", "path"), operations())
def test_as_described(service: Service, api: schemathesis.BaseSchema, method: str, path: str) -> None:
    """No request, well formed or not, makes the service fail or answer what is not described."""
    operation = api[path][method]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {service.token('schemathesis')}"
        try_all(operation, positive=True, session=session)
        if path.startswith(SIGILS):
            try_all(operation, positive=False, session=session)
    assert not service.logged("request failed")


def test_every_problem_is_described() -> None:
    """Each operation describes its statuses, and each problem's code is in the schema."""
    described = document()
    codes = described["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"]
    assert set(codes) == set(KINDS)
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert "500" in operation["responses"], path
            if path.startswith(SIGILS):
                assert {"401", "403", "503"} <= set(operation["responses"]), path


def test_live_description(service: Service) -> None:
    """What the service serves is this version's description."""
    answer = service.call("GET", "/openapi.json")
    assert answer.json == json.loads(json.dumps(document()))
