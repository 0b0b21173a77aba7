"""The description tells the truth: schemathesis tries it against the running service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from app.api.examples import ANSWERS, REQUESTS, SIGIL, TENANT
from app.api.openapi import document
from app.http.problem_catalogue import KINDS
from sigil_native import KeyRing, SigilCodec
from tests.heavy import HEAVY
from tests.service.running import REPOSITORY, SIGILS, Service

if TYPE_CHECKING:
    import schemathesis

EXAMPLES = 300 if HEAVY else 4

LINES = {"Content-Type": "application/x-ndjson"}
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

    import tests.service.api.schemathesis_lines  # noqa: F401, PLC0415 - for its effect

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
        answer = case.call(session=session, headers=session.headers, timeout=120)
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


def run_schemathesis(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Its command, with every check but one: what JSON Schema cannot say, the test above knows better."""
    schemathesis_lines = "tests.service.api.schemathesis_lines"
    command = [sys.executable, "-m", "schemathesis.cli", "run", *arguments, "--checks=all", "--no-color"]
    command += ["--exclude-checks=positive_data_acceptance", "--generation-database=none"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": schemathesis_lines, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
@pytest.mark.heavy("each operation is tried above; this takes three times as long")
def test_whole_api(service: Service, tmp_path: Path) -> None:
    """No check of schemathesis finds anything: examples, edge cases, random requests, chains of calls.

    Among others: only described statuses, types, headers and schemas, wrong data refused, other methods
    refused with Allow, nothing served without its token, revoked and read back along the links.
    """
    token = service.token("schemathesis-run")
    done = run_schemathesis(
        tmp_path,
        f"{service.url}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        "--max-time=300" if HEAVY else "--max-examples=3",
    )
    print(done.stdout)  # the figures, and on failure the cases
    assert done.returncode == 0, done.stderr
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ {phase}\b", done.stdout), phase
    assert not service.logged("request failed")


@pytest.mark.heavy("tests the tests, in a fresh interpreter")
def test_lies_are_found(service: Service, tmp_path: Path) -> None:
    """Schemathesis sees it when an operation does without the token that it is said to need."""
    lying = document()
    lying["paths"] = {"/healthz": lying["paths"]["/healthz"]}
    lying["paths"]["/healthz"]["get"]["security"] = [{"bearer": []}]
    (tmp_path / "openapi.json").write_text(json.dumps(lying))
    done = run_schemathesis(
        tmp_path,
        "openapi.json",
        f"--url={service.url}",
        f"--header=Authorization: Bearer {service.token()}",
        "--max-examples=2",
        "--phases=fuzzing",
    )
    assert done.returncode == 1, done.stdout
    assert "API accepts requests without authentication" in done.stdout


def test_examples_hold(service: Service) -> None:
    """The examples work when they are sent, and the answers look like those that are shown."""
    token = service.token(TENANT, subject="order-service")
    known = SigilCodec(KeyRing())
    answers = {}
    for example in reversed(REQUESTS["encode"].values()):
        answers["encode"] = service.call("POST", SIGILS, example["value"], token=token)
        assert answers["encode"].status == 201
    record = answers["encode"].json
    path = f"{SIGILS}/{record['id']}"
    answers["get"] = service.call("GET", path, token=token)
    answers["list"] = service.call("GET", f"{SIGILS}?limit=1", token=token)
    (revocation,) = REQUESTS["revoke"].values()
    answers["revoke"] = service.call("POST", f"{path}/revoke", revocation["value"], token=token)
    answers["health"] = service.call("GET", "/healthz")
    answers["readiness"] = service.call("GET", "/readyz")
    for name, answer in answers.items():
        shown = next(iter(ANSWERS[name].values()))["value"]
        assert forms(answer.json) == forms(shown), name
    # The verdicts are those of the seal that is shown, to the last digit.
    for name, example in REQUESTS["verify"].items():
        verdict = service.call("POST", f"{SIGILS}/verify", example["value"], token=token).json
        assert verdict == ANSWERS["verify"]["changed" if name == "changed" else "valid"]["value"], name
    for name, path in (("encodeBatch", f"{SIGILS}/batch"), ("verifyBatch", f"{SIGILS}/verify/batch")):
        body = list(REQUESTS[name].values())[-1]["value"]
        (shown,) = ANSWERS[name].values()
        answer = service.call("POST", path, body, token=token, headers=LINES)
        assert list(map(forms, lines_in(answer.body))) == list(map(forms, lines_in(shown["value"]))), name
    assert known.decode(REQUESTS["verify"]["strand"]["value"]["sigil"]) == known.decode(SIGIL)


def lines_in(text: str | bytes) -> list[object]:
    """The values in the lines of a text."""
    return [json.loads(line) for line in text.splitlines()]


def forms(value: object) -> object:
    """A value without what differs from call to call: times, and what is made from them."""
    if isinstance(value, dict):
        return {name: forms(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [forms(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"[0-9A-Za-z_-]{8,}(?:[-:.][0-9A-Za-z]+)*", "…", value)
    return value


def test_every_operation_is_documented() -> None:
    """Each operation has a summary, a description and a tag; each answer an example and its headers."""
    described = document()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert {"summary", "description", "tags", "operationId"} <= operation.keys(), path
            if "requestBody" in operation:
                (content,) = operation["requestBody"]["content"].values()
                assert content["examples"], path
            for status, answer in operation["responses"].items():
                assert "X-Request-Id" in answer["headers"]
                (content,) = answer["content"].values()
                assert content.get("examples") or path == "/openapi.json", (path, status)
                if status == "401":
                    assert "WWW-Authenticate" in answer["headers"], path
                if path.startswith(SIGILS):
                    assert described["components"]["headers"].keys() <= answer["headers"].keys(), path
                if status == "429":
                    assert "Retry-After" in answer["headers"], path
                if status == "503":
                    assert "Retry-After" in answer["headers"], path


def test_every_problem_is_described() -> None:
    """Each operation describes its statuses, and each problem's code is in the schema."""
    described = document()
    codes = described["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"]
    assert set(codes) == set(KINDS)
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert "500" in operation["responses"], path
            if path.startswith(SIGILS):
                assert {"401", "403", "429", "503"} <= set(operation["responses"]), path


def test_live_description(service: Service) -> None:
    """What the service serves is this version's description."""
    answer = service.call("GET", "/openapi.json")
    assert answer.json == json.loads(json.dumps(document()))
