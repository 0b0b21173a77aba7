"""JSON lines: a result for each line, whatever the others hold."""

from __future__ import annotations

import json
from collections.abc import Callable

from sigil_native._constants import LINE_RULE
from sigil_native._problems import canonicalization_error
from sigil_native._pure.json_text import canonical_members
from sigil_native._pure.sigil import Sigil
from sigil_native.errors import CanonicalizationError, InvalidLineError, SigilError


def split_lines(raw: bytes) -> list[bytes]:
    """The lines of a text, without LF or CR LF, which the last may lack."""
    *ended, last = raw.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in ended]
    return [*lines, last] if last else lines


def _compact(record: dict[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def encoded_error_line(error: CanonicalizationError) -> bytes:
    """Why a line was not sealed."""
    return _compact(
        {"error": error.code, "message": str(error), "pointer": error.pointer, "offset": error.offset}
    )


def verified_line(
    line: bytes,
    from_str: bool,
    options: tuple[bool, int, int | None],
    judge: Callable[[str, bytes], Sigil],
) -> bytes:
    """Judge one line and say what came of it."""
    try:
        sigil = judge(*_members(line, from_str, *options))
    except SigilError as error:
        return _compact({"valid": False, "error": error.code, "message": str(error)})
    return _compact(
        {
            "valid": True,
            "id": sigil.id,
            "key_id": f"{sigil.key_id:08x}",
            "issued_at_ms": sigil.issued_at_ms,
            "expires_at_ms": sigil.expires_at_ms,
        }
    )


def _members(
    line: bytes, from_str: bool, exact: bool, max_depth: int, max_bytes: int | None
) -> tuple[str, bytes]:
    """The sigil and the canonical data of a line, which has these two members and no others."""
    if max_bytes is not None and len(line) > max_bytes:
        raise canonicalization_error("document_too_large", offset=max_bytes)
    # The line's own object is not a level of the data.
    members = canonical_members(line, from_str=from_str, exact=exact, max_depth=max_depth + 1)
    if members is None or set(members) != {"sigil", "data"} or not members["sigil"].startswith(b'"'):
        raise InvalidLineError(LINE_RULE)
    return json.loads(members["sigil"]), members["data"]
