"""What is known of a kind of hostile token."""

from __future__ import annotations

from typing import NamedTuple

from app.authentication.refusals import RefusalReason

#: Tokens by their names, each with the reason that the service must find.
Kinds = dict[str, tuple[RefusalReason, str | bytes]]


class Hostile(NamedTuple):
    """Authorization headers, and why they are refused."""

    reason: RefusalReason
    headers: list[bytes]
