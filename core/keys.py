"""The key ring that the settings describe, and what may be told about one."""

from __future__ import annotations

import hashlib

from core.settings import KeySettings
from core.settings_loading import SettingsError
from core.timestamps import timestamp
from sigil_native import KeyRing, SigilCodec
from sigil_native.errors import DuplicateKeyError, NoActiveKeyError, SigilError


def ring_from(settings: KeySettings, fallback: str | None = None) -> KeyRing:
    """The ring to sign and verify with; ``fallback`` is the secret where the settings name none.

    Raises:
        SettingsError: the settings name no secret, or the key ring file has changed for the worse since
            they were read.
    """
    if settings.key_ring is not None:
        try:
            return KeyRing.load(settings.key_ring)
        except OSError as error:
            problem = f"the file cannot be read: {error.strerror}"
        except SigilError as error:
            problem = str(error)
        raise SettingsError([f"SIGIL_KEYRING: {problem}"])
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


def signing_key_id(ring: KeyRing) -> int | None:
    """The id of the key that signs now, or None where none may."""
    codec = SigilCodec(ring)
    try:
        return codec.decode(codec.encode(None, tenant="probe")).key_id
    except NoActiveKeyError:
        return None


def described_keys(ring: KeyRing) -> dict[str, str]:
    """Each key's id, and its state and times in words, without secrets."""
    described = {}
    keys = ring.keys()
    for key in keys:
        times = [
            f" {word} {timestamp(round(moment * 1000))}"
            for word, moment in (("from", key.not_before), ("until", key.retire_at))
            if moment is not None
        ]
        described[f"{key.key_id:08x}"] = key.state + "".join(times)
    return described


def ring_digest(ring: KeyRing) -> str:
    """Sixteen hexadecimal digits that rings of the same keys, states and times, in one order, share.

    It tells whether two processes use the same ring, and nothing about secrets.
    """
    lines = "".join(f"{key_id} {words}\n" for key_id, words in described_keys(ring).items())
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
