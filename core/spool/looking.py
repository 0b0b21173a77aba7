"""A spool's content for people: what waits, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from core.spool.rows import DamagedWriteError, kind_of, read_write

_ROWS: Final = (
    "SELECT sequence, tenant, record_id, at_ms, size, checksum, body, '' AS reason FROM spool_writes"
    " WHERE sequence > :after UNION ALL"
    " SELECT sequence, tenant, record_id, at_ms, size, checksum, body, reason FROM spool_rejected"
    " WHERE sequence > :after ORDER BY sequence LIMIT :limit"
)
_PIECE: Final = 200


class Shown(NamedTuple):
    """A write in a spool.

    Attributes:
        sequence: its place in the order.
        state: whether it waits or was set aside.
        reason: why it was set aside.
        kind: ``put``, ``put_once`` or ``revoke``; ``damaged`` if it cannot be read.
        tenant: whose records it holds.
        record_id: of the first of them.
        at_ms: when it came, in milliseconds since the Unix epoch.
        size: bytes that it takes, about.
        write: as it would be sent; of a damaged one, what is left of it.
    """

    sequence: int
    state: Literal["waiting", "rejected"]
    reason: str
    kind: str
    tenant: str
    record_id: str
    at_ms: int
    size: int
    write: msgspec.Raw | bytes


def everything(connection: sa.Connection) -> Iterator[Shown]:
    """All that lies in a spool, in its order; in small pieces, so that a large one can be looked at."""
    after = 0
    while rows := connection.execute(sa.text(_ROWS), {"after": after, "limit": _PIECE}).all():
        for row in rows:
            yield _shown(*row)
        after = rows[-1].sequence


def _shown(
    sequence: int, tenant: str, record_id: str, at_ms: int, size: int, checksum: int, body: Any, reason: str
) -> Shown:
    write: msgspec.Raw | bytes
    try:
        kind, write = kind_of(read_write(body, checksum)), msgspec.Raw(body)
    except DamagedWriteError:
        kind, write = "damaged", body if isinstance(body, bytes) else str(body).encode()
    state: Literal["waiting", "rejected"] = "rejected" if reason else "waiting"
    return Shown(sequence, state, reason, kind, tenant, record_id, at_ms, size, write)
