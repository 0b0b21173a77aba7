"""The application in the test's own process, with limits and an audit log that it must have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.limits.limits import rate_limits_from
from app.metrics.observers import Observers
from core.audit.file import AuditFile
from core.audit.log import AuditLog
from core.rate_settings import RateSettings
from tests.service.api.both_ways import BURST, BothWays
from tests.service.api.in_process import InProcess
from tests.service.audit.audits import SECRET


@pytest.fixture
async def required_audit(tmp_path: Path) -> AsyncIterator[AuditLog]:
    """An audit log that the application must have."""
    audit = AuditLog(AuditFile(tmp_path / "audit.jsonl", SECRET), required=True)
    yield audit
    await audit.close()


@pytest.fixture
async def limited(tmp_path: Path, required_audit: AuditLog) -> AsyncIterator[InProcess]:
    """The application with limits."""
    settings = RateSettings.model_validate({"SIGIL_RATE_LIMIT": BURST, "SIGIL_RATE_WINDOW": 86400})
    limits = rate_limits_from(settings, None, required_audit, Observers().limits)
    application = InProcess(tmp_path, required_audit, rate_limits=limits)
    async with application.lifespan():
        yield application


@pytest.fixture
def both_ways(limited: InProcess, required_audit: AuditLog, tmp_path: Path) -> BothWays:
    """The same, to be asked in two ways."""
    return BothWays(limited, required_audit, tmp_path / "audit.jsonl")
