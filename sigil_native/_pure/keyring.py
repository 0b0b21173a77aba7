"""The keys that seal and verify, and when each of them may."""

from __future__ import annotations

import os
import threading
from typing import Any, NoReturn, final

from sigil_native._arguments import (
    cache_size,
    check_key_state,
    key_id_number,
    moment_ms,
    secret_bytes,
)
from sigil_native._constants import (
    DEFAULT_TENANT_CACHE_SIZE,
    HKDF_KEY_ID_INFO,
    HKDF_SALT,
    HKDF_TENANT_PREFIX,
)
from sigil_native._keyfile import read_key_ring_file
from sigil_native._keyinfo import KeyInfo
from sigil_native._pure.hashing import hkdf_sha256
from sigil_native.errors import DuplicateKeyError, NoActiveKeyError, NoSuchKeyError


class RingKey:
    """A key of a ring. Times are milliseconds since the Unix epoch; None means no bound."""

    __slots__ = ("key_id", "not_before_ms", "retire_at_ms", "secret", "state")

    def __init__(
        self,
        secret: str | bytes | bytearray | memoryview,
        state: str,
        not_before: float | None,
        retire_at: float | None,
    ) -> None:
        self.secret = bytearray(secret_bytes(secret))
        check_key_state(state)
        self.state = state
        self.not_before_ms = moment_ms(not_before, "not_before")
        self.retire_at_ms = moment_ms(retire_at, "retire_at")
        self.key_id = int.from_bytes(
            hkdf_sha256(self.secret, salt=HKDF_SALT, info=HKDF_KEY_ID_INFO, length=4), "big"
        )

    def __del__(self) -> None:
        secret = getattr(self, "secret", bytearray())  # absent if __init__ refused it
        secret[:] = bytes(len(secret))

    def tenant_key(self, tenant: bytes) -> bytes:
        """The 32 bytes that seal for one tenant."""
        return hkdf_sha256(self.secret, salt=HKDF_SALT, info=HKDF_TENANT_PREFIX + tenant, length=32)

    def is_early(self, now_ms: int) -> bool:
        """Whether the key is not valid yet."""
        return self.not_before_ms is not None and now_ms < self.not_before_ms

    def is_retired(self, now_ms: int) -> bool:
        """Whether the key is valid no longer."""
        return self.retire_at_ms is not None and now_ms >= self.retire_at_ms

    def may_sign(self, now_ms: int) -> bool:
        """Whether the key may make new sigils."""
        return self.state == "active" and not self.is_early(now_ms) and not self.is_retired(now_ms)


@final
class KeyRing:
    """The keys of a codec, each derived from a secret of at least 32 bytes.

    A key's id is derived from its secret, never configured. An ``active`` key
    signs and verifies, a ``verify-only`` key verifies, a ``revoked`` key makes
    whatever it sealed invalid. A key is valid from ``not_before`` until just
    before ``retire_at``, by the clock of whoever signs or verifies.

    Of several keys that may sign, the one with the latest ``not_before`` does;
    among equals the one added last. A ring may be changed while codecs use it,
    from any thread. It holds secrets: it cannot be copied or pickled, and they
    are overwritten when it is released.
    """

    __slots__ = ("_keys", "_lock")

    def __init__(self, *, tenant_cache_size: int = DEFAULT_TENANT_CACHE_SIZE) -> None:
        """Make an empty ring.

        Args:
            tenant_cache_size: how many tenants' keys are kept ready for each
                key. This backend checks the number and keeps none.
        """
        cache_size(tenant_cache_size)
        self._lock = threading.Lock()
        self._keys: tuple[RingKey, ...] = ()  # in the order of addition; replaced, never changed

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{KeyRing.__name__} is final")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyRing:
        """Read a key ring file.

        The file is JSON, ``{"version": 1, "keys": [...]}``; a key has ``secret``
        (base64url without padding) and may have ``state``, ``not_before`` and
        ``retire_at``.

        Raises:
            KeyRingFormatError: the file does not follow the format; names the
                file and the key, never a secret.
            OSError: the file cannot be read.
        """
        ring = cls()
        for entry in read_key_ring_file(path):
            ring.add(entry.secret, entry.state, entry.not_before, entry.retire_at)
        return ring

    def add(
        self,
        secret: str | bytes | bytearray | memoryview,
        state: str = "active",
        not_before: float | None = None,
        retire_at: float | None = None,
    ) -> int:
        """Add a key and return its id.

        Args:
            secret: at least 32 bytes; a ``str`` counts by its UTF-8 bytes.
            state: ``"active"``, ``"verify-only"`` or ``"revoked"``.
            not_before: when the key becomes valid, in seconds since the Unix epoch.
            retire_at: when it ceases to be.

        Raises:
            WeakSecretError: the secret is too short.
            DuplicateKeyError: the ring holds a key with the same id.
            InvalidOptionError: an argument is unknown or out of range.
            TypeError: an argument has a wrong type.
        """
        key = RingKey(secret, state, not_before, retire_at)
        with self._lock:
            self._append(key)
        return key.key_id

    def rotate(
        self,
        secret: str | bytes | bytearray | memoryview,
        *,
        retire_previous_at: float | None = None,
    ) -> int:
        """Add an active key and make the keys that were active verify only.

        To change over at a time to come, ``add`` the next key with that time as
        its ``not_before`` instead.

        Args:
            secret: as for ``add``.
            retire_previous_at: when the keys that were active cease to verify;
                None leaves their times as they are.

        Returns:
            The new key's id.

        Raises:
            SigilError: as for ``add``; the ring is then unchanged.
            TypeError: an argument has a wrong type.
        """
        key = RingKey(secret, "active", None, None)
        retire_ms = moment_ms(retire_previous_at, "retire_previous_at")
        with self._lock:
            previous = [other for other in self._keys if other.state == "active"]
            self._append(key)
            for other in previous:
                other.state = "verify-only"
                if retire_ms is not None:
                    other.retire_at_ms = retire_ms
        return key.key_id

    def revoke(self, key_id: int) -> None:
        """Revoke a key: nothing that it sealed verifies any longer.

        Raises:
            NoSuchKeyError: the ring holds no key with this id.
            TypeError: ``key_id`` is not an int.
        """
        number = key_id_number(key_id)
        with self._lock:
            key = self.find(number)
            if key is None:
                raise NoSuchKeyError(f"the ring holds no key {number:08x}")
            key.state = "revoked"

    def keys(self) -> list[KeyInfo]:
        """What may be told about the keys, in the order of their addition."""
        return [
            KeyInfo(key.key_id, key.state, _seconds(key.not_before_ms), _seconds(key.retire_at_ms))
            for key in self._keys
        ]

    def find(self, key_id: int) -> RingKey | None:
        """The key with an id; for the codec of this backend."""
        return next((key for key in self._keys if key.key_id == key_id), None)

    def signing_key(self, now_ms: int) -> RingKey:
        """The key that signs at a moment; for the codec of this backend.

        Raises:
            NoActiveKeyError: none may.
        """
        usable: list[RingKey] = []
        keys: tuple[RingKey, ...] | None = None
        # A rotation adds its key before it changes the others: whoever looked in between looks again.
        while not usable and keys is not self._keys:
            keys = self._keys
            usable = [key for key in keys if key.may_sign(now_ms)]
        if not usable:
            raise NoActiveKeyError
        return max(reversed(usable), key=lambda key: key.not_before_ms or 0)  # max() keeps the first

    def _append(self, key: RingKey) -> None:
        if self.find(key.key_id) is not None:
            raise DuplicateKeyError(f"the ring already holds key {key.key_id:08x}")
        self._keys = (*self._keys, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        count = len(self._keys)
        return f"<KeyRing of {count} key{'' if count == 1 else 's'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("KeyRing holds secrets and cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce_ex__(4)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
