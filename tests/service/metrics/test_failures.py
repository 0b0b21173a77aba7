"""What metrics tell when something fails, and until when certificates are valid."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from app.server.certificates import end_of_authorities
from core.tls import read_certificate
from tests.service.audit.test_audit import break_log
from tests.service.metrics.test_metrics import eventually
from tests.service.metrics.test_service_metrics import of, samples
from tests.service.running import SIGILS, Service
from tests.service.server.tls_files import DAY, NOW, Authority, client, trusting, variables


def test_log_and_store_that_fail(new_service: Callable[..., Service]) -> None:
    """A log that cannot be written and a store without its file are told of, with the calls that it cost."""
    service = new_service(SIGIL_AUDIT_FAILURE="open").start()
    token = service.token()
    mend = break_log(service)
    service.encode({"a": 1}, token=token)
    eventually(lambda: of(samples(service), "sigil_audit_up") == 0)
    assert of(samples(service), "sigil_storage_up") == 1
    mend()
    eventually(lambda: of(samples(service), "sigil_audit_up") == 1)
    (service.data_dir / "sigils.db").unlink()
    assert service.call("POST", SIGILS, {"data": {"a": 2}}, token=token).status == 503
    found = samples(service)
    assert of(found, "sigil_storage_up") == 0
    assert of(found, "sigil_storage_failures_total", reason="replaced") >= 1
    assert of(found, "sigil_encode_total", tenant_class="default", outcome="failed") == 1
    assert of(found, "sigil_error_total", code="store_unavailable") == 1


def test_certificates_end(new_service: Callable[..., Service], tmp_path: Path) -> None:
    """The ends of the certificate and of the clients' authority are there, and new ones after a reload."""
    authority = Authority(tmp_path / "tls")
    certificate, key = authority.issue("service")
    service = new_service(**variables((certificate, key), authority.path)).start()
    trusting(service, client(authority, authority.issue("caller")))
    name = "sigil_certificate_not_after_timestamp_seconds"

    def end() -> float:
        return of(samples(service), name, certificate="server")

    eventually(lambda: end() == read_certificate(certificate).not_valid_after_utc.timestamp())
    assert of(samples(service), name, certificate="client_ca") == end_of_authorities(authority.path)
    newer, newer_key = authority.issue("newer", not_after=NOW + 9 * DAY)
    newer_key.replace(key)
    newer.replace(certificate)
    os.kill(service.pid, signal.SIGHUP)
    eventually(
        lambda: (
            end()
            == read_certificate(certificate).not_valid_after_utc.timestamp()
            > (NOW + 8 * DAY).timestamp()
        )
    )
