"""Services that keep their records in a DNAStore, killed and frozen under load, and the DNAStore too."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.processes import freeze
from tests.faults.dnastore_stand import Stand, running_stand
from tests.faults.sabotaged import chosen_seed
from tests.faults.store_traffic import stored_in
from tests.service.running import SIGILS, Service

pytestmark = pytest.mark.heavy("kills for half a minute")
ROUNDS = 12
CLIENTS = 8
#: Records that each client has sealed before something is killed.
BUSY = 40
IMPATIENT = {"DNASTORE_TIMEOUT": "1", "DNASTORE_BREAKER_PAUSE": "0.1"}


class Client(threading.Thread):
    """Seals under keys, sends what was not answered again under the same key, until it is told to stop."""

    def __init__(self, name: str, token: str, port: Callable[[], int]) -> None:
        super().__init__(name=name, daemon=True)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.port = port
        #: The id of the record of each key.
        self.answered: dict[str, str] = {}
        self.statuses: Counter[int] = Counter()
        #: Requests without an answer.
        self.lost = 0
        self.wrong: list[str] = []
        self.stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Seal one after the other."""
        while not self.stopping.is_set():
            key = f"{self.name}-{len(self.answered)}"
            record = self.sealed(key)
            while record is None and not self.stopping.wait(0.02):
                record = self.sealed(key)
            if record is not None:
                self.answered[key] = record["id"]
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sealed(self, key: str) -> Any:
        """The record of a key; None if there was no answer, or one that says that it may be tried again."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=10)
            body = json.dumps({"data": {"key": key}})
            self._connection.request("POST", SIGILS, body, {**self.headers, "Idempotency-Key": key})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            self.lost += 1
            return None
        self.statuses[response.status] += 1
        if response.status == 201:
            return answer
        if response.status != 503 or "Retry-After" not in response.headers:
            self.wrong.append(f"{response.status} {answer}")
        return None


def stored_keys(stand: Stand) -> dict[str, list[str]]:
    """The ids of the records of each key, as the DNAStore has them."""
    found: dict[str, list[str]] = {}
    for record in stored_in(stand.database):
        assert record.payload is not None
        found.setdefault(json.loads(record.payload)["key"], []).append(record.id)
    return found


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_service(service: Service, stand: Stand, chance: random.Random) -> None:
    """End the service, and start it again."""
    service.kill()
    service.start()


def freeze_service(service: Service, stand: Stand, chance: random.Random) -> None:
    """Stop the service for a while."""
    freeze(service.pid)
    time.sleep(chance.uniform(0, 1))
    os.kill(service.pid, signal.SIGCONT)


def kill_dnastore(service: Service, stand: Stand, chance: random.Random) -> None:
    """End the DNAStore, and start it again after a while."""
    stand.server.kill()
    time.sleep(chance.uniform(0, 1))
    stand.server.start()
    stand.proxy.target = stand.server.port


def freeze_dnastore(service: Service, stand: Stand, chance: random.Random) -> None:
    """Stop the DNAStore for a while."""
    freeze(stand.server.pid)
    time.sleep(chance.uniform(0, 2))
    os.kill(stand.server.pid, signal.SIGCONT)


def kill_both(service: Service, stand: Stand, chance: random.Random) -> None:
    """End both, the service first or last."""
    for one in chance.sample([kill_service, kill_dnastore], 2):
        one(service, stand, chance)


KILLS = [kill_service, kill_dnastore, kill_both, freeze_service, freeze_dnastore]


@contextlib.contextmanager
def sealing(service: Service) -> Iterator[list[Client]]:
    """Clients at work, which have got their last answer afterwards."""
    token = service.token()
    clients = [Client(f"client-{number}", token, lambda: service.port) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(30)


def kill_under_load(service: Service, stand: Stand, chance: random.Random) -> dict[str, str]:
    """Kill and freeze one after the other; the record of each key."""
    done: Counter[str] = Counter()
    with sealing(service) as clients:
        for number in range(1, ROUNDS + 1):
            wait_for(lambda: all(len(client.answered) >= BUSY * number for client in clients))  # noqa: B023
            happens = chance.choice(KILLS)
            done[happens.__name__] += 1
            time.sleep(chance.uniform(0, 0.1))
            happens(service, stand, chance)
        wait_for(lambda: all(len(client.answered) >= BUSY * (ROUNDS + 1) for client in clients))
    statuses = sum((client.statuses for client in clients), Counter[int]())
    print(f"{dict(done)}: answered {dict(statuses)}, lost {sum(client.lost for client in clients)}")
    assert [wrong for client in clients for wrong in client.wrong] == []
    answered: dict[str, str] = {}
    for client in clients:
        answered |= client.answered
    return answered


def test_kills_under_load(tmp_path: Path) -> None:
    """Whatever is killed or frozen, each key that was answered has its record in the DNAStore, no other."""
    chance = random.Random(chosen_seed())
    with running_stand(tmp_path / "dnastore") as stand:
        service = Service(tmp_path, SPIRAL_EVENT_SECRET="s" * 32, **stand.variables, **IMPATIENT).start()
        try:
            answered = kill_under_load(service, stand, chance)
            found = stored_keys(stand)
            assert {key: found.get(key) for key in answered} == {key: [one] for key, one in answered.items()}
            assert all(len(ids) == 1 for ids in found.values())
            token = service.token()
            again = Client("again", token, lambda: service.port)
            for key in chance.sample(sorted(answered), 20):
                assert again.sealed(key)["id"] == answered[key]
            again.close()
        finally:
            service.kill()


def test_kills_under_load_with_a_spool(tmp_path: Path) -> None:
    """With a spool, every key that was answered has its record in the DNAStore in the end, just once."""
    chance = random.Random(chosen_seed())
    with running_stand(tmp_path / "dnastore") as stand:
        service = Service(
            tmp_path, SPIRAL_EVENT_SECRET="s" * 32, **stand.variables, **IMPATIENT, DNASTORE_SPOOL="on"
        ).start()
        try:
            answered = kill_under_load(service, stand, chance)
            ids = set(answered.values())
            wait_for(lambda: ids <= {record.id for record in stored_in(stand.database)})
            found = stored_keys(stand)
            assert all(answered[key] in found[key] for key in answered)
            stored = [one for ids in found.values() for one in ids]
            assert len(stored) == len(set(stored))
            # What nobody was told of before a kill may be there too, beside what the retry was told.
            extra = sum(len(ids) - 1 for ids in found.values())
            print(f"{len(answered)} keys, {extra} records more")
            assert extra <= ROUNDS * CLIENTS
        finally:
            service.kill()
