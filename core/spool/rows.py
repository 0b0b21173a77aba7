"""Writes as they lie in a spool: in the wire's form, with a checksum."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import msgspec

from core.dnastore.wire import Put, PutOnce, Revoke, WireRecord, Write
from core.records import Record

#: What a waiting write takes beside its body, about.
_OVERHEAD: Final = 512

_encode = msgspec.json.Encoder().encode
_write = msgspec.json.Decoder(Write)
_record = msgspec.json.Decoder(WireRecord)


class DamagedWriteError(Exception):
    """A write in the spool is no longer what was put there."""


class SpooledRow(NamedTuple):
    """A write that waits.

    Attributes:
        sequence: its place in the order.
        tenant: whose records it holds.
        record_id: of the first of them.
        at_ms: when it came, in milliseconds since the Unix epoch.
        size: bytes that it takes, about.
        checksum: CRC-32 of the body.
        body: the write as JSON.
    """

    sequence: int
    tenant: str
    record_id: str
    at_ms: int
    size: int
    checksum: int
    body: bytes

    def write(self) -> Write:
        """The write.

        Raises:
            DamagedWriteError: it cannot be read.
        """
        return read_write(self.body, self.checksum)


def write_body(write: Write) -> bytes:
    """A write as JSON."""
    return _encode(write)


def read_write(body: bytes, checksum: int) -> Write:
    """The write of a body.

    Raises:
        DamagedWriteError: it is not what was written.
    """
    if not isinstance(body, bytes) or zlib.crc32(body) != checksum:
        raise DamagedWriteError("checksum")
    try:
        write: Write = _write.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedWriteError(type(error).__name__) from None
    return write


def checksum_of(body: bytes) -> int:
    """What ``read_write`` compares with."""
    return zlib.crc32(body)


def size_of(body: bytes) -> int:
    """What a write takes in the spool, about."""
    return len(body) + _OVERHEAD


def record_body(record: Record) -> bytes:
    """A record as JSON."""
    return _encode(WireRecord.of(record))


def read_record(body: bytes) -> Record:
    """The record of a body.

    Raises:
        DamagedWriteError: it is no record.
    """
    try:
        return _record.decode(body).record()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedWriteError(type(error).__name__) from None


def records_in(write: Write) -> list[Record]:
    """The records that a write keeps."""
    if isinstance(write, Put):
        return [one.record() for one in write.records]
    return [write.record.record()] if isinstance(write, PutOnce) else []


def kind_of(write: Write) -> str:
    """What a write is, in a word."""
    return {Put: "put", PutOnce: "put_once", Revoke: "revoke"}[type(write)]


def as_made(record: Record) -> Record:
    """A record without what has happened to it since."""
    return msgspec.structs.replace(
        record, revoked_at_ms=None, revoked_by=None, revoked_reason=None, stale=False
    )
