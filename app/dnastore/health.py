"""How the server says that it is well."""

from __future__ import annotations

from typing import Literal

import msgspec


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """The server can do its work."""

    status: Literal["ready"]
    store: Literal["ok"]
