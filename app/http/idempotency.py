"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import re
from typing import Final

from app.http.context import Context
from app.http.problems import ProblemError
from core.idempotency import LONGEST_KEY

#: As the draft has it: a string of RFC 9651 §3.3.3, here without blanks.
_QUOTED: Final = rf'"(?:[!#-\[\]-~]|\\["\\]){{1,{LONGEST_KEY}}}"'
#: As most clients send it. What means something in a list, or in a quoted string, needs the quotes.
_BARE: Final = rf"[!#-+\--:<-\[\]-~]{{1,{LONGEST_KEY}}}"
#: What the header may hold, also for the API's description.
PATTERN: Final = f"^(?:{_BARE}|{_QUOTED})$"

_quoted = re.compile(_QUOTED.encode())
_bare = re.compile(_BARE.encode())
_escaped = re.compile(rb"\\(.)")


def idempotency_key(context: Context) -> str | None:
    """The key that the request brings; None if it brings none. Quoted or bare, it is the same key.

    Raises:
        ProblemError: several headers, or one that is no key.
    """
    values = context.head.idempotency_keys
    if not values:
        return None
    value = values[0].strip(b" \t")
    if len(values) == 1 and _bare.fullmatch(value):
        return value.decode("ascii")
    if len(values) == 1 and _quoted.fullmatch(value):
        return _escaped.sub(rb"\1", value[1:-1]).decode("ascii")
    detail = f"one Idempotency-Key with 1 to {LONGEST_KEY} visible ASCII characters, best in quotes"
    raise ProblemError("invalid_idempotency_key", detail)
