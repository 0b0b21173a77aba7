"""The whole service with a spool, while its DNAStore is killed and comes back."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from tests.service.dnastore.running import DnaStore
from tests.service.running import SIGILS, Service, clean_environment

heavy = pytest.mark.heavy("waits for a while")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.02)


@pytest.fixture
def dnastore(tmp_path: Path) -> Iterator[DnaStore]:
    """A DNAStore that a test may kill; it comes back where it was."""
    (folder := tmp_path / "dnastore").mkdir()
    running = DnaStore(folder).start()
    running.variables["DNASTORE_SERVER_PORT"] = str(running.port)
    yield running
    running.kill()


def service_of(dnastore: DnaStore, folder: Path, **variables: str) -> Service:
    """A service that keeps its records there."""
    folder.mkdir(exist_ok=True)
    quick = {"DNASTORE_TIMEOUT": "1", "DNASTORE_BREAKER_PAUSE": "0.1", "SPIRAL_EVENT_SECRET": "s" * 32}
    return Service(folder, **dnastore.client_variables, **{**quick, **variables})


def command(service: Service, *arguments: str) -> Result:
    """What ``python -m app store spool`` says about the service's spool."""
    environment: dict[str, str | None] = dict(
        clean_environment(SIGIL_DATA_DIR=str(service.data_dir), **service.variables)
    )
    return CliRunner().invoke(main, ["store", "spool", *arguments], env=environment)


def audited(service: Service) -> list[str]:
    """The outages that the audit log tells of."""
    lines = (service.data_dir / "audit.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    return [event for event in events if event.startswith("store.")]


def test_an_outage_with_a_spool(dnastore: DnaStore, tmp_path: Path) -> None:
    """Encodes go on, reads say that they are stale, the spool outlives kills, and everything arrives."""
    service = service_of(dnastore, tmp_path / "service", DNASTORE_SPOOL="on").start()
    try:
        token = service.token()
        before = service.encode({"n": 0}, token=token)
        ready = service.call("GET", "/readyz").json
        assert (ready["spool"], ready["spool_rejected"]) == ("empty", 0)
        page = service.call("GET", SIGILS, token=token)
        assert page.json["stale"] is False
        assert "sigil-stale" not in page.headers
        dnastore.kill()

        records = [service.encode({"n": number}, token=token) for number in range(1, 6)]
        page = service.call("GET", SIGILS, token=token)
        assert page.headers["sigil-stale"] == "true"
        assert page.json["stale"] is True
        assert [one["id"] for one in page.json["sigils"]] == [one["id"] for one in reversed(records)]
        found = service.call("GET", f"{SIGILS}/{records[0]['id']}", token=token)
        assert (found.headers["sigil-stale"], found.json["data"]) == ("true", {"n": 1})
        answer = service.call("GET", f"{SIGILS}/{before['id']}", token=token)
        assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
        answer = service.call("POST", f"{SIGILS}/{before['id']}/revoke", {"reason": "x"}, token=token)
        assert answer.status == 503
        revoked = service.call("POST", f"{SIGILS}/{records[1]['id']}/revoke", {"reason": "x"}, token=token)
        assert (revoked.status, revoked.headers["sigil-stale"]) == (200, "true")
        assert service.verify(before["sigil"], {"n": 0}, token=token)["revocation"] == "unknown"
        asked = {"sigil": records[1]["sigil"], "data": {"n": 2}}
        verdict = service.call("POST", f"{SIGILS}/verify", asked, token=token)
        assert (verdict.json["revocation"], verdict.headers["sigil-stale"]) == ("revoked", "true")
        lines = b"\n".join(
            json.dumps({"sigil": one["sigil"], "data": {"n": number}}).encode()
            for number, one in enumerate([before, *records])
        )
        batch = service.call(
            "POST",
            f"{SIGILS}/verify/batch",
            lines,
            token=token,
            headers={"Content-Type": "application/x-ndjson"},
        )
        verdicts = [json.loads(line)["revocation"] for line in batch.body.splitlines()]
        assert verdicts == ["unknown", "not_revoked", "revoked", *["not_revoked"] * 3]
        assert batch.headers["sigil-stale"] == "true"
        ready = service.call("GET", "/readyz")
        assert (ready.status, ready.json["spool"]) == (200, "waiting")
        shown = command(service, "show")
        assert shown.exit_code == 0
        assert "6 writes wait" in shown.output
        assert "revoke" in shown.output
        exported = command(service, "export", str(tmp_path / "export"))
        assert exported.exit_code == 0, exported.output
        writes = [json.loads(line) for line in (tmp_path / "export").read_text().splitlines()]
        assert [one["kind"] for one in writes] == [*["put"] * 5, "revoke"]
        assert stat.S_IMODE((tmp_path / "export").stat().st_mode) == 0o600
        assert command(service, "export", str(tmp_path / "export")).exit_code == 69
        assert json.loads(command(service, "show", "--json").output)["writes"] == 6

        service.kill()
        service.start()
        service.encode({"n": 6}, token=token)
        wait_until(lambda: audited(service) == ["store.degraded"] * 2)
        dnastore.start()
        wait_until(lambda: service.call("GET", "/readyz").json["spool"] == "empty")
        page = service.call("GET", SIGILS, token=token)
        assert page.json["stale"] is False
        assert len(page.json["sigils"]) == 7
        verdict = service.call("POST", f"{SIGILS}/verify", asked, token=token)
        assert verdict.json["revocation"] == "revoked"
        wait_until(lambda: audited(service) == ["store.degraded", "store.degraded", "store.recovered"])
        assert command(service, "retry").output == "0 writes wait again\n"
    finally:
        service.kill()


@heavy
def test_an_outage_without_a_spool(dnastore: DnaStore, tmp_path: Path) -> None:
    """Nothing is acknowledged; the policy decides on what cannot be asked; afterwards all is as before."""
    service = service_of(
        dnastore,
        tmp_path / "service",
        SIGIL_REVOCATION_UNKNOWN="accept",
        DNASTORE_BREAKER_FAILURES="1",
    ).start()
    try:
        token = service.token()
        kept = service.encode({"n": 0}, token=token)
        assert service.call("GET", "/readyz").json["spool"] == "off"
        dnastore.kill()
        answer = service.call("POST", SIGILS, {"data": {"n": 1}}, token=token)
        assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert service.call("GET", SIGILS, token=token).status == 503
        verdict = service.verify(kept["sigil"], {"n": 0}, token=token)
        assert (verdict["valid"], verdict["revocation"]) == (True, "unknown")
        wait_until(lambda: service.call("GET", "/readyz").status == 503)
        shown = command(service, "show")
        assert (shown.exit_code, shown.output) == (
            78,
            "the settings cannot work:\n  DNASTORE_SPOOL: off, so there is no spool\n",
        )
        dnastore.start()
        wait_until(lambda: service.call("POST", SIGILS, {"data": {"n": 1}}, token=token).status == 201)
        assert len(service.call("GET", SIGILS, token=token).json["sigils"]) == 2
        wait_until(lambda: audited(service) == ["store.degraded", "store.recovered"])
    finally:
        service.kill()


@heavy
def test_a_full_spool(dnastore: DnaStore, tmp_path: Path) -> None:
    """Encodes are refused, and readiness says so, until the DNAStore is back; nothing that waits is lost."""
    service = service_of(
        dnastore,
        tmp_path / "service",
        DNASTORE_SPOOL=str(tmp_path / "s.db"),
        DNASTORE_SPOOL_MAX_BYTES=str(1 << 20),
    ).start()
    try:
        token = service.token()
        dnastore.kill()
        kept = 0
        payload = {"data": {"x": "x" * 100_000}}
        while (answer := service.call("POST", SIGILS, payload, token=token)).status == 201:
            kept += 1
        assert kept == 10
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (
            503,
            "store_unavailable",
            "30",
        )
        for _ in range(50):
            if service.call("POST", SIGILS, {"data": {"x": "x" * 1000}}, token=token).status == 503:
                break
            kept += 1
        wait_until(lambda: service.call("GET", "/readyz").status == 503)
        dnastore.start()
        wait_until(lambda: service.call("GET", "/readyz").status == 200)
        wait_until(lambda: service.call("POST", SIGILS, payload, token=token).status == 201)
        page = service.call("GET", f"{SIGILS}?limit=200", token=token)
        assert len(page.json["sigils"]) == kept + 1
    finally:
        service.kill()


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"DNASTORE_SPOOL": "on"}, "DNASTORE_SPOOL: DNASTORE_URL is not set, so there is no DNAStore"),
        ({"DNASTORE_SPOOL_MAX_AGE": "5"}, "DNASTORE_SPOOL_MAX_AGE: DNASTORE_URL is not set"),
        (
            {"SIGIL_REVOCATION_UNKNOWN": "perhaps"},
            "SIGIL_REVOCATION_UNKNOWN: Input should be 'invalid' or 'accept'",
        ),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, variables: dict[str, str], problem: str) -> None:
    """They end the process at the start, with a line that names the variable."""
    code, said = Service(tmp_path, **variables).start_in_vain()
    assert code == 78
    assert problem in said
