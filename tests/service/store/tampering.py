"""What an operator of a store does behind the service's back, and what the check calls it.

Of tenant acme there are six records, in rows 1 to 6; their entries are numbers 1 to 6 of a chain. The second
record is revoked, in entry 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final


def _without(number: int) -> str:
    """Delete an entry and its record."""
    return f"DELETE FROM sigil_history WHERE number = {number}; DELETE FROM sigils WHERE row = {number};"  # noqa: S608


def _renumbered(number: int, becomes: int) -> str:
    return f"UPDATE sigil_history SET number = {becomes} WHERE number = {number};"  # noqa: S608


_UNREVOKE: Final = "UPDATE sigils SET revoked_at_ms = NULL, revoked_by = NULL, revoked_reason = NULL;"

TAMPERING: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "a record is deleted": ("DELETE FROM sigils WHERE row = 3", ["record_missing"]),
    "an entry is deleted": (
        "DELETE FROM sigil_history WHERE number = 3",
        ["entries_missing", "unlinked"],
    ),
    "a record and its entry are deleted": (_without(3), ["entries_missing"]),
    "a deletion is closed up": (
        _without(3) + "".join(_renumbered(number, number - 1) for number in range(4, 8)),
        ["entry_corrupt", "link_broken", "revocation_unlinked", "unlinked"],
    ),
    "the first are deleted": (_without(1) + _without(2), ["entries_missing", "record_missing"]),
    "entries change places": (
        _renumbered(3, 99) + _renumbered(4, 3) + _renumbered(99, 4),
        ["entry_corrupt", "link_broken", "unlinked"],
    ),
    "payloads change places": (
        """UPDATE sigils SET payload = CAST('{"number":' || (4 - row) || '}' AS BLOB) WHERE row IN (2, 3)""",
        ["record_corrupt"],
    ),
    "somebody else asked for it": ("UPDATE sigils SET created_by = 'x' WHERE row = 3", ["record_altered"]),
    "it was at another time": (
        "UPDATE sigils SET created_at_ms = created_at_ms + 1 WHERE row = 3",
        ["record_altered"],
    ),
    "a payload is changed": (
        """UPDATE sigils SET payload = CAST('{"number":99}' AS BLOB) WHERE row = 3""",
        ["record_corrupt"],
    ),
    "a revocation is taken back": (_UNREVOKE, ["revocation_missing"]),
    "a revocation's entry becomes another": (
        f"{_UNREVOKE} UPDATE sigil_history SET step = 'sealed' WHERE number = 7",  # noqa: S608
        ["entry_corrupt"],
    ),
    "a revocation gets another reason": (
        "UPDATE sigils SET revoked_reason = 'mistake' WHERE row = 2",
        ["revocation_altered"],
    ),
    "a revocation is made up": (
        "UPDATE sigils SET revoked_at_ms = created_at_ms + 1000, revoked_by = 'x', revoked_reason = 'y'"
        " WHERE row = 3",
        ["revocation_unlinked"],
    ),
    "an entry claims another record": (
        "UPDATE sigil_history SET record_id = zeroblob(16) WHERE number = 3",
        ["entry_corrupt", "unlinked"],
    ),
    "a purge is made up": (
        "UPDATE sigil_history SET step = 'purged', record_id = x'ff00000000000000000000000000000f'"
        " WHERE number = 7; DELETE FROM sigils WHERE row = 3",
        ["entry_corrupt", "record_missing", "revocation_unlinked"],
    ),
    "a record moves to another tenant": (
        "UPDATE sigils SET tenant = 'other' WHERE row = 3",
        ["record_missing"],
    ),
    "the columns are not ours": (
        "UPDATE sigils SET key_id = 'x' WHERE row = 3; UPDATE sigil_history SET at_ms = 'y' WHERE number = 5",
        ["entries_missing", "entry_corrupt", "record_corrupt", "unlinked"],
    ),
    "texts are none": (
        "UPDATE sigils SET created_by = CAST(x'ff' AS TEXT) WHERE row = 3; DELETE FROM sigils WHERE row = 1;"
        "UPDATE sigil_history SET step = CAST(x'ff' AS TEXT) WHERE number = 5",
        ["entries_missing", "entry_corrupt", "record_corrupt", "record_missing", "unlinked"],
    ),
    "the first chain's name is none": (
        "INSERT INTO sigil_history SELECT tenant, CAST(x'00ff' AS TEXT), number, step, record_id, at_ms,"
        " previous, seal FROM sigil_history WHERE number = 1; DELETE FROM sigils WHERE row = 3",
        ["entry_corrupt", "record_missing"],
    ),
    "a number is none": (
        "INSERT INTO sigil_history SELECT tenant, chain, 1.5, step, record_id, at_ms, previous, seal"
        " FROM sigil_history WHERE number = 1; DELETE FROM sigils WHERE row = 3",
        ["entry_corrupt", "record_missing"],
    ),
    # The audit log knows of this: see test_store_commands.
    "the end is cut off": (_UNREVOKE + _without(7) + _without(6), []),
}
