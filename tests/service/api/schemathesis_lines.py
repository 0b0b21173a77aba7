"""What schemathesis has to be told of JSON texts in lines. Its command imports this, too."""

from __future__ import annotations

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("application/x-ndjson")
def lines(_: SerializationContext, value: object) -> bytes:
    """A text as it is. For what is none a blank one is sent, which is as wrong: its text would be right."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b" "
