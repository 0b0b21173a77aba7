"""``python -m app store``: what operators are told of a store that a real service has written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.store_display import FindingsShown
from core.history.findings import Finding
from tests.service.dnastore.running import DnaStore
from tests.service.running import REPOSITORY, SIGILS, Service, clean_environment
from tests.service.store.histories import database

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a service that kept histories, and was started twice.

    Tenant acme has five records, two of them under idempotency keys, the first one revoked; beta has three.
    """
    service = Service(tmp_path_factory.mktemp("service"), SIGIL_HISTORY="on")
    for turn in range(2):
        service.start()
        acme, beta = service.token("acme"), service.token("beta")
        records = [service.encode({"n": number}, token=acme) for number in range(1 + turn)]
        for _ in range(2):
            answer = service.call(
                "POST", SIGILS, {"data": {}}, token=acme, headers={"Idempotency-Key": f"k{turn}"}
            )
            assert answer.status in {200, 201}, answer.body
        lines = "".join(json.dumps({"data": {"n": number}}) + "\n" for number in range(1 + turn))
        answer = service.call(
            "POST", f"{SIGILS}/batch", lines, token=beta, headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.body.count(b'"sigil"') == 1 + turn, answer.body
        if not turn:
            path = f"{SIGILS}/{records[0]['id']}/revoke"
            for _ in range(2):
                assert service.call("POST", path, {"reason": "leaked"}, token=acme).status == 200
        service.stop()
    return service.data_dir


@pytest.fixture
def data_dir(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to tamper with."""
    copy = tmp_path / "data"
    shutil.copytree(written, copy)
    return copy


@pytest.fixture
def command(data_dir: Path) -> Command:
    """Runs ``store`` on that folder."""
    unset = dict.fromkeys(os.environ.keys() - clean_environment().keys())

    def run(*arguments: str, **variables: str) -> Result:
        environment = {
            **unset,
            "SIGIL_ENVIRONMENT": "development",
            "SIGIL_DATA_DIR": str(data_dir),
            "SIGIL_HISTORY": "on",
            **variables,
        }
        return CliRunner().invoke(main, ["store", *arguments], env=environment)

    return run


def tamper(data_dir: Path, statements: str) -> None:
    """Change the database as its operator."""
    with database(data_dir / "sigils.db") as connection:
        connection.executescript(statements)


def kinds(done: Result) -> list[str]:
    """What findings a ``verify --json`` names, and that its exit status fits."""
    assert done.exit_code in {0, 1}, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    *findings, summary = lines
    assert summary["valid"] == (done.exit_code == 0)
    assert sum(summary["findings"].values()) >= len(findings)
    return [finding["kind"] for finding in findings]


def test_nothing_is_wrong(command: Command, data_dir: Path) -> None:
    """What a service leaves is valid, with and without the audit log, for people and for programs."""
    done = command("verify")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "valid"
    done = command("verify", "--json", "--audit", str(data_dir / "audit.jsonl"))
    assert kinds(done) == []
    summary: Any = json.loads(done.stdout)
    assert (summary["records"], summary["entries"], summary["acknowledged"]) == (8, 9, 8)
    assert summary["tenants"] == 2
    done = command("verify", "--json", "--tenant", "beta", "--audit", str(data_dir / "audit.jsonl"))
    assert json.loads(done.stdout)["acknowledged"] == json.loads(done.stdout)["records"] == 3


def test_the_end_of_a_chain(command: Command, data_dir: Path) -> None:
    """Whoever takes the newest away, entries and all, is found by the audit log alone."""
    with database(data_dir / "sigils.db") as connection:
        chain, number, record = connection.execute(
            "SELECT chain, max(number), record_id FROM sigil_history WHERE tenant = 'beta'"
        ).fetchone()
        connection.execute("DELETE FROM sigil_history WHERE chain = ? AND number = ?", (chain, number))
        connection.execute("DELETE FROM sigils WHERE id = ?", (record,))
    assert kinds(command("verify", "--json")) == []
    audit = ("--audit", str(data_dir / "audit.jsonl"))
    done = command("verify", *audit)
    assert done.exit_code == 1
    assert done.stdout.startswith("acknowledged_missing  beta  ")
    assert kinds(command("verify", "--json", "--tenant", "acme", *audit)) == []


def test_a_revocation_at_the_end(command: Command, data_dir: Path) -> None:
    """A revocation that is taken back with its entry, and another subject, are found by the audit log."""
    tamper(
        data_dir,
        "DELETE FROM sigil_history WHERE (chain, number) >= (SELECT chain, number FROM sigil_history"
        " WHERE step = 'revoked') AND chain = (SELECT chain FROM sigil_history WHERE step = 'revoked');"
        "UPDATE sigils SET revoked_at_ms = NULL, revoked_by = NULL, revoked_reason = NULL;",
    )
    done = command("verify", "--json", "--audit", str(data_dir / "audit.jsonl"))
    assert "acknowledged_not_revoked" in kinds(done)


def test_all_is_gone(command: Command, data_dir: Path) -> None:
    """A tenant that is not there any more, with nothing left of it, is missed by the audit log."""
    tamper(
        data_dir, "DELETE FROM sigils WHERE tenant = 'beta'; DELETE FROM sigil_history WHERE tenant = 'beta'"
    )
    done = command("verify", "--json", "--audit", str(data_dir / "audit.jsonl"))
    assert kinds(done) == ["acknowledged_missing"] * 3


def test_a_changed_audit_log(command: Command, data_dir: Path) -> None:
    """A log that somebody has changed proves nothing, and is called what it is."""
    path = data_dir / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"acme"', b'"beta"', 1))
    done = command("verify", "--json", "--audit", str(path))
    assert "audit_fault" in kinds(done)
    assert f"{path}, line" in done.stdout


def test_a_history_that_is_gone(command: Command, data_dir: Path) -> None:
    """Records without any entry are a notice for each tenant where histories are on, and none where not."""
    tamper(data_dir, "DELETE FROM sigil_history")
    assert kinds(command("verify", "--json")) == ["no_history"] * 2
    assert kinds(command("verify", "--json", SIGIL_HISTORY="off")) == []
    tamper(data_dir, "DROP TABLE sigil_history")
    done = command("verify")
    assert (done.exit_code, "no such table: sigil_history" in done.stderr) == (69, True)


def test_a_tenant_whose_name_is_none(command: Command, data_dir: Path) -> None:
    """A tenant's name that is no text is found, and all others are looked at all the same."""
    tamper(
        data_dir,
        "UPDATE sigils SET tenant = CAST(x'ff' AS TEXT) WHERE row = 1; DELETE FROM sigils WHERE row = 2;"
        "INSERT INTO sigil_history SELECT CAST(x'62ff' AS TEXT), chain, number, step, record_id, at_ms,"
        " previous, seal FROM sigil_history WHERE tenant = 'beta' AND number = 1",
    )
    found = kinds(command("verify", "--json"))
    assert sorted(found) == ["record_missing", "record_missing", "tenant_unreadable", "tenant_unreadable"]


def test_found_and_named(command: Command, data_dir: Path) -> None:
    """A line says what, whose, which record and entry; control characters reach no terminal."""
    tamper(
        data_dir,
        "UPDATE sigils SET created_by = 'x' || char(27) WHERE row = 1; DELETE FROM sigils WHERE row = 2",
    )
    done = command("verify")
    assert done.exit_code == 1
    assert {line.split("  ")[0] for line in done.stdout.splitlines()[:2]} == {
        "record_altered",
        "record_missing",
    }
    assert "\x1b" not in done.stdout
    assert "NOT VALID" in done.stdout


def test_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal findings are a table, in which ids are whole and nothing is taken for markup."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = FindingsShown(as_json=False)
    record = "01a21431-01d1-7132-a17f-9820ecd7be4a"
    shown.tell(Finding("record_missing", "[red]acme\x1b", "it is not there", record))
    assert capsys.readouterr().out == ""
    shown.finish()
    printed = capsys.readouterr().out
    assert "[red]acme\\x1b" in "".join(printed.split())
    columns = [line.split("│") for line in printed.splitlines() if "│" in line]
    assert "".join(cells[3].strip() for cells in columns) == record


@pytest.mark.heavy("starts a fresh interpreter")
def test_interrupted(data_dir: Path) -> None:
    """Ctrl-C ends a check with one line, and a status of its own."""
    command = [sys.executable, "-m", "app", "store", "verify", "--audit", "/dev/stdin"]
    environment = clean_environment(SIGIL_ENVIRONMENT="development", SIGIL_DATA_DIR=str(data_dir))
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin is not None
            # More than a pipe holds: when it is written the check has begun to read.
            process.stdin.write("x" * (2 << 20))
            process.stdin.flush()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, output, errors) == (130, "", "interrupted\n")


def test_other_keys(command: Command) -> None:
    """Without the key that sealed them, records and entries cannot be judged: they are not called corrupt."""
    done = command("verify", "--json", SPIRAL_EVENT_SECRET="x" * 32)
    assert set(kinds(done)) == {"record_unverifiable", "entry_unverifiable"}


def test_what_cannot_be_checked(command: Command, tmp_path: Path, data_dir: Path) -> None:
    """Settings that cannot work, a database that is not there, or is none: another exit status, and why."""
    done = command("verify", SIGIL_HISTORY="perhaps")
    assert (done.exit_code, "SIGIL_HISTORY" in done.stderr) == (78, True)
    missing = tmp_path / "missing.db"
    done = command("verify", SIGIL_STORE_URL=f"sqlite:///{missing}")
    assert (done.exit_code, "no such database" in done.stderr) == (69, True)
    assert not missing.exists()
    (data_dir / "sigils.db").write_bytes(b"no database" * 1000)
    done = command("verify")
    assert (done.exit_code, done.stdout) == (69, "")
    assert command("verify", "--tenant", "\0").exit_code == 2


def test_old_records_are_purged(command: Command, data_dir: Path) -> None:
    """Purging asks first, deletes what is old, and leaves a history that says so."""
    done = command("purge", "--older-than", "1")
    assert (done.exit_code, done.stdout) == (0, "no record is that old\n")
    done = command("purge", "--older-than", "0", "--tenant", "acme")
    assert done.exit_code == 1
    assert "acme: 5 records" in done.stderr
    assert json.loads(command("verify", "--json").stdout)["records"] == 8
    done = command("purge", "--older-than", "0", "--tenant", "acme", "--yes")
    assert (done.exit_code, done.stdout) == (0, "5 records deleted\n")
    done = command("verify", "--json", "--audit", str(data_dir / "audit.jsonl"))
    assert kinds(done) == []
    summary = json.loads(done.stdout)
    assert (summary["records"], summary["purged"], summary["entries"]) == (3, 5, 10)


@pytest.mark.parametrize("days", ["nan", "inf", "-1", "36501", "1d"])
def test_ages_that_are_none(days: str) -> None:
    """What is no number of days is wrong usage, before the store is looked for."""
    done = CliRunner().invoke(main, ["store", "purge", "--older-than", days, "--yes"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--older-than" in done.stderr


def test_a_copy(command: Command, data_dir: Path, tmp_path: Path) -> None:
    """A backup is a store that is as valid; what is there already is not written over."""
    copy = tmp_path / "copy.db"
    done = command("backup", str(copy))
    assert (done.exit_code, done.stdout) == (0, f"{copy}: {copy.stat().st_size} bytes\n")
    assert kinds(command("verify", "--json", SIGIL_STORE_URL=f"sqlite:///{copy}")) == []
    before = copy.read_bytes()
    done = command("backup", str(copy))
    assert (done.exit_code, str(copy) in done.stderr) == (69, True)
    assert copy.read_bytes() == before


def test_through_a_dnastore(command: Command, data_dir: Path, tmp_path: Path) -> None:
    """What is behind a DNAStore is checked without trusting it, and purged with a word in the history."""
    server = DnaStore(tmp_path, DNASTORE_SERVER_STORE_URL=f"sqlite:///{data_dir / 'sigils.db'}")
    server.start()
    try:
        variables = {**server.client_variables, "SIGIL_STORE_URL": ""}
        done = command("verify", "--json", "--audit", str(data_dir / "audit.jsonl"), **variables)
        assert kinds(done) == []
        assert json.loads(done.stdout)["entries"] == 9
        assert command("backup", str(tmp_path / "copy.db"), **variables).exit_code == 69
        done = command("purge", "--older-than", "0", "--tenant", "beta", "--yes", **variables)
        assert (done.exit_code, done.stdout) == (0, "3 records deleted\n"), done.output
        tamper(data_dir, "UPDATE sigils SET payload = CAST('{}' AS BLOB) WHERE row = 1")
        done = command("verify", "--json", **variables)
        assert kinds(done) == ["record_corrupt"]
        assert json.loads(done.stdout.splitlines()[-1])["purged"] == 3
    finally:
        server.stop()
    done = command("verify", **variables)
    assert (done.exit_code, done.stdout) == (69, "")
    assert server.url in done.stderr or "DNASTORE_URL" in done.stderr
