"""Writing the lines of an audit log, each chained to the one before by an HMAC.

A line is ``{"seq":N``, the members in their RFC 8785 form, ``,"chain":"T"}``, where T spells

    tag(N) = HMAC-SHA-256(K, tag(N-1) || the line up to ``,"chain":``)

and ``K = HKDF-SHA-256(secret, salt="sigil-dna/v1", info="audit", 32 bytes)``.
"""

from __future__ import annotations

import hmac
import re
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Self, final

from sigil_native._arguments import (
    audit_batch,
    audit_members,
    audit_position,
    readable_bytes,
    secret_bytes,
)
from sigil_native._audit_records import AuditLine
from sigil_native._audit_verifier import Verifier
from sigil_native._constants import (
    AUDIT_CHAIN_SIZE,
    AUDIT_FORMAT,
    AUDIT_RESERVED,
    HKDF_AUDIT_INFO,
    HKDF_AUDIT_KEY_ID_INFO,
    HKDF_SALT,
    MAX_AUDIT_LINE,
    MAX_SAFE_INTEGER,
    TAG_SIZE,
)
from sigil_native._pure.hashing import hkdf_sha256
from sigil_native._pure.json_values import canonicalize
from sigil_native._pure.sigil import base64url
from sigil_native.errors import AuditFormatError, CanonicalizationError, at_index

_BEFORE = b'{"seq":'
_CHAIN = b',"chain":"'
_SEQUENCE = re.compile(rb"[0-9]+")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]{43}")
_BEGIN = re.compile(
    f',"format":"{re.escape(AUDIT_FORMAT)}","key_id":"([0-9a-f]{{8}})","previous":"(.{{43}})"'.encode(),
    re.DOTALL,
)

BytesLike = bytes | bytearray | memoryview


def _tag_of(text: bytes) -> bytes:
    """Decode a tag in its only spelling."""
    if _BASE64URL.fullmatch(text):
        tag = urlsafe_b64decode(text + b"=")
        if base64url(tag).encode() == text:
            return tag
    raise AuditFormatError("chain")


def read_audit_line(line: BytesLike) -> AuditLine:
    """Read what stands at both ends of a line: what a writer goes on from. Nothing is verified.

    Args:
        line: one line; its newline may be missing.

    Raises:
        AuditFormatError: not a line of an audit log; ``problem`` says what is wrong.
        TypeError: not bytes-like.
    """
    text = readable_bytes(line, "line").tobytes().removesuffix(b"\n")
    if len(text) >= MAX_AUDIT_LINE:
        raise AuditFormatError("too_large")
    end = len(text) - AUDIT_CHAIN_SIZE
    if (
        end <= len(_BEFORE)
        or not text.startswith(_BEFORE)
        or not text.startswith(_CHAIN, end)
        or not text.endswith(b'"}')
        or b"\n" in text
    ):
        raise AuditFormatError("shape")
    number = _SEQUENCE.match(text, len(_BEFORE), end)
    digits = number[0] if number else b""
    if not digits or digits.startswith(b"0") or len(digits) > 16 or int(digits) > MAX_SAFE_INTEGER:
        raise AuditFormatError("sequence")
    rest = len(_BEFORE) + len(digits)
    begin = _BEGIN.match(text, rest, end)
    if begin:
        rest = begin.end()
    elif text.startswith(b',"format":', rest, end):
        raise AuditFormatError("begin")
    if rest < end and not text.startswith(b',"', rest, end):
        raise AuditFormatError("shape")
    tag = _tag_of(text[end + len(_CHAIN) : -2])
    if not begin:
        return AuditLine(int(digits), tag, None, None)
    return AuditLine(int(digits), tag, int(begin[1], 16), _tag_of(begin[2]))


@final
class AuditKey:
    """The key of an audit chain, derived from a secret; for the chain and its verifier."""

    __slots__ = ("_key", "key_id")

    def __init__(self, secret: str | BytesLike) -> None:
        """Derive the key; raises as ``HmacKey`` does."""
        raw = bytearray(secret_bytes(secret))
        self._key = bytearray(hkdf_sha256(raw, salt=HKDF_SALT, info=HKDF_AUDIT_INFO, length=TAG_SIZE))
        self.key_id = int.from_bytes(
            hkdf_sha256(raw, salt=HKDF_SALT, info=HKDF_AUDIT_KEY_ID_INFO, length=4), "big"
        )
        raw[:] = bytes(len(raw))

    def __del__(self) -> None:
        key = getattr(self, "_key", bytearray())  # absent if __init__ refused the secret
        key[:] = bytes(len(key))

    def tag(self, previous: bytes, message: bytes) -> bytes:
        """The tag of a line after another."""
        return hmac.digest(self._key, previous + message, "sha256")

    def matches(self, previous: bytes, message: bytes, tag: bytes) -> bool:
        """Whether a line's tag is right; compared in constant time."""
        return hmac.compare_digest(self.tag(previous, message), tag)

    def clean_run(
        self, data: bytes | bytearray, start: int, end: int, sequence: int, tag: bytes, stop: int
    ) -> tuple[int, int, bytes]:
        """Go over lines as long as each is the right one, up to but without the one numbered ``stop``.

        Begin lines end the run too, and so does whatever is not wholly right.

        Args:
            data: bytes that hold complete lines from ``start`` to ``end``.
            start: where the first one begins.
            end: where the last one ends.
            sequence: the number of the line before.
            tag: the tag of the line before.
            stop: the number of a line that is not to be gone over.

        Returns:
            How many lines were right, where the next one begins, and the last one's tag.
        """
        lines = 0
        while start < end:
            newline = data.index(b"\n", start, end)
            line = bytes(data[start:newline])
            try:
                found = read_audit_line(line)
            except AuditFormatError:
                break
            if found.sequence != sequence + 1 or found.sequence == stop or found.key_id is not None:
                break
            if not self.matches(tag, line[:-AUDIT_CHAIN_SIZE], found.tag):
                break
            lines, start, sequence, tag = lines + 1, newline + 1, found.sequence, found.tag
        return lines, start, tag

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("AuditKey holds a secret and cannot be copied or pickled")


@final
class AuditChain:
    """Writes the lines of an audit log, each bound to the one before.

    It holds a place in the chain: what it returned last is the line that the next one
    follows, so lines go to the file in the order in which they were made. Any number
    of threads may use it. It holds a secret: it cannot be copied or pickled.
    """

    __slots__ = ("_key", "_lock", "_sequence", "_tag")

    _key: AuditKey
    _lock: threading.Lock
    _sequence: int
    _tag: bytes

    # Not __init__, so that nobody who calls that again moves it back in the chain.
    def __new__(cls, secret: str | BytesLike, sequence: int = 0, previous: BytesLike = bytes(32)) -> Self:
        """Stand behind a line, the one to go on from.

        Args:
            secret: at least 32 bytes; a ``str`` counts by its UTF-8 bytes.
            sequence: the line's sequence number; 0: there is none yet.
            previous: the line's tag; zeros if there is none yet.

        Raises:
            WeakSecretError: the secret is too short.
            InvalidOptionError: sequence and tag are out of range, or do not go together.
            TypeError: an argument has a wrong type.
        """
        self = super().__new__(cls)
        self._sequence, self._tag = audit_position(sequence, previous)
        self._key = AuditKey(secret)
        self._lock = threading.Lock()
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{AuditChain.__name__} is final")

    @property
    def key_id(self) -> int:
        """The id of the key, derived from the secret."""
        return self._key.key_id

    @property
    def sequence(self) -> int:
        """The sequence number of the last line; 0: none."""
        return self._sequence

    @property
    def tag(self) -> bytes:
        """The tag of the last line; zeros if there is none."""
        return self._tag

    def begin(self, members: Mapping[str, object]) -> bytes:
        """Make a begin line: the first of a file, and the first under another key.

        It names the format, the key and the tag of the line before. Otherwise as ``append``.
        """
        return self._lines([members], begin=True)

    def append(self, members: Mapping[str, object]) -> bytes:
        """Make a line, its newline included. The chain moves on only if this succeeds.

        Args:
            members: what ``canonicalize`` accepts as an object, without the chain's own names.

        Raises:
            AuditFormatError: a name is the chain's own, or nothing was begun.
            CanonicalizationError: the members have no RFC 8785 form, or the line would be
                longer than 64 KiB.
            TypeError: not a mapping.
        """
        return self._lines([members])

    def append_many(self, batch: Iterable[Mapping[str, object]]) -> bytes:
        """Make several lines, all or none; otherwise as ``append``.

        ``index`` of a CanonicalizationError says which of them.
        """
        return self._lines(audit_batch(batch), numbered=True)

    def _lines(self, batch: list[Any], *, begin: bool = False, numbered: bool = False) -> bytes:
        given = [audit_members(members) for members in batch]
        with self._lock:
            sequence, tag = self._sequence, self._tag
            if sequence == 0 and given and not begin:
                raise AuditFormatError("not_begun")
            lines = []
            for index, members in enumerate(given):
                if sequence == MAX_SAFE_INTEGER:
                    raise AuditFormatError("used_up")
                sequence += 1
                try:
                    message = self._message(sequence, members, begin)
                except CanonicalizationError as error:
                    raise (at_index(error, index) if numbered else error) from None
                tag = self._key.tag(tag, message)
                lines.append(message + _CHAIN + base64url(tag).encode() + b'"}\n')
            self._sequence, self._tag = sequence, tag
        return b"".join(lines)

    def _message(self, sequence: int, members: dict[Any, Any], begin: bool) -> bytes:
        """A line up to its chain."""
        text = _BEFORE + str(sequence).encode()
        if begin:
            key_id, previous = f"{self._key.key_id:08x}", base64url(self._tag)
            text += f',"format":"{AUDIT_FORMAT}","key_id":"{key_id}","previous":"{previous}"'.encode()
        for name in dict.keys(members):
            if isinstance(name, str) and any(str.__eq__(name, own) for own in AUDIT_RESERVED):
                raise AuditFormatError("reserved")
        # The braces make room for the comma before the members and for the newline.
        room = MAX_AUDIT_LINE - len(text) - AUDIT_CHAIN_SIZE
        canonical = canonicalize(members, max_bytes=room)
        return text + (b"," + canonical[1:-1] if canonical != b"{}" else b"")

    def __repr__(self) -> str:
        return f"<AuditChain {self.key_id:08x} at {self._sequence}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("AuditChain holds a secret and cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce_ex__(4)


@final
class AuditVerifier(Verifier):
    """See ``Verifier``."""

    __doc__ = Verifier.__doc__

    @staticmethod
    def _make_key(secret: str | BytesLike) -> AuditKey:
        return AuditKey(secret)

    @staticmethod
    def _read(line: bytes) -> AuditLine:
        return read_audit_line(line)
