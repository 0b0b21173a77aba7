"""Text in a database that is no text: whoever writes to an SQLite file puts there what he likes."""

from __future__ import annotations

import re
from typing import Final, cast

from core.records import Place

#: Begins what stands for a tenant's name that is none. No tenant's name may contain it.
UNREADABLE: Final = "\0"
_ASCII: Final = re.compile(rb"[\0-\x7e]+")


class UnreadableText:
    """The bytes of a text that is not UTF-8. No column of ours takes it for a value of its type."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __str__(self) -> str:
        return self.value.decode(errors="backslashreplace")


def text_of(value: bytes) -> str | UnreadableText:
    """A text of the database."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return UnreadableText(value)


def tenant_of(stored: object) -> str:
    """A tenant's name as it is stored; of what is none something that begins with UNREADABLE."""
    if isinstance(stored, str) and UNREADABLE not in stored:
        return stored
    if isinstance(stored, bytes):
        stored = stored.decode(errors="backslashreplace")
    return UNREADABLE + str(stored).replace(UNREADABLE, "\\x00")


def place_past(chain: object, number: object) -> Place | None:
    """Where to go on behind an entry that cannot be read; None: no entry of ours can be behind it.

    SQLite sorts numbers, whole or not, before texts before anything else, and texts by their bytes. Chains
    have names of hexadecimal digits, of one length: what else lies between two of them is passed over.
    """
    if isinstance(chain, str):
        is_number = isinstance(number, int | float)
        return Place(chain, cast("int", number)) if is_number else Place(f"{chain}\1", 0)
    if not isinstance(chain, UnreadableText):
        return None
    beginning = _ASCII.match(chain.value)
    if beginning is None:
        return None
    prefix = beginning[0].decode()
    return Place(prefix[:-1] + chr(ord(prefix[-1]) + 1), 0)
