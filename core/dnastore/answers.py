"""Reading what a DNAStore answers, and believing none of it unchecked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple, NoReturn, TypeVar

import aiohttp
import msgspec

from core.dnastore.failures import (
    FORBIDDEN,
    AnswerTooLargeError,
    AttemptFailedError,
    RequestRefusedError,
    Trouble,
    invalid_answer,
)
from core.dnastore.wire import Line, Lookup, WireRecord
from core.errors import RecordCorruptError
from core.records import Damage, Entry, Place, Record, Status, id_of, is_id

_T = TypeVar("_T")

_JSON: Final = "application/json"
_LINES: Final = "application/x-ndjson"
#: Bytes of an error that are looked at.
_LARGEST_PROBLEM: Final = 64 << 10
_LONGEST_WAIT: Final = 3600
#: Statuses that say that the request is wrong, or too large, whenever it is sent.
_AT_FAULT: Final = frozenset({400, 413, 422})
_ID_CHARACTERS: Final = 36
_DIGEST_BYTES: Final = 32

_decode_line: Final = msgspec.json.Decoder(Line).decode


class _Problem(msgspec.Struct):
    """What is looked at of an RFC 9457 problem."""

    code: str = ""


_decode_problem: Final = msgspec.json.Decoder(_Problem).decode


async def decoded_body(
    response: aiohttp.ClientResponse, decode: Callable[[bytes | bytearray], _T], largest: int
) -> _T:
    """What the JSON of an answer with status 200 says.

    Raises:
        AttemptFailedError: another status or type, too large, or something else than ``decode`` expects.
    """
    await expect(response, 200, _JSON)
    return _decoded(decode, await _bounded(response, largest))


async def lines_of(response: aiohttp.ClientResponse, *, longest: int, largest: int) -> AsyncIterator[Line]:
    """The lines of a stream, without the last, which must say that it is the last.

    Args:
        response: the answer.
        longest: bytes of a line.
        largest: bytes of the stream.

    Raises:
        AttemptFailedError: no stream, too large, not what a line may be, or cut off.
    """
    await expect(response, 200, _LINES)
    received = 0
    rest = bytearray()
    ended = False
    async for part in response.content.iter_any():
        received += len(part)
        if received > largest:
            raise AnswerTooLargeError
        first, *others = part.split(b"\n")
        rest += first
        for other in others:
            line, rest = rest, bytearray(other)
            if len(line) > longest or ended:
                raise invalid_answer("a line that is too long, or behind the last one")
            decoded = _decoded(_decode_line, line)
            if decoded.end:
                ended = True
            else:
                yield decoded
        if len(rest) > longest:
            raise invalid_answer("a line that is too long")
    if rest:
        raise invalid_answer("something behind the last line")
    if not ended:
        failure = Trouble("connection", "the answer was cut off")
        raise AttemptFailedError(failure, repeatable=True)


async def probed(response: aiohttp.ClientResponse) -> None:
    """Read the answer to a probe."""
    await expect(response, 204, None)


async def expect(response: aiohttp.ClientResponse, status: int, media_type: str | None) -> None:
    """Go on if the answer is as expected.

    Raises:
        AttemptFailedError: it is not; what it means.
        RequestRefusedError: the request is wrong, or too large.
    """
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise invalid_answer("compressed, which was not asked for")
    if response.status == status:
        if media_type is not None and response.content_type != media_type:
            raise invalid_answer("of another type")
        return
    await _refuse(response)


async def _problem_code(response: aiohttp.ClientResponse) -> str:
    """The code of an answer that is a problem; empty if it has none."""
    try:
        return _decode_problem(await _bounded(response, _LARGEST_PROBLEM)).code
    except (AttemptFailedError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


async def _refuse(response: aiohttp.ClientResponse) -> NoReturn:
    status = response.status
    if 300 <= status < 400 or status < 200:
        raise invalid_answer("a redirection" if status >= 300 else "no final status")
    if status in {401, 403}:
        raise AttemptFailedError(FORBIDDEN, counts=False)
    code = await _problem_code(response)
    if 400 <= status < 500:
        if not code:
            raise invalid_answer(f"status {status}")
        if status in _AT_FAULT:
            raise RequestRefusedError(status, code)
        trouble = Trouble("refused", f"the DNAStore answers with status {status}")
        raise AttemptFailedError(trouble, counts=False, problem=code)
    if status < 300:
        raise invalid_answer(f"status {status}")
    raise AttemptFailedError(
        Trouble("refused", f"the DNAStore answers with status {status}"),
        repeatable=status == 503,
        wait=_seconds(response.headers.get("Retry-After", "")),
        problem=code,
    )


async def _bounded(response: aiohttp.ClientResponse, largest: int) -> bytes:
    if (response.content_length or 0) > largest:
        raise AnswerTooLargeError
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            raise AnswerTooLargeError
    return bytes(body)


def _seconds(text: str) -> int | None:
    """The whole seconds of a ``Retry-After``; None if it has none. Dates are not looked at."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    return min(int(text), _LONGEST_WAIT)


def _decoded(decode: Callable[[bytes | bytearray], _T], raw: bytes | bytearray) -> _T:
    try:
        return decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise invalid_answer("not the JSON that it should be") from None


def record_from(sent: WireRecord, tenant: str, *, with_payload: bool, record_id: str | None = None) -> Record:
    """The record that was sent, which must be the one that was asked for.

    Raises:
        AttemptFailedError: it is another tenant's or another record, or not whole.
    """
    record = sent.record()
    revoked = (record.revoked_at_ms is None, record.revoked_by is None, record.revoked_reason is None)
    if (
        record.tenant != tenant
        or (record.id != record_id if record_id is not None else not is_id(record.id))
        or (record.payload is None) == with_payload
        or len(record.canonical_sha256) != _DIGEST_BYTES
        or len(set(revoked)) != 1
    ):
        raise invalid_answer("another record than was asked for, or half of one")
    return record


class Wanted(NamedTuple):
    """A piece of a listing that is asked for, see ``Store.list``."""

    tenant: str
    limit: int
    before: str | None
    status: Status | None
    now_ms: int
    with_payload: bool

    def query(self) -> dict[str, str]:
        """What the path ends with."""
        query = {"tenant": self.tenant, "limit": str(self.limit), "now_ms": str(self.now_ms)}
        if self.before is not None:
            query["before"] = self.before
        if self.status is not None:
            query["status"] = self.status
        if self.with_payload:
            query["payload"] = "true"
        return query


async def listed(lines: AsyncIterator[Line], wanted: Wanted) -> list[Record | Damage]:
    """The records of a listing, which must be as asked for; of a damaged one its error, in its place.

    Raises:
        AttemptFailedError: they are not.
    """
    found: list[Record | Damage] = []
    last = wanted.before
    async for line in lines:
        one = _listed(line, wanted)
        if last is not None and id_of(one) >= last:
            raise invalid_answer("records in another order")
        last = id_of(one)
        found.append(one)
        if len(found) > wanted.limit:
            raise invalid_answer("more records than were asked for")
    return found


def _listed(line: Line, wanted: Wanted) -> Record | RecordCorruptError:
    if line.damaged is not None:
        if not is_id(line.damaged):
            raise invalid_answer("a damaged record without an id")
        return RecordCorruptError(line.damaged, "stored")
    if line.record is None:
        raise invalid_answer("a line without a record")
    record = record_from(line.record, wanted.tenant, with_payload=wanted.with_payload)
    if wanted.status is not None and record.status(wanted.now_ms) != wanted.status:
        raise invalid_answer("records of another status")
    return record


async def looked_up(lines: AsyncIterator[Line], lookup: Lookup) -> dict[str, Record | RecordCorruptError]:
    """The records that there are of those that were asked for.

    Raises:
        AttemptFailedError: one of them was not asked for, or is there twice.
    """
    ids = frozenset(lookup.ids)
    found: dict[str, Record | RecordCorruptError] = {}
    async for line in lines:
        if line.damaged is not None:
            record_id = line.damaged
            one: Record | RecordCorruptError = RecordCorruptError(record_id[:_ID_CHARACTERS], "stored")
        elif line.record is not None:
            record_id = line.record.id
            one = record_from(line.record, lookup.tenant, with_payload=lookup.payload)
        else:
            raise invalid_answer("a line without a record")
        if record_id not in ids or record_id in found:
            raise invalid_answer("a record that was not asked for")
        found[record_id] = one
    return found


async def entries_from(
    lines: AsyncIterator[Line], tenant: str, *, after: Place | None, limit: int
) -> Sequence[Entry]:
    """The entries behind a place.

    Raises:
        AttemptFailedError: they are not what was asked for.
    """
    found: list[Entry] = []
    last = after
    async for line in lines:
        entry = line.entry
        if entry is None or entry.tenant != tenant:
            raise invalid_answer("a line without an entry of this tenant")
        place = Place(entry.chain, entry.number)
        if last is not None and place <= last:
            raise invalid_answer("entries in another order")
        last = place
        found.append(entry)
        if len(found) > limit:
            raise invalid_answer("more entries than were asked for")
    return found
