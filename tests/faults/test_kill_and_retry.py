"""The service killed before its answer arrives: a retry with the same key gives the same sigil."""

from __future__ import annotations

import http.client
import json
import random
import socket
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.heavy import HEAVY
from tests.service.running import SIGILS, Service

ROUNDS = 20 if HEAVY else 2
CLIENTS = 8


def request(token: str, key: str) -> bytes:
    """A request to seal the payload that belongs to a key, as it goes over the wire."""
    body = json.dumps({"data": {"key": key}})
    head = (
        f"POST {SIGILS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n\r\n"
    )
    return (head + body).encode()


def records(service: Service) -> Counter[str]:
    """How many records there are of each payload, by its key."""
    with closing(sqlite3.connect(service.data_dir / "sigils.db")) as connection:
        rows = connection.execute("SELECT payload FROM sigils").fetchall()
    return Counter(json.loads(payload)["key"] for (payload,) in rows)


def retry(service: Service, token: str, key: str) -> tuple[Any, bool]:
    """Send a request again; the record, and whether it was there already."""
    answer = service.call(
        "POST", SIGILS, {"data": {"key": key}}, token=token, headers={"Idempotency-Key": key}
    )
    assert answer.status == 201, answer.body
    return answer.json, "idempotency-replayed" in answer.headers


def test_an_answer_that_was_lost(tmp_path: Path) -> None:
    """Killed after the commit and before anybody reads the answer, the record is found by its key."""
    service = Service(tmp_path, SPIRAL_EVENT_SECRET="s" * 32).start()
    try:
        token = service.token()
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(request(token, "lost"))
            while not records(service):
                pass
            service.kill()
        service.start()
        record, replayed = retry(service, token, "lost")
        assert replayed
        assert service.verify(record["sigil"], {"key": "lost"}, token=token)["valid"]
        assert records(service) == {"lost": 1}
    finally:
        service.kill()


class Client(threading.Thread):
    """Seals under keys as fast as it gets answers, and remembers the last key that got none."""

    def __init__(self, port: int, token: str, name: str) -> None:
        super().__init__(name=name)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.token = token
        self.answered: dict[str, str] = {}
        self.unanswered = ""
        self.busy = threading.Event()

    def run(self) -> None:
        """Work until the connection breaks."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            while True:
                key = self.unanswered = f"{self.name}-{len(self.answered)}"
                body = json.dumps({"data": {"key": key}})
                self.connection.request("POST", SIGILS, body, {**headers, "Idempotency-Key": key})
                self.answered[key] = json.loads(self.connection.getresponse().read())["id"]
                if len(self.answered) == 10:
                    self.busy.set()
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()


def test_retries_after_kills_under_load(tmp_path: Path) -> None:
    """Over several kills, with every unanswered request sent again, each key has exactly one record."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    service = Service(tmp_path, SPIRAL_EVENT_SECRET="s" * 32).start()
    answered: dict[str, str] = {}
    found = 0
    try:
        for turn in range(ROUNDS):
            token = service.token()
            clients = [Client(service.port, token, f"{turn}-{number}") for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                assert client.busy.wait(60)
            time.sleep(chance.uniform(0, 0.1))
            service.kill()
            for client in clients:
                client.join()
            service.start()
            for client in clients:
                record, replayed = retry(service, token, client.unanswered)
                found += replayed
                answered |= client.answered | {client.unanswered: record["id"]}
        for key in chance.sample(sorted(answered), 20):
            record, replayed = retry(service, token, key)
            assert replayed
            assert record["id"] == answered[key]
        print(f"{found} of {ROUNDS * CLIENTS} unanswered requests had been sealed")
        assert records(service) == dict.fromkeys(answered, 1)
    finally:
        service.kill()
