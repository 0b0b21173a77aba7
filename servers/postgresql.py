"""A real PostgreSQL server for tests, of a folder of its own. Stopped by its process id.

PostgreSQL refuses to run as root: there it runs as the user that its packages make.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg

from servers.processes import freeze

USER = "sigil"
PASSWORD = "only for tests: s3cret"

_OPTIONS = {
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "deadlock_timeout": "100ms",
    "log_min_messages": "warning",
}
#: For what is not about durability.
_HASTY = {"fsync": "off", "full_page_writes": "off"}
_START_SECONDS = 60.0


def program(name: str) -> str:
    """One of PostgreSQL's programs; Debian does not put the server's on the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(installed[-1]) if installed else shutil.which(name)
    assert found is not None, f"PostgreSQL is not installed: no {name}"
    return found


def _as_its_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


def _fields(pid: int | str) -> list[str]:
    """What is behind a process's name, in which there may be brackets (proc(5)): state, parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # it has ended
        return ["Z", "0"]


def _state(pid: int) -> str:
    return _fields(pid)[0]


def _children(pid: int) -> list[int]:
    numbers = [folder.name for folder in Path("/proc").glob("[0-9]*")]
    return [int(number) for number in numbers if int(_fields(number)[1]) == pid]


class PostgresServer:
    """One server on loopback, and on a socket in its folder."""

    def __init__(self, folder: Path, *, durable: bool = False, **options: str) -> None:
        """Make its files, start it, and wait until it answers.

        Args:
            folder: empty; belongs to the user that the server runs as.
            durable: whether it syncs what it commits.
            options: more settings.
        """
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            self.port = listener.getsockname()[1]
        self._options = {**_OPTIONS, **({} if durable else _HASTY), **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", f"--username={USER}")
        self.start()

    def _run(self, name: str, *arguments: str) -> None:
        command = [*_as_its_user(), program(name), *arguments, f"--pgdata={self.folder / 'data'}"]
        command += ["--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        password = PASSWORD.replace(" ", "%20").replace(":", "%3A")
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection for the test's own questions; each statement is a transaction."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10)

    def new_database(self) -> str:
        """Make an empty database; its URL."""
        name = f"test_{next(self._names)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def emptied_database(self) -> str:
        """The URL of a database that all tests share, one after another; much quicker than a new one."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tests'"
            )
            if connection.execute("SELECT FROM pg_database WHERE datname = 'tests'").fetchone() is None:
                connection.execute("CREATE DATABASE tests")
        with self.connect("tests") as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.url("tests")

    def start(self) -> None:
        """Start it, with the files that it has."""
        options = [f"--{name}={value}" for name, value in self._options.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*_as_its_user(), program("postgres"), "-D", str(self.folder / "data")),
                    *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), *options),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "it does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def freeze(self) -> None:
        """Stop it where it is: connections stay, nothing is answered."""
        freeze(self.pid)  # it makes no more processes, and buries none
        for pid in _children(self.pid):
            os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 20
        while any(_state(pid) not in {"T", "Z"} for pid in _children(self.pid)):
            assert time.monotonic() < end, "it goes on"
            time.sleep(0.001)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        for pid in (*_children(self.pid), self.pid):
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it as an operator does who does not wait for its clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it, all its processes, without warning."""
        if self._process is not None:
            children = _children(self.pid)
            self._process.kill()
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


@contextmanager
def running_postgres(*, durable: bool = False, **options: str) -> Iterator[PostgresServer]:
    """A server, ended afterwards, and its files removed."""
    # Not in pytest's folders: those are closed to other users.
    with tempfile.TemporaryDirectory(prefix="sigil-postgres-") as name:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(name, user.pw_uid, user.pw_gid)
        server = PostgresServer(Path(name), durable=durable, **options)
        try:
            yield server
        finally:
            server.kill()
