"""What stands behind the ``?``, and ids in paths, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Final, cast
from urllib.parse import parse_qsl

from app.http.context import Context
from app.http.problems import ProblemError
from core.records import Status

_RECORD_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def is_record_id(text: str) -> bool:
    """Whether a text is a UUIDv7 in its one spelling."""
    return _RECORD_ID.fullmatch(text) is not None


def record_id_of(context: Context) -> str:
    """The record's id in the path.

    Raises:
        ProblemError: it is none, so there is no such record.
    """
    record_id: str = context.scope["path_params"]["id"]
    if not is_record_id(record_id):
        raise ProblemError("not_found", "no record with this id")
    return record_id


def query_of(context: Context, known: Set[str]) -> Mapping[str, str]:
    """The query's parameters.

    Raises:
        ProblemError: the query is malformed, or has a parameter twice, or one that is not known.
    """
    try:
        pairs = parse_qsl(
            context.query_string.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(context.query_string),
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        raise ProblemError("invalid_query", "the query is malformed") from None
    query = dict(pairs)
    if len(query) != len(pairs) or not query.keys() <= known:
        raise ProblemError("invalid_query", f"known, once each: {', '.join(sorted(known)) or 'nothing'}")
    return query


def number_in(query: Mapping[str, str], name: str, lowest: int, highest: int) -> int | None:
    """A parameter that is a number; None where it is missing.

    Raises:
        ProblemError: it is none, or out of range.
    """
    text = query.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise ProblemError("invalid_query", f"{name} is a number from {lowest} to {highest}")
    return int(text)


def status_in(query: Mapping[str, str]) -> Status | None:
    """The parameter ``status``.

    Raises:
        ProblemError: it names none.
    """
    text = query.get("status")
    if text not in {None, "active", "expired", "revoked"}:
        raise ProblemError("invalid_query", "status is active, expired or revoked")
    return cast("Status | None", text)
