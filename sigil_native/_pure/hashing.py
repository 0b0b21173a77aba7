"""SHA-256, HMAC and HKDF on the standard library."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, NoReturn, final

from sigil_native._arguments import readable_bytes, secret_bytes
from sigil_native.errors import InvalidOptionError

_KERNEL = "hashlib"
_HASH_SIZE = 32
_HKDF_LONGEST = 255 * _HASH_SIZE


def kernels() -> tuple[str, ...]:
    """The names of the SHA-256 implementations usable here, best first."""
    return (_KERNEL,)


def kernel() -> str:
    """The name of the SHA-256 implementation in use."""
    return _KERNEL


def _check_kernel(name: str | None) -> None:
    if name is not None and name != _KERNEL:
        raise InvalidOptionError(f"kernel must be one of {', '.join(kernels())}")


def sha256(data: bytes | bytearray | memoryview, *, kernel: str | None = None) -> bytes:
    """SHA-256 (FIPS 180-4): 32 bytes."""
    _check_kernel(kernel)
    view = readable_bytes(data, "data")
    return hashlib.sha256(view).digest()


def hmac_sha256(
    secret: bytes | bytearray | memoryview,
    data: bytes | bytearray | memoryview,
    *,
    kernel: str | None = None,
) -> bytes:
    """HMAC-SHA-256 (RFC 2104) under a secret of any length: 32 bytes."""
    _check_kernel(kernel)
    key = readable_bytes(secret, "secret")
    view = readable_bytes(data, "data")
    return hmac.digest(key.tobytes(), view, "sha256")


def hkdf_sha256(
    secret: bytes | bytearray | memoryview,
    *,
    salt: bytes | bytearray | memoryview,
    info: bytes | bytearray | memoryview,
    length: int,
) -> bytes:
    """HKDF-SHA-256 (RFC 5869): extract, then expand to ``length`` bytes, 1 to 8160."""
    if not isinstance(length, int) or isinstance(length, bool):
        raise TypeError(f"length must be int, not {type(length).__name__}")
    if not 1 <= length <= _HKDF_LONGEST:
        raise InvalidOptionError(f"length must be between 1 and {_HKDF_LONGEST}")
    key = readable_bytes(secret, "secret").tobytes()
    salt_bytes = readable_bytes(salt, "salt").tobytes()
    info_bytes = readable_bytes(info, "info").tobytes()
    pseudorandom_key = hmac.digest(salt_bytes, key, "sha256")
    block = output = b""
    for counter in range(1, 256):
        block = hmac.digest(pseudorandom_key, block + info_bytes + bytes([counter]), "sha256")
        output += block
        if len(output) >= length:
            break
    return output[:length]


@final
class HmacKey:
    """A secret for HMAC-SHA-256 (RFC 2104).

    The secret appears in no ``repr``, cannot be copied or pickled, and is
    overwritten when the key is released.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str | bytes | bytearray | memoryview) -> None:
        """Take a secret of at least 32 bytes; a ``str`` counts by its UTF-8 bytes.

        Raises:
            WeakSecretError: the secret is shorter.
            InvalidOptionError: a ``str`` that has no UTF-8 form.
            TypeError: the secret is neither ``str`` nor bytes-like.
        """
        self._secret = bytearray(secret_bytes(secret))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{HmacKey.__name__} is final")

    def __del__(self) -> None:
        secret = getattr(self, "_secret", bytearray())  # absent if __init__ refused it
        secret[:] = bytes(len(secret))

    def digest(self, data: bytes | bytearray | memoryview) -> bytes:
        """The tag of the data: 32 bytes."""
        return hmac.digest(self._secret, readable_bytes(data, "data"), "sha256")

    def hexdigest(self, data: bytes | bytearray | memoryview) -> str:
        """The tag of the data as 64 lower-case hex characters."""
        return self.digest(data).hex()

    def verify(self, data: bytes | bytearray | memoryview, tag: bytes | bytearray | memoryview) -> bool:
        """Whether ``tag`` is the tag of the data; compared in constant time."""
        view = readable_bytes(data, "data")
        return hmac.compare_digest(self.digest(view), readable_bytes(tag, "tag"))

    def digest_many(self, messages: Iterable[bytes | bytearray | memoryview]) -> list[bytes]:
        """The tags of many messages, in their order."""
        return [self.digest(message) for message in messages]

    def __repr__(self) -> str:
        return "<HmacKey>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("HmacKey holds a secret and cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce_ex__(4)
