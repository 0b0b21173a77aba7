"""Records and entries as rows of an SQL database, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from core.errors import InvalidRecordError, RecordCorruptError
from core.records import Entry, Record, is_id
from core.sealed_records import SealedRecords
from core.store.unreadable import place_past

#: Columns in the order of the rows here.
RECORD_COLUMNS: Final = (
    *("tenant", "id", "sigil", "key_id", "issued_at_ms", "expires_at_ms", "canonical_sha256"),
    *("created_at_ms", "created_by", "revoked_at_ms", "revoked_by", "revoked_reason", "payload"),
)
#: Those of a record that nobody has revoked; the others are null.
FRESH_COLUMNS: Final = tuple([name for name in RECORD_COLUMNS if not name.startswith("revoked_")])
ENTRY_COLUMNS: Final = ("tenant", "chain", "number", "step", "record_id", "at_ms", "previous", "seal")

_ID: Final = RECORD_COLUMNS.index("id")
_ID_BYTES: Final = 16
#: What a revocation changes in a record's row.
_REVOCATION: Final = slice(RECORD_COLUMNS.index("revoked_at_ms"), RECORD_COLUMNS.index("payload"))
_NOT_REVOKED: Final = (None, None, None)


def stored_id(record_id: str) -> bytes:
    """An id as it is stored.

    Raises:
        InvalidRecordError: not an UUID in the form that records have them in.
    """
    if not is_id(record_id):
        raise InvalidRecordError("the id is no UUID")
    return bytes.fromhex(record_id.replace("-", ""))


def stored_id_or_none(record_id: str) -> bytes | None:
    """The same; None of what no record has."""
    try:
        return stored_id(record_id)
    except InvalidRecordError:
        return None


def row_of(record: Record) -> tuple[object, ...]:
    """A record's row.

    Raises:
        InvalidRecordError: its id is none.
    """
    return (
        record.tenant,
        stored_id(record.id),
        record.sigil,
        record.key_id,
        record.issued_at_ms,
        record.expires_at_ms,
        record.canonical_sha256,
        record.created_at_ms,
        record.created_by,
        record.revoked_at_ms,
        record.revoked_by,
        record.revoked_reason,
        record.payload,
    )


class Rows(NamedTuple):
    """The rows of records, for two statements.

    Attributes:
        fresh: of records that nobody has revoked, without the columns that say so, as ``FRESH_COLUMNS``.
        others: whole.
    """

    fresh: list[tuple[object, ...]]
    others: list[tuple[object, ...]]


def rows_of(records: Sequence[Record]) -> Rows:
    """The rows of records.

    Python's SQLite driver looks for an adapter for each value that is bytes or None, and takes longer over
    that than over all else; a bytearray it takes as it is.

    Raises:
        InvalidRecordError: an id is none.
    """
    if isinstance(records, SealedRecords):
        return Rows(_fresh_rows(records), [])
    rows = Rows([], [])
    for record in records:
        row = row_of(record)
        if row[_REVOCATION] == _NOT_REVOKED:
            rows.fresh.append(tuple([_plain(value) for value in (*row[: _REVOCATION.start], record.payload)]))
        else:
            rows.others.append(row)
    return rows


def whole_row(fresh: tuple[object, ...]) -> tuple[object, ...]:
    """A fresh record's row with all columns."""
    return (*fresh[:-1], *_NOT_REVOKED, fresh[-1])


def _fresh_rows(records: SealedRecords) -> list[tuple[object, ...]]:
    tenant, created_by, created_at_ms = records.tenant, records.created_by, records.created_at_ms
    held = bytearray
    return [
        (
            tenant,
            held(name),
            text,
            key,
            issued,
            expires,
            held(digest),
            created_at_ms,
            created_by,
            held(payload),
        )
        for name, text, key, issued, expires, digest, payload in records.seals
    ]


def _plain(value: object) -> object:
    return bytearray(value) if isinstance(value, bytes) else value


def entry_row_of(entry: Entry) -> tuple[object, ...]:
    """An entry's row.

    Raises:
        InvalidRecordError: the record's id is none.
    """
    return (
        entry.tenant,
        entry.chain,
        entry.number,
        entry.step,
        stored_id(entry.record_id),
        entry.at_ms,
        entry.previous,
        entry.seal,
    )


def made_alike(row: Sequence[object], other: Sequence[object]) -> bool:
    """Whether two records' rows were made with the same, whatever happened to them since."""
    first, second = list(row), list(other)
    del first[_REVOCATION], second[_REVOCATION]
    return first == second


def record_of(row: Sequence[Any]) -> Record:
    """Build the record of a row, which may end before the payload.

    Raises:
        RecordCorruptError: a column holds another type than this service writes; SQLite lets others
            write what they like.
    """
    stored = dict(zip(RECORD_COLUMNS, row, strict=False))
    try:
        stored["id"] = _id_text(stored["id"])
        stored.setdefault("payload", None)
        return msgspec.convert(stored, Record, builtin_types=(bytes,))
    except (AttributeError, TypeError, ValueError) as error:
        raise RecordCorruptError(str(stored["id"]), f"columns: {error}") from None


def _id_text(stored: bytes) -> str:
    """A stored id as records have it; ``UUID`` takes four times as long, and most of a lookup.

    Raises:
        AttributeError, ValueError: it is none.
    """
    text = stored.hex()
    if len(stored) != _ID_BYTES:
        raise ValueError("an id has 16 bytes")
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def has_id(row: Sequence[Any]) -> bool:
    """Whether a record's row has an id that it can be found by, whatever its other columns hold."""
    stored = row[_ID]
    return isinstance(stored, bytes) and len(stored) == _ID_BYTES


def found_in(row: Sequence[Any]) -> Record | RecordCorruptError:
    """The record of a row, or why it is none."""
    try:
        return record_of(row)
    except RecordCorruptError as error:
        return error


def entry_of(row: Sequence[Any]) -> Entry:
    """Build the entry of a row.

    Raises:
        RecordCorruptError: a column holds another type than this service writes.
    """
    stored = dict(zip(ENTRY_COLUMNS, row, strict=True))
    try:
        stored["record_id"] = _id_text(stored["record_id"])
        return msgspec.convert(stored, Entry)
    except (AttributeError, TypeError, ValueError) as error:
        raise RecordCorruptError(
            str(stored["record_id"]),
            f"an entry's columns: {error}",
            past=place_past(stored["chain"], stored["number"]),
        ) from None
