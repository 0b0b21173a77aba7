"""What is done for callers who no longer wait: their time was over, or the service stops."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.store.sql_writer import Write
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import SECRET, events
from tests.service.running import SIGILS


async def test_what_is_done_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store keeps for a request that was cancelled is audited, also in the middle of a stop."""
    log = tmp_path / "audit.jsonl"
    audit = AuditLog(AuditFile(log, SECRET), required=True)
    application = InProcess(tmp_path, audit)
    token = application.token("acme")
    submitted: list[object] = []
    submit = application.store._writer.submit

    def counted(write: Write) -> asyncio.Future[Any]:
        submitted.append(write)
        return submit(write)

    monkeypatch.setattr(application.store._writer, "submit", counted)
    lines = {"Content-Type": "application/x-ndjson"}
    calls: list[tuple[str, object, dict[str, str]]] = [
        (SIGILS, {"data": {}}, {}),
        (SIGILS, {"data": {"a": 1}}, {}),
        (f"{SIGILS}/batch", b'{"data":{}}\n{"data":{"a":1}}', lines),
    ]
    with closing(sqlite3.connect(tmp_path / "sigils.db", isolation_level=None)) as database:
        async with application.lifespan():
            kept = await application.call("POST", SIGILS, {"data": {}}, token=token)
            calls.append((f"{SIGILS}/{kept.json['id']}/revoke", {"reason": "x"}, {}))
            database.execute("BEGIN IMMEDIATE")
            tasks = [
                asyncio.create_task(application.call("POST", path, body, token=token, headers=headers))
                for path, body, headers in calls
            ]
            async with asyncio.timeout(30):
                while len(submitted) < 1 + len(calls):  # noqa: ASYNC110 - the tasks have no event for it
                    await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()
            assert {(await task).status for task in tasks} == {503}
            asyncio.get_running_loop().call_later(0.1, database.execute, "ROLLBACK")
        stored = database.execute("SELECT COUNT(*), COUNT(revoked_at_ms) FROM sigils").fetchone()
    await audit.close()
    assert stored == (5, 1)
    assert sorted(events(log)[1:]) == [*["sigil.encoded"] * 5, "sigil.revoked"]
