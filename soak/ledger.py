"""What the service has acknowledged: all of it on disk, a fair sample of it at hand.

A record is kept as its id, its sigil and the number of its payload, so memory does not grow with the run.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, serial INTEGER NOT NULL, sigil TEXT NOT NULL,
    revoked TEXT NOT NULL DEFAULT 'no', seen INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS possible (serial INTEGER PRIMARY KEY, tenant TEXT NOT NULL);
"""
#: Of each tenant's records, how many are at hand.
_AT_HAND: Final = 400


class Entry:
    """An acknowledged record that is at hand.

    Attributes:
        revoking: a revocation was asked for, which may have been done.
        revoked: a revocation was acknowledged.
    """

    __slots__ = ("id", "revoked", "revoking", "serial", "sigil", "tenant")

    def __init__(self, id_: str, tenant: str, serial: int, sigil: str) -> None:
        self.id = id_
        self.tenant = tenant
        self.serial = serial
        self.sigil = sigil
        self.revoking = False
        self.revoked = False


class Reservoir:
    """A sample of all that was ever added, each as likely as any other, of bounded size."""

    def __init__(self, room: int, chance: random.Random) -> None:
        self._room = room
        self._chance = chance
        self._added = 0
        self._kept: list[Entry] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, entry: Entry) -> None:
        """Take an entry in, perhaps in the place of another."""
        self._added += 1
        if len(self._kept) < self._room:
            self._kept.append(entry)
        elif (place := self._chance.randrange(self._added)) < self._room:
            self._kept[place] = entry

    def draw(self) -> Entry | None:
        """Any of them."""
        return self._chance.choice(self._kept) if self._kept else None


class Ledger:
    """The records that one process of load has had acknowledged, in an SQLite file.

    Changes are on disk after ``flush``; the file is nobody else's until then.
    """

    def __init__(self, path: Path, *, first: int = 0, step: int = 1) -> None:
        """Begin a file; its payloads are numbered from ``first`` on, ``step`` apart."""
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        self._chance = random.Random(first)
        self._next = first
        self._step = step
        self._records: list[tuple[str, str, int, str]] = []
        self._revocations: list[tuple[str, str]] = []
        self._possible: list[tuple[int, str]] = []
        self._known: dict[str, Reservoir] = {}
        self._revoked: dict[str, Reservoir] = {}

    def serial(self) -> int:
        """The number of a payload that was never used."""
        serial = self._next
        self._next += self._step
        return serial

    def acknowledge(self, entry: Entry) -> None:
        """Keep a record that was acknowledged."""
        self._records.append((entry.id, entry.tenant, entry.serial, entry.sigil))
        self._reservoir(self._known, entry.tenant).add(entry)

    def possible(self, serial: int, tenant: str) -> None:
        """Note that a record may exist that nobody has acknowledged, or a second one."""
        self._possible.append((serial, tenant))

    def revoke(self, entry: Entry, *, certain: bool) -> None:
        """Note that a revocation was acknowledged, or, if that is not certain, may have been done."""
        self._revocations.append(("yes" if certain else "perhaps", entry.id))
        if certain:
            entry.revoked = True
            self._reservoir(self._revoked, entry.tenant).add(entry)

    def known(self, tenant: str) -> Entry | None:
        """Any record of a tenant."""
        return self._reservoir(self._known, tenant).draw()

    def revoked(self, tenant: str) -> Entry | None:
        """Any record of a tenant whose revocation was acknowledged."""
        return self._reservoir(self._revoked, tenant).draw()

    def foreign(self, tenant: str) -> Entry | None:
        """Any record of another tenant."""
        others = [name for name, entries in self._known.items() if name != tenant and len(entries)]
        return self.known(self._chance.choice(others)) if others else None

    def flush(self) -> None:
        """Have all on disk."""
        records, self._records = self._records, []
        revocations, self._revocations = self._revocations, []
        possible, self._possible = self._possible, []
        with self._connection:
            self._connection.executemany(
                "INSERT OR IGNORE INTO records (id, tenant, serial, sigil) VALUES (?, ?, ?, ?)", records
            )
            self._connection.executemany(
                "UPDATE records SET revoked = ? WHERE id = ? AND revoked <> 'yes'", revocations
            )
            self._connection.executemany("INSERT OR IGNORE INTO possible VALUES (?, ?)", possible)

    def close(self) -> None:
        """Have all on disk, and end."""
        self.flush()
        self._connection.close()

    def _reservoir(self, of: dict[str, Reservoir], tenant: str) -> Reservoir:
        if tenant not in of:
            of[tenant] = Reservoir(_AT_HAND, self._chance)
        return of[tenant]


class Acknowledged(NamedTuple):
    """A record as it must be found: its revocation is ``yes``, ``no`` or ``perhaps``."""

    id: str
    tenant: str
    serial: int
    sigil: str
    revoked: str


class Ledgers:
    """The ledgers of all processes of load that have ended, to look for what is in them. For any thread."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._connections = [sqlite3.connect(path, check_same_thread=False) for path in paths]
        self._lock = threading.Lock()

    def close(self) -> None:
        """End."""
        for connection in self._connections:
            connection.commit()
            connection.close()

    def count(self) -> int:
        """How many records were acknowledged."""
        return sum(int(rows[0]) for rows in self._each("SELECT count(*) FROM records"))

    def tenants(self) -> list[str]:
        """Whose they are."""
        return sorted({str(rows[0]) for rows in self._each("SELECT DISTINCT tenant FROM records")})

    def find(self, ids: Sequence[str]) -> dict[str, Acknowledged]:
        """Those of some ids that were acknowledged."""
        marks = ",".join("?" * len(ids))
        rows = self._each(
            f"SELECT id, tenant, serial, sigil, revoked FROM records WHERE id IN ({marks})",  # noqa: S608
            ids,
        )
        return {row[0]: Acknowledged(*row) for row in rows}

    def see(self, ids: Sequence[str]) -> None:
        """Note that these have been found."""
        with self._lock:
            for connection in self._connections:
                connection.executemany("UPDATE records SET seen = 1 WHERE id = ?", [(one,) for one in ids])

    def unseen(self, limit: int) -> list[Acknowledged]:
        """Some of those that have not been found."""
        query = "SELECT id, tenant, serial, sigil, revoked FROM records WHERE seen = 0 LIMIT ?"
        return [Acknowledged(*row) for row in self._each(query, [limit])]

    def unseen_count(self) -> int:
        """How many have not been found."""
        return sum(int(row[0]) for row in self._each("SELECT count(*) FROM records WHERE seen = 0"))

    def of_serial(self, serial: int) -> list[Acknowledged]:
        """The acknowledged records over one payload. Looks at all."""
        query = "SELECT id, tenant, serial, sigil, revoked FROM records WHERE serial = ?"
        return [Acknowledged(*row) for row in self._each(query, [serial])]

    def possible(self, serial: int) -> str | None:
        """Whose record over a payload may exist unacknowledged."""
        return next(
            (str(row[0]) for row in self._each("SELECT tenant FROM possible WHERE serial = ?", [serial])),
            None,
        )

    def _each(self, query: str, values: Sequence[object] = ()) -> Sequence[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return [row for connection in self._connections for row in connection.execute(query, values)]
