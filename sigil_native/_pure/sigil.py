"""The sigil, version 1, and its four forms.

64 bytes, integers big-endian::

    offset  size
         0     1  version, 1
         1     1  flags, 0
         2     4  key id
         6     2  zero
         8     8  expiry, milliseconds since the Unix epoch; 0 = never
        16    16  id, a UUIDv7, whose first 48 bits are the time of issue in milliseconds
        32    32  tag

binary
    the 64 bytes
text
    ``sgl1_`` and base64url (RFC 4648 §5) without padding
strand
    256 characters of ``ACGT``, two bits each, most significant first
token
    text, a dot, and base64url of the canonical payload

A sigil has one spelling in each form.
"""

from __future__ import annotations

import base64
import re
import struct
import uuid
from typing import Any, NoReturn, final

from sigil_native._constants import HEADER_SIZE, SIGIL_SIZE, STRAND_SIZE, TEXT_PREFIX, TEXT_SIZE
from sigil_native.errors import SigilFormatError

#: version, flags, key id, reserved, expiry; then id and tag.
_LAYOUT = struct.Struct(">BBIHQ16s32s")
_VERSION = 1
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_BASES = "ACGT"
_STRAND = re.compile(f"[{_BASES}]*")


@final
class Sigil:
    """A sigil's fields. Equal sigils have equal bytes.

    That the fields can be read proves nothing: only ``SigilCodec.verify`` does.

    Attributes:
        id: the UUIDv7, as text.
        key_id: the id of the key that made the tag.
        issued_at: seconds since the Unix epoch.
        expires_at: seconds since the Unix epoch; None = never.
        issued_at_ms: ``issued_at`` in milliseconds.
        expires_at_ms: ``expires_at`` in milliseconds; 0 = never.
        header: the 32 bytes that the tag covers besides the payload.
        tag: the 32 bytes of HMAC-SHA-256.
    """

    __slots__ = ("_raw", "expires_at_ms", "header", "id", "issued_at_ms", "key_id", "tag")

    id: str
    key_id: int
    issued_at_ms: int
    expires_at_ms: int
    header: bytes
    tag: bytes
    _raw: bytes

    def __init__(self) -> None:
        raise TypeError("use SigilCodec.decode to read a sigil")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{Sigil.__name__} is final")

    @property
    def issued_at(self) -> float:
        """When the sigil was issued, in seconds since the Unix epoch."""
        return self.issued_at_ms / 1000

    @property
    def expires_at(self) -> float | None:
        """When the sigil expires, in seconds since the Unix epoch; None = never."""
        # Made a float first, as in C, so that both backends agree even far beyond all calendars.
        return float(self.expires_at_ms) / 1000 if self.expires_at_ms else None

    @property
    def text(self) -> str:
        """The text form: 91 characters."""
        return TEXT_PREFIX + base64url(self._raw)

    @property
    def strand(self) -> str:
        """The DNA form: 256 characters."""
        return "".join(_BASES[byte >> shift & 0b11] for byte in self._raw for shift in (6, 4, 2, 0))

    def __bytes__(self) -> bytes:
        return self._raw

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, Sigil) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"<Sigil {self.id} key {self.key_id:08x}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Sigil does not change; cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Sigil does not change; cannot delete {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return sigil_from_bytes, (self._raw,)


def sigil_from_bytes(raw: bytes) -> Sigil:
    """Read the 64 bytes.

    Raises:
        SigilFormatError: a field has a value that version 1 does not know.
    """
    version, flags, key_id, reserved, expiry, identifier, tag = _LAYOUT.unpack(raw)
    if version != _VERSION:
        raise SigilFormatError("version")
    if flags != 0:
        raise SigilFormatError("flags")
    if reserved != 0:
        raise SigilFormatError("reserved")
    if identifier[6] >> 4 != 7 or identifier[8] >> 6 != 0b10:  # RFC 9562 §5.7
        raise SigilFormatError("identifier")
    sigil = object.__new__(Sigil)
    fields = {
        "id": str(uuid.UUID(bytes=identifier)),
        "key_id": key_id,
        "issued_at_ms": int.from_bytes(identifier[:6], "big"),
        "expires_at_ms": expiry,
        "header": raw[:HEADER_SIZE],
        "tag": tag,
        "_raw": raw,
    }
    for name, value in fields.items():
        object.__setattr__(sigil, name, value)
    return sigil


def header_bytes(key_id: int, expires_at_ms: int, identifier: bytes) -> bytes:
    """The 32 bytes of a sigil before its tag."""
    return _LAYOUT.pack(_VERSION, 0, key_id, 0, expires_at_ms, identifier, b"")[:HEADER_SIZE]


def parse(value: Sigil | str | bytes | bytearray | memoryview) -> tuple[Sigil, bytes | None]:
    """Read a sigil in any of its forms.

    Returns:
        The sigil, and the payload that a token carries; None for the other forms.

    Raises:
        SigilFormatError: not a sigil, or not its canonical spelling.
        TypeError: ``value`` is neither ``Sigil``, ``str`` nor bytes-like.
    """
    if isinstance(value, Sigil):
        return value, None
    if isinstance(value, str):
        return _parse_text(value)
    try:
        view = memoryview(value)
    except TypeError:
        view = None
    if view is None or not view.c_contiguous:
        raise TypeError(f"sigil must be Sigil, str or bytes-like, not {type(value).__name__}")
    raw = view.tobytes()
    if len(raw) == SIGIL_SIZE:
        return sigil_from_bytes(raw), None
    return _parse_text(raw.decode("latin-1"))


def _parse_text(text: str) -> tuple[Sigil, bytes | None]:
    """Read one of the three forms that are text."""
    if not text.startswith(TEXT_PREFIX):
        if len(text) != STRAND_SIZE:
            raise SigilFormatError("shape")
        return sigil_from_bytes(_from_strand(text)), None
    body, dot, payload = (
        text[len(TEXT_PREFIX) : TEXT_SIZE],
        text[TEXT_SIZE : TEXT_SIZE + 1],
        text[TEXT_SIZE + 1 :],
    )
    if len(text) == TEXT_SIZE:
        return sigil_from_bytes(_from_base64url(body)[0]), None
    if dot != "." or not payload or len(payload) % 4 == 1:
        raise SigilFormatError("shape")
    raw, carried = _from_base64url(body, payload)
    return sigil_from_bytes(raw), carried


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(*parts: str) -> list[bytes]:
    """Decode base64url, each part in its only spelling; first all alphabets, then all unused bits."""
    for part in parts:
        if not _BASE64URL.fullmatch(part):
            raise SigilFormatError("alphabet")
    decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    for part, data in zip(parts, decoded, strict=True):
        if base64url(data) != part:
            raise SigilFormatError("trailing_bits")
    return decoded


def _from_strand(strand: str) -> bytes:
    if not _STRAND.fullmatch(strand):
        raise SigilFormatError("alphabet")
    value = 0
    for base in strand:
        value = value << 2 | _BASES.index(base)
    return value.to_bytes(SIGIL_SIZE, "big")
