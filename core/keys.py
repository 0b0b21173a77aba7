"""The key ring that the settings describe."""

from __future__ import annotations

from core.settings import Settings, SettingsError
from sigil_native import KeyRing
from sigil_native.errors import DuplicateKeyError


def ring_from(settings: Settings, fallback: str | None = None) -> KeyRing:
    """The ring to sign and verify with; ``fallback`` is the secret where the settings name none.

    Raises:
        SettingsError: the settings name no secret.
    """
    if settings.key_ring is not None:
        return KeyRing.load(settings.key_ring)
    secret = fallback if settings.event_secret is None else settings.event_secret.get_secret_value()
    if secret is None:
        raise SettingsError(["SPIRAL_EVENT_SECRET: required"])
    ring = KeyRing()
    ring.add(secret)
    for earlier in settings.secrets_to_verify_with:
        try:
            ring.add(earlier, state="verify-only")
        except DuplicateKeyError:
            # A secret named twice, or the current one among the earlier: nothing is ambiguous.
            continue
    return ring
