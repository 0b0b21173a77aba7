"""Many in a request: a line of the body for each, and a line of the answer."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.http.lines import MOST_LINES, requests_of
from app.http.problems import ProblemError
from core import sealed_records, time_slices
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.store.sql_writer import Write
from sigil_native import KeyRing, SealRequests, SigilCodec, VerifyRequests
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import SECRET, faults, lines
from tests.service.running import SIGILS, Answer, Service

ENCODE = f"{SIGILS}/batch"
VERIFY = f"{SIGILS}/verify/batch"
LINES = {"Content-Type": "application/x-ndjson"}
#: Of a limited service: so many at once, and then hardly any more.
BURST = 10


@pytest.fixture
def token(service: Service, tenant: str) -> str:
    """A token with every role."""
    return service.token(tenant)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a small limit for each user; tests keep apart by their tenants."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {"SIGIL_RATE_LIMIT": str(BURST), "SIGIL_RATE_WINDOW": "3600", "SIGIL_RATE_CAPACITY": "4096"}
    running = Service(folder, **limits).start()
    yield running
    running.kill()


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[InProcess]:
    """The application, where one can see what it writes; with an audit log that it must have."""
    audit = AuditLog(AuditFile(tmp_path / "audit.jsonl", SECRET), required=True)
    application = InProcess(tmp_path, audit)
    async with application.lifespan():
        yield application
    await audit.close()


def body_of(*values: object) -> bytes:
    """JSON texts, a line each."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def send(service: Service, path: str, body: bytes, token: str, **headers: str) -> Answer:
    """Send a batch."""
    return service.call("POST", path, body, token=token, headers={**LINES, **headers})


def results(answer: Answer) -> list[Any]:
    """What each line of a good answer says."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body.endswith(b"\n")
    return [json.loads(line) for line in answer.body.splitlines()]


def listed(service: Service, tenant: str, subject: str = "looks") -> list[Any]:
    """A tenant's records, newest first, as somebody sees who has limits of its own."""
    page = service.call("GET", f"{SIGILS}?limit=200", token=service.token(tenant, subject=subject))
    found: list[Any] = page.json["sigils"]
    return found


def remaining(answer: Answer) -> int:
    """How many tokens an answer says are left."""
    return int(answer.headers["x-ratelimit-remaining"])


def test_many_are_sealed(service: Service, tenant: str, token: str) -> None:
    """Each line gets its record, in their order; each is kept like one that was sealed alone."""
    ring = KeyRing()
    ring.add("s" * 32)
    codec = SigilCodec(ring)
    events = [{"n": number, "é": [None, 1e17]} for number in range(50)]
    lifetimes = range(60, 60 + len(events))
    body = body_of(
        *({"data": event, "expires_in": seconds} for event, seconds in zip(events, lifetimes, strict=True))
    )
    records = results(send(service, ENCODE, body, token))
    alone = service.encode(events[0], token=token, expires_in=60)
    for event, seconds, record in zip(events, lifetimes, records, strict=True):
        sigil = codec.verify_json(record["sigil"], json.dumps(event), tenant=tenant)
        assert sigil.expires_at_ms - sigil.issued_at_ms == 1000 * seconds
        assert record.keys() == alone.keys()
        assert (record["id"], record["status"], record["created_by"]) == (sigil.id, "active", "tester")
    assert listed(service, tenant) == [alone, *reversed(records)]
    full = service.call("GET", f"{SIGILS}/{records[7]['id']}", token=token).json
    assert full["data"] == events[7]


def test_many_are_judged(service: Service, tenant: str, token: str) -> None:
    """Each line gets the verdict that it gets alone: altered payloads, revoked sigils and tokens, too."""
    records = results(send(service, ENCODE, body_of(*({"data": {"n": n}} for n in range(4))), token))
    sigils = [record["sigil"] for record in records]
    ring = KeyRing()
    ring.add("s" * 32)
    carrier = SigilCodec(ring).encode({"n": 9}, tenant=tenant, form="token")
    foreign = service.encode({"n": 0}, token=service.token(f"not {tenant}"))
    revocation = service.call("POST", f"{SIGILS}/{records[3]['id']}/revoke", {"reason": "x"}, token=token)
    assert revocation.status == 200
    asked: list[tuple[dict[str, object], str | None]] = [
        ({"sigil": sigils[0], "data": {"n": 0}}, None),
        ({"sigil": sigils[1], "data": {"n": 1.5}}, "tag_mismatch"),
        ({"sigil": sigils[1], "data": {"n": 1.0}}, None),
        ({"sigil": sigils[2], "data": {"n": 3}}, "tag_mismatch"),
        ({"sigil": sigils[3], "data": {"n": 3}}, "revoked"),
        ({"sigil": foreign["sigil"], "data": {"n": 0}}, "tag_mismatch"),
        ({"sigil": "nonsense", "data": {}}, "format"),
        ({"sigil": carrier}, None),
    ]
    verdicts = results(send(service, VERIFY, body_of(*(body for body, _ in asked)), token))
    for (body, reason), verdict in zip(asked, verdicts, strict=True):
        assert (verdict["valid"], verdict["reason"]) == (reason is None, reason), body
        assert verdict == service.call("POST", f"{SIGILS}/verify", body, token=token).json


BAD: list[tuple[bytes, int, str, str | None, int | None]] = [
    (b"{", 400, "syntax", "", 1),
    (b'  {"data":{"a":01}}', 400, "syntax", "/data", 16),
    (b'{"data":{}} {"data":{}}', 400, "trailing_data", "", 12),
    (b'{"data":{"a":"\xff"}}', 400, "invalid_utf8", "/data/a", 14),
    (b'\xef\xbb\xbf{"data":{}}', 400, "byte_order_mark", "", 0),
    (b'{"data":{"a":1,"\\u0061":2}}', 422, "duplicate_name", "/data/a", 15),
    (b'{"data":{},"data":{}}', 422, "duplicate_name", "/data", 11),
    (b'{"data":{"a":9007199254740992}}', 422, "integer_range", "/data/a", 13),
    (b'{"data":{"a":"\\ud800"}}', 422, "lone_surrogate", "/data/a", 14),
    (b'{"data":' + b"[" * 600 + b"]" * 600 + b"}", 422, "nesting_too_deep", None, None),
    (b"[]", 422, "invalid_request", "", None),
    (b'{"data":[]}', 422, "invalid_request", "/data", None),
    (b'{"data":{},"tenant":"other"}', 422, "invalid_request", "", None),
    (b'{"data":{},"expires_in":0}', 422, "invalid_request", "/expires_in", None),
    (b"\x00", 400, "syntax", "", 0),
]


def test_bad_lines(service: Service, tenant: str, token: str) -> None:
    """Each bad line gets what a request of its own would get, with its number, and stops no other."""
    body = b"".join(b'{"data":{}}\n%b\n' % text for text, *_ in BAD)
    answers = results(send(service, ENCODE, body, token))
    assert len(answers) == 2 * len(BAD)
    for number, (text, status, code, pointer, offset) in enumerate(BAD):
        good, bad = answers[2 * number : 2 * number + 2]
        assert good["status"] == "active"
        error = bad.pop("error")
        assert bad == {"line": 2 * number + 2}
        assert (error["status"], error["code"]) == (status, code), text
        if pointer is not None:
            assert (error.get("pointer"), error.get("offset")) == (pointer, offset), text
        alone = service.call("POST", SIGILS, text, token=token).json
        del alone["request_id"]
        assert error == alone
    assert len(listed(service, tenant)) == len(BAD)


def test_bad_lines_to_judge(service: Service, token: str) -> None:
    """A sigil without its payload is an error of its line; only what cannot be read is one, too."""
    good = {"sigil": service.encode({}, token=token)["sigil"]}
    body = body_of(good, {**good, "data": {}}, {**good, "data": []}, {"data": {}})
    missing, valid, no_object, no_sigil = results(send(service, VERIFY, body, token))
    assert (missing["error"]["code"], missing["line"]) == ("data_missing", 1)
    assert valid["valid"] is True
    assert (no_object["error"]["pointer"], no_object["line"]) == ("/data", 3)
    assert (no_sigil["error"]["code"], no_sigil["line"]) == ("invalid_request", 4)


def test_blank_lines(service: Service, token: str) -> None:
    """Blank lines get no answer, but count in the numbers; CR LF and a missing last line feed are fine."""
    body = b'\n \t\r\n{"data":{}}\r\n\r\n\n  {"data":\t{} } \r\n\n\nx\r\n  y'
    first, second, third, fourth = results(send(service, ENCODE, body, token))
    assert first["status"] == second["status"] == "active"
    assert (third["line"], third["error"]["offset"]) == (9, 0)
    assert (fourth["line"], fourth["error"]["offset"]) == (10, 2)


@pytest.mark.parametrize("path", [ENCODE, VERIFY, ENCODE + "?stream=true", VERIFY + "?stream=true"])
def test_carriage_return_before_a_line_feed(service: Service, token: str, path: str) -> None:
    """CR LF is the end of a line, and no part of it: offsets are as with LF."""
    with_return, without = results(send(service, path, b'{"data":\r\n{"data":\n', token))[:2]
    assert with_return["error"]["offset"] == without["error"]["offset"] == 8


@pytest.mark.parametrize("kind", [SealRequests, VerifyRequests])
def test_lines_of_a_body(kind: type[SealRequests | VerifyRequests]) -> None:
    """Lines are cut at LF or CR LF alone, with what blanks they have; their number may not be exceeded."""

    def lines_of(body: bytes) -> list[tuple[int, bytes]]:
        requests = requests_of(body, kind)
        return [(requests.number(place), requests.text(place)) for place in range(len(requests))]

    assert lines_of(b"a") == [(1, b"a")]
    assert lines_of(b"\n\n b\rc \r\n") == [(3, b" b\rc ")]
    assert lines_of("1\u2028\x0b2\n\n3".encode()) == [(1, "1\u2028\x0b2".encode()), (3, b"3")]
    assert len(lines_of(b"\n" * 5 + b"1\n \n" * MOST_LINES + b"\n" * 99)) == MOST_LINES
    for body, code in ((b"1\n" * MOST_LINES + b"1", "too_many_lines"), (b"", "empty_batch")):
        with pytest.raises(ProblemError) as caught:
            lines_of(body)
        assert caught.value.code == code


@pytest.mark.parametrize("path", [ENCODE, VERIFY])
def test_what_is_no_batch(service: Service, tenant: str, token: str, path: str) -> None:
    """Nothing, too many lines, other types and too many bytes are refused as a whole, and nothing is done."""
    good = b'{"data":{}}\n'
    refusals: dict[str, list[tuple[bytes, dict[str, str]]]] = {
        "empty_batch": [(b"", {}), (b" \r\n\t\n", {})],
        "too_many_lines": [(good * (MOST_LINES + 1), {})],
        "body_too_large": [(good + b" " * (1 << 20), {})],
        "unsupported_media_type": [
            (good, {"Content-Type": "application/json"}),
            (good, {"Content-Type": "application/x-ndjson; charset=latin-1"}),
            (good, {"Content-Encoding": "gzip"}),
        ],
    }
    statuses = {"empty_batch": 422, "unsupported_media_type": 415}
    for code, attempts in refusals.items():
        for body, headers in attempts:
            answer = send(service, path, body, token, **headers)
            assert (answer.json["code"], answer.status) == (code, statuses.get(code, 413))
            assert answer.headers["content-type"] == "application/problem+json"
    limit = 1 << 20
    exact = good + b" " * (limit - len(good))
    assert len(results(send(service, path, exact, token))) == 1
    assert len(listed(service, tenant)) == (path == ENCODE)


def test_idempotency_keys_are_refused(service: Service, tenant: str, token: str) -> None:
    """A key holds for one record, so a batch to seal does not take one; to judge changes nothing anyway."""
    answer = send(service, ENCODE, body_of({"data": {}}), token, **{"Idempotency-Key": "k"})
    assert (answer.status, answer.json["code"]) == (400, "idempotency_key_refused")
    assert listed(service, tenant) == []
    body = body_of({"sigil": "x", "data": {}})
    assert send(service, VERIFY, body, token, **{"Idempotency-Key": "k"}).status == 200


@pytest.mark.parametrize("path", [ENCODE, VERIFY])
def test_each_line_costs_a_token(limited: Service, tenant: str, path: str) -> None:
    """Good and bad lines cost a token each, blank ones nothing; each limit is charged, and told of."""
    token = limited.token(f"{tenant}{path}")
    line = {"sigil": "x", "data": {}} if path == VERIFY else {"data": {}}
    before = limited.call("GET", SIGILS, token=token)
    assert remaining(before) == BURST - 1
    one = send(limited, path, body_of(line), token)
    assert (len(results(one)), remaining(one)) == (1, BURST - 2)
    five = send(limited, path, body_of(line, line, [], line) + b"\n \r\nx\n", token)
    assert (len(results(five)), remaining(five)) == (5, BURST - 7)
    left = {
        name: int(part.split(";r=")[1].split(";")[0])
        for name in ("user", "tenant")
        for part in five.headers["ratelimit"].split(", ")
        if part.startswith(f'"{name}"')
    }
    whole = {name: left[name] + 7 for name in left}
    assert f'"user";q={whole["user"]};' in five.headers["ratelimit-policy"]
    assert f'"tenant";q={whole["tenant"]};' in five.headers["ratelimit-policy"]


def test_all_or_nothing(limited: Service, tenant: str) -> None:
    """A batch beyond the limit does nothing and costs the request alone; what is left is for another."""
    token = limited.token(tenant)
    line: dict[str, object] = {"data": {}}
    assert len(results(send(limited, ENCODE, body_of(*[line] * 4), token))) == 4
    refused = send(limited, ENCODE, body_of(*[line] * 7), token)
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert remaining(refused) == BURST - 5
    assert len(listed(limited, tenant)) == 4
    rest = send(limited, ENCODE, body_of(*[line] * 5), token)
    assert (len(results(rest)), remaining(rest)) == (5, 0)
    assert len(listed(limited, tenant)) == 9
    assert send(limited, ENCODE, body_of(line), token).status == 429
    assert len(listed(limited, tenant)) == 9


def test_more_than_the_burst(limited: Service, tenant: str) -> None:
    """As many lines as the burst pass at once; for one more no time will ever be right."""
    line: dict[str, object] = {"data": {}}
    full = send(limited, ENCODE, body_of(*[line] * BURST), limited.token(tenant, subject="first"))
    assert (len(results(full)), remaining(full)) == (BURST, 0)
    never = send(limited, ENCODE, body_of(*[line] * (BURST + 1)), limited.token(tenant, subject="second"))
    assert (never.status, never.json["code"]) == (429, "rate_limited")
    assert "retry-after" not in never.headers
    assert "ever allows" in never.json["detail"]
    assert len(listed(limited, tenant)) == BURST


def test_others_see_nothing(service: Service, tenant: str, token: str) -> None:
    """A batch's records are its tenant's alone, and the body cannot say otherwise."""
    other = f"other than {tenant}"
    body = body_of({"data": {"n": 1}}, {"data": {"n": 2}}, {"data": {}, "tenant": other})
    first, second, wrong = results(send(service, ENCODE, body, token))
    assert wrong["error"]["code"] == "invalid_request"
    assert listed(service, other) == []
    stranger = service.token(other)
    for number, record in enumerate((first, second), 1):
        assert service.call("GET", f"{SIGILS}/{record['id']}", token=stranger).status == 404
        judged = body_of({"sigil": record["sigil"], "data": {"n": number}})
        (verdict,) = results(send(service, VERIFY, judged, stranger))
        assert (verdict["reason"], verdict["revocation"]) == ("tag_mismatch", "unchecked")
    assert len(listed(service, tenant)) == 2


async def test_one_write_and_a_line_for_each(
    inside: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large batch is one write of the store; each seal and verdict has its audit line, in its order."""
    submitted: list[Write] = []
    submit = inside.store._writer.submit

    def counted(write: Write) -> asyncio.Future[Any]:
        submitted.append(write)
        return submit(write)

    monkeypatch.setattr(inside.store._writer, "submit", counted)
    token = inside.token("acme")
    good = [{"data": {"n": number}} for number in range(MOST_LINES - 1)]
    headers = {**LINES, "X-Request-Id": "sealed"}
    answer = await inside.call("POST", ENCODE, body_of(*good, []), token=token, headers=headers)
    *records, _ = results(answer)
    assert len(submitted) == 1
    log = tmp_path / "audit.jsonl"  # all of it is there already
    ids = [record["id"] for record in records]
    sealed = [line for line in lines(log) if line["event"] == "sigil.encoded"]
    assert [line["sigil_id"] for line in sealed] == ids == sorted(ids)
    assert {(line["request_id"], line["tenant"], line["sealing_key"]) for line in sealed} == {
        ("sealed", "acme", records[0]["key_id"])
    }
    judged = [{"sigil": records[n]["sigil"], "data": {"n": n if n else "?"}} for n in range(20)]
    await inside.call("POST", VERIFY, body_of(*judged, []), token=token, headers=LINES)
    verified = [line for line in lines(log) if line["event"] == "sigil.verified"]
    assert [line["sigil_id"] for line in verified] == ids[:20]
    assert [line["valid"] for line in verified] == [False] + [True] * 19
    assert not faults([log])


async def test_nothing_but_bad_lines(inside: InProcess, tmp_path: Path) -> None:
    """Where no line is good, nothing is written, and each line still gets its answer."""
    answer = await inside.call("POST", ENCODE, b"1\n2\n", token=inside.token("acme"), headers=LINES)
    assert [result["line"] for result in results(answer)] == [1, 2]
    assert not [one for one in inside.statements.executed if "INSERT" in one.sql]
    assert "sigil.encoded" not in (tmp_path / "audit.jsonl").read_text()


async def test_others_get_their_turn(inside: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each piece, or line, of each pass a batch whose time slice is over lets others run."""
    monkeypatch.setattr(time_slices, "_SLICE_SECONDS", 0)
    monkeypatch.setattr(sealed_records, "_LINES_A_PIECE", 1)
    token, count = inside.token("acme"), 200
    turns = 0

    async def turns_during(path: str, body: bytes) -> list[Any]:
        nonlocal turns
        turns = 0
        batch = asyncio.create_task(inside.call("POST", path, body, token=token, headers=LINES))
        while not batch.done():
            await asyncio.sleep(0)
            turns += 1
        return results(await batch)

    records = await turns_during(ENCODE, body_of(*[{"data": {}}] * count))
    assert len(records) == count
    assert turns > 3 * count  # read, seal, show
    await turns_during(VERIFY, body_of(*[{"sigil": "x", "data": {}}] * count))
    assert turns > 2 * count  # read, judge


async def test_revocations_that_nobody_knows(inside: InProcess, tmp_path: Path) -> None:
    """A damaged record makes its own sigil's revocation unknown; a store that is away, that of all."""
    token = inside.token("acme")
    body = body_of(*({"data": {"n": number}} for number in range(3)))
    records = results(await inside.call("POST", ENCODE, body, token=token, headers=LINES))
    with closing(sqlite3.connect(tmp_path / "sigils.db")) as connection, connection:
        connection.execute("UPDATE sigils SET created_at_ms = 'x' WHERE sigil = ?", [records[1]["sigil"]])
    judged = body_of(*({"sigil": record["sigil"], "data": {"n": n}} for n, record in enumerate(records)))
    verdicts = results(await inside.call("POST", VERIFY, judged, token=token, headers=LINES))
    assert [verdict["reason"] for verdict in verdicts] == [None, "revocation_unknown", None]
    await inside.store.close()
    verdicts = results(await inside.call("POST", VERIFY, judged, token=token, headers=LINES))
    assert {verdict["reason"] for verdict in verdicts} == {"revocation_unknown"}


def test_nothing_is_acknowledged_without_the_store_or_the_log(
    new_service: Callable[..., Service],
) -> None:
    """A batch that cannot be kept, or not be noted, fails as a whole with a problem."""
    service = new_service().start()
    token = service.token()
    body = body_of({"data": {}}, {"data": {"n": 1}}, [])
    assert len(results(send(service, ENCODE, body, token))) == 3
    (service.data_dir / "sigils.db").rename(service.data_dir / "moved.db")
    answer = send(service, ENCODE, body, token)
    assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
    (service.data_dir / "moved.db").rename(service.data_dir / "sigils.db")
    service.stop()
    service.start()
    assert len(listed(service, "acme")) == 2
    (service.data_dir / "audit.jsonl").rename(service.data_dir / "moved.jsonl")
    (service.data_dir / "audit.jsonl").mkdir()
    answer = send(service, ENCODE, body, token)
    assert (answer.status, answer.json["code"]) == (503, "audit_unavailable")
