"""Real Redis servers for tests: one, or a cluster of six. Stopped by their process ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from servers.processes import freeze

#: Milliseconds in which a cluster notices that a node is away.
NODE_TIMEOUT = 1000


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, whose cluster ports (10000 more) are free too."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            listener = socket.socket()
            held.append(listener)
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1] - 10_000
            with socket.socket() as other:
                try:
                    other.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port > 1024 and port not in found:
                found.append(port)
        return found
    finally:
        for listener in held:
            listener.close()


def wait_until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


class RedisServer:
    """One ``redis-server`` without persistence, on loopback and on a socket in a folder."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        """Start it, and wait until it answers."""
        self.folder = folder
        self.port = port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its URL over TCP."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def client(self) -> redis.Redis:
        """A client for the test's own questions."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)

    def start(self) -> None:
        """Start it, empty."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log").touch()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("redis-server", "--bind", "127.0.0.1", "--port", str(self.port)),
                    *("--unixsocket", str(self.folder / "redis.sock"), "--dir", str(self.folder)),
                    *("--save", "", "--appendonly", "no", *self._options),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers)

    def freeze(self) -> None:
        """Stop it where it is: connections stay, nothing is answered."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


class RedisClusterServers:
    """Six nodes: three masters with a replica each."""

    def __init__(self, folder: Path) -> None:
        """Start them and join them."""
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)]
        # A replica takes over at once, however long it was without its master.
        options += ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"]
        self.servers: list[RedisServer] = []
        try:
            for port in free_ports(6):
                self.servers.append(RedisServer(folder / str(port), port, *options))
            self._join()
        except BaseException:
            self.kill()
            raise

    def _join(self) -> None:
        addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        joined = subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert joined.returncode == 0, joined.stdout + joined.stderr
        wait_until(self.whole)

    @property
    def url(self) -> str:
        """A URL with three of the nodes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])

    def server(self, port: int) -> RedisServer:
        """The node at a port."""
        return next(server for server in self.servers if server.port == port)

    def whole(self) -> bool:
        """Whether all nodes see all slots served and each master with a replica that follows it."""
        for server in self.servers:
            with server.client() as client:
                try:
                    info = str(client.execute_command("CLUSTER", "INFO"))
                    nodes = str(client.execute_command("CLUSTER", "NODES"))
                    role: Any = client.execute_command("ROLE")
                except redis.RedisError:
                    return False
            if "cluster_state:ok" not in info or "fail" in nodes or nodes.count("slave") != 3:
                return False
            if role[0] == "slave" and role[3] != "connected":
                return False
        return True

    def master_of(self, key: str) -> RedisServer:
        """The node that has a key now, as the nodes that answer see it."""
        slot = redis.crc.key_slot(key.encode())
        for server in self.servers:
            if not server.running:
                continue
            with server.client() as client:
                try:
                    ranges: Any = client.execute_command("CLUSTER", "SLOTS")
                except redis.RedisError:
                    continue
            for first, last, (_, port, *_), *_ in ranges:
                if first <= slot <= last:
                    return self.server(port)
        raise AssertionError("nobody has it")

    def kill(self) -> None:
        """End all nodes."""
        for server in self.servers:
            server.kill()


@contextmanager
def running_server(folder: Path) -> Iterator[RedisServer]:
    """One server, ended afterwards."""
    server = RedisServer(folder, free_ports(1)[0])
    try:
        yield server
    finally:
        server.kill()
