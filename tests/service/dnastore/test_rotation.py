"""Certificates of both sides that change under load."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.service.dnastore.running import DnaStore
from tests.service.running import SIGILS, Program, Service

pytestmark = pytest.mark.heavy("takes seconds")
ROUNDS = 5
CALLERS = 8


def replace(new: tuple[Path, Path], old: tuple[Path, Path]) -> None:
    """Put a new certificate and key in the place of others."""
    for source, target in zip(new, old, strict=True):
        shutil.copy(source, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)


def test_rotation_under_load(
    new_dnastore: Callable[..., DnaStore], new_service: Callable[..., Service]
) -> None:
    """Both sides change their certificates again and again under load, and no request fails."""
    dnastore = new_dnastore(DNASTORE_SERVER_RELOAD_SECONDS="0.05").start()
    service = new_service(**dnastore.client_variables, SIGIL_RELOAD_SECONDS="0.05").start()
    token = service.token()
    stop = threading.Event()
    statuses: list[int] = []

    def call() -> None:
        with contextlib.closing(service.connection()) as connection:
            while not stop.is_set():
                answer = service.call("POST", SIGILS, {"data": {"n": 1}}, token=token, connection=connection)
                path = f"{SIGILS}/{answer.json['id']}"
                statuses.extend(
                    (answer.status, service.call("GET", path, token=token, connection=connection).status)
                )

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        for number in range(ROUNDS):
            replace(dnastore.authority.issue(f"client-{number}", host="sigil-service"), dnastore.identity)
            replace(dnastore.authority.issue(f"server-{number}"), dnastore.server_identity)
            _until(partial(_changes, service, "dnastore certificate changed", number))
            _until(partial(_changes, dnastore, "certificate changed", number))
            enough = len(statuses) + 100
            _until(lambda enough=enough: len(statuses) > enough)  # type: ignore[misc]
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert set(statuses) == {200, 201}
    assert not service.logged("dnastore failing")
    (event, *_) = (line for line in _audited(service) if "certificate.changed" in line)
    assert "PRIVATE" not in event


def test_a_bad_set_is_not_taken_up(
    new_dnastore: Callable[..., DnaStore], new_service: Callable[..., Service]
) -> None:
    """A key that does not fit is refused in the log and the audit log, and the last good set goes on."""
    dnastore = new_dnastore().start()
    service = new_service(**dnastore.client_variables, SIGIL_RELOAD_SECONDS="0.05").start()
    token = service.token()
    _, other_key = dnastore.authority.issue("other", host="sigil-service")
    shutil.copy(other_key, dnastore.identity[1])
    _until(lambda: bool(service.logged("dnastore certificate refused")))
    (refusal,) = service.logged("dnastore certificate refused")
    assert refusal["reason"] == "mismatch"
    service.encode({"n": 1}, token=token)
    assert any("certificate.refused" in line for line in _audited(service))


def _changes(program: Program, event: str, so_far: int) -> bool:
    """Whether certificates have changed once more."""
    return len(program.logged(event)) > so_far


def _audited(service: Service) -> list[str]:
    return (service.data_dir / "audit.jsonl").read_text().splitlines()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
