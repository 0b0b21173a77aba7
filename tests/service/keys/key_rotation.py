"""Clients at work while keys change, and the key ring's file in an operator's hands."""

from __future__ import annotations

import collections
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from app.cli import main
from core.keys import ring_digest
from sigil_native import KeyRing
from tests.service.running import SIGILS, Service, clean_environment

_DEADLINE = 60.0


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what must come to be."""
    deadline = time.monotonic() + _DEADLINE
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)


class Client(threading.Thread):
    """Seals, verifies what it and others have sealed, and reads it back; remembers what went wrong.

    Connections are kept, and one is opened anew from time to time, so that several processes of a
    service get to see each other's sigils.
    """

    def __init__(self, port: int, token: str, sealed: collections.deque[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._sealed = sealed
        self._stopping = threading.Event()
        self.turns = 0
        self.failures: list[Any] = []
        #: Key ids whose sigils are expected to verify no more.
        self.given_up: set[str] = set()

    def stop(self) -> None:
        """End after this turn."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop."""
        try:
            while not self._stopping.is_set():
                self._turn()
                self.turns += 1
        except Exception as error:
            self.failures.append(error)
        self._connection.close()

    def _turn(self) -> None:
        if self.turns % 10 == 9:
            self._connection.close()
        record = self._call("POST", SIGILS, {"data": {"turn": self.turns}}, 201)
        self._sealed.append({**record, "data": {"turn": self.turns}})
        for known in (self._sealed[-1], random.choice(tuple(self._sealed))):
            asked = {"sigil": known["sigil"], "data": known["data"]}
            verdict = self._call("POST", f"{SIGILS}/verify", asked, 200)
            if not verdict["valid"] and known["key_id"] not in self.given_up:
                self.failures.append((known["key_id"], verdict))
        self._call("GET", f"{SIGILS}/{record['id']}", None, 200)

    def _call(self, method: str, path: str, body: object, expected: int) -> Any:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, body=data, headers=self._headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != expected:
            self.failures.append((path, response.status, answer))
        return answer


class Load:
    """Several clients of one service."""

    def __init__(self, service: Service, clients: int = 4) -> None:
        self.sealed: collections.deque[dict[str, Any]] = collections.deque(maxlen=500)
        token = service.token()
        self.clients = [Client(service.port, token, self.sealed) for _ in range(clients)]
        for client in self.clients:
            client.start()

    def go_on(self, turns: int = 10) -> None:
        """Let every client take some more turns."""
        goals = [(client, client.turns + turns) for client in self.clients]
        for client, goal in goals:
            wait_until(lambda client=client, goal=goal: client.turns >= goal or not client.is_alive())  # type: ignore[misc]
        assert not self.failures(), self.failures()[:3]

    def give_up(self, key_id: str) -> None:
        """Expect no more that this key's sigils verify."""
        for client in self.clients:
            client.given_up.add(key_id)

    def failures(self) -> list[Any]:
        """All that went wrong so far."""
        return [failure for client in self.clients for failure in client.failures]

    def finish(self) -> int:
        """Stop the clients; how many turns they took."""
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join(_DEADLINE)
        assert not self.failures(), self.failures()[:3]
        return sum(client.turns for client in self.clients)


class Operator:
    """Changes a service's key ring file, and waits until every process has taken a change up."""

    def __init__(self, path: Path, workers: int = 1) -> None:
        self.path = path
        self._workers = workers

    def keys(self, *arguments: str) -> str:
        """What ``python -m app keys`` prints."""
        unset = dict.fromkeys(os.environ.keys() - clean_environment().keys())
        done = CliRunner().invoke(main, ["keys", *arguments], env={**unset, "SIGIL_KEYRING": str(self.path)})
        assert done.exit_code == 0, done.stderr
        return done.stdout.strip()

    def taken_up(self, service: Service, *, ask: bool = False) -> None:
        """Wait until the log of each process has the file's ring; with ``ask``, send SIGHUP first."""
        if ask:
            os.kill(service.pid, signal.SIGHUP)
        digest = ring_digest(KeyRing.load(self.path))

        def everywhere() -> bool:
            records = [*service.logged("key ring changed"), *service.logged("key ring loaded")]
            latest = {record["pid"]: record["ring"] for record in sorted(records, key=_time)}
            return len(latest) >= self._workers and set(latest.values()) == {digest}

        wait_until(everywhere)


def ways_to_spoil(path: Path) -> dict[str, Callable[[], None]]:
    """Ways to make a key ring file useless, in place or by replacing it."""
    good = path.read_bytes()
    twice = {**json.loads(good), "keys": json.loads(good)["keys"] * 2}

    def in_place(content: bytes) -> Callable[[], None]:
        def spoil() -> None:
            path.write_bytes(content)

        return spoil

    def replaced(content: bytes) -> None:
        other = path.with_name("other")
        other.write_bytes(content)
        other.replace(path)

    def folder() -> None:
        path.unlink()
        path.mkdir()

    return {
        "truncated": in_place(good[: len(good) // 2]),
        "truncated and replaced": lambda: replaced(good[: len(good) // 2]),
        "empty": in_place(b""),
        "garbage": in_place(b"\xff\x00" * 100),
        "other JSON": lambda: replaced(b'["hunter2"]'),
        "weak": in_place(b'{"version":1,"keys":[{"secret":"hunter2"}]}'),
        "twice": in_place(json.dumps(twice).encode()),
        "large": in_place(good + b" " * (1 << 20)),
        "missing": path.unlink,
        "folder": folder,
    }


def _time(record: dict[str, Any]) -> str:
    return str(record["timestamp"])
