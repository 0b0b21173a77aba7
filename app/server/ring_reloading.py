"""Taking up a changed key ring while the service runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.fingerprints import fingerprint
from core.keys import described_keys, ring_digest, ring_from, signing_key_id
from core.seals import Seals
from core.settings import key_files, load_key_settings
from core.settings_loading import SettingsError
from sigil_native import KeyRing

#: A ring may have thousands of keys; a line of the log need not name them all.
_MOST_NAMED: Final = 20


class RingReloading:
    """Keeps the ring in use as its files have it; see Reloadable.

    A ring is refused where no key of it may sign although one could until now: that is a slip of the
    hand, and would stop every encode. Unless it revokes a key: then the reason may be a leak, and
    to go on trusting that key would be worse. A ring without any key is always refused.
    """

    name = "key ring"
    changed_event: AuditEvent = "keys.changed"
    refused_event: AuditEvent = "keys.refused"

    def __init__(self, ring: KeyRing, seals: Seals, fallback: str | None = None) -> None:
        """Watch over a ring that was made by ``ring_from`` with this fallback, and that is in use."""
        self._ring = ring
        self._seals = seals
        self._fallback = fallback
        self._files = key_files()

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint(self._files)

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        if not self._files:
            # The environment of a process does not change.
            return Reloaded(
                False, {**_facts(self._ring), "source": "the environment, which a restart alone can change"}
            )
        try:
            ring = ring_from(load_key_settings(), self._fallback)
        except SettingsError as error:
            raise ReloadRefusedError("unusable", "; ".join(error.problems)) from None
        difference = _difference(self._ring, ring)
        if difference:
            _check_signing(self._ring, ring)
        self._seals.use_ring(ring)
        self._ring = ring
        return Reloaded(bool(difference), {**_facts(ring), **difference}, difference)


def _check_signing(before: KeyRing, after: KeyRing) -> None:
    if not len(after):
        raise ReloadRefusedError("empty", "the ring has no key at all")
    if signing_key_id(after) is not None or signing_key_id(before) is None:
        return
    if _revoked(after) <= _revoked(before):
        raise ReloadRefusedError("no_active_key", "no key of the ring may sign now")


def _revoked(ring: KeyRing) -> set[int]:
    keys = ring.keys()
    return {key.key_id for key in keys if key.state == "revoked"}


def _facts(ring: KeyRing) -> dict[str, str]:
    signing = signing_key_id(ring)
    return {
        "ring": ring_digest(ring),
        "keys": str(len(ring)),
        "signs": "none" if signing is None else f"{signing:08x}",
    }


def _difference(before: KeyRing, after: KeyRing) -> dict[str, str]:
    """The keys that were added, removed and changed, in words; empty where none was."""
    old, new = described_keys(before), described_keys(after)
    found = {
        "added": [f"{key} {words}" for key, words in new.items() if key not in old],
        "removed": [f"{key} {words}" for key, words in old.items() if key not in new],
        "changed": [
            f"{key} {old[key]} -> {words}" for key, words in new.items() if old.get(key, words) != words
        ],
    }
    if list(new) != [key for key in old if key in new] + [key for key in new if key not in old]:
        found["order"] = list(new)  # which decides between two keys that may both sign
    return {kind: _listed(keys) for kind, keys in found.items() if keys}


def _listed(keys: Iterable[str]) -> str:
    """The keys in a line, the first of them where they are many."""
    several = list(keys)
    more = [f"and {len(several) - _MOST_NAMED} more"] if len(several) > _MOST_NAMED else []
    return "; ".join(several[:_MOST_NAMED] + more)
