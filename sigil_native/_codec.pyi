from collections.abc import Iterable
from typing import Literal, final, overload

from sigil_native._keyring import KeyRing
from sigil_native._seal_requests import SealRequests
from sigil_native._sigil import Sigil
from sigil_native._verify_requests import VerifyRequests
from sigil_native.errors import SigilError

_BytesLike = bytes | bytearray | memoryview
_JsonText = str | _BytesLike
_TextForm = Literal["text", "strand", "token"]

@final
class SigilCodec:
    def __init__(
        self,
        ring: KeyRing,
        *,
        max_future_skew: float = 60.0,
        integers: str = "safe",
        max_depth: int = 512,
        max_bytes: int | None = None,
    ) -> None: ...
    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: _TextForm = "text"
    ) -> str: ...
    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: Literal["binary"]
    ) -> bytes: ...
    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: str
    ) -> str | bytes: ...
    @overload
    def encode_json(
        self, json_text: _JsonText, *, tenant: str, expires_in: float | None = None, form: _TextForm = "text"
    ) -> str: ...
    @overload
    def encode_json(
        self, json_text: _JsonText, *, tenant: str, expires_in: float | None = None, form: Literal["binary"]
    ) -> bytes: ...
    @overload
    def encode_json(
        self, json_text: _JsonText, *, tenant: str, expires_in: float | None = None, form: str
    ) -> str | bytes: ...
    @overload
    def encode_many(
        self,
        payloads: Iterable[object],
        *,
        tenant: str,
        expires_in: float | None = None,
        form: _TextForm = "text",
    ) -> list[str]: ...
    @overload
    def encode_many(
        self,
        payloads: Iterable[object],
        *,
        tenant: str,
        expires_in: float | None = None,
        form: Literal["binary"],
    ) -> list[bytes]: ...
    @overload
    def encode_many(
        self, payloads: Iterable[object], *, tenant: str, expires_in: float | None = None, form: str
    ) -> list[str] | list[bytes]: ...
    def encode_ndjson(
        self, lines: _JsonText, *, tenant: str, expires_in: float | None = None, form: str = "text"
    ) -> bytes: ...
    def seal_requests(self, requests: SealRequests, first: int, last: int, *, tenant: str) -> None: ...
    def judge_requests(
        self, requests: VerifyRequests, first: int, last: int, *, tenant: str, now: float | None = None
    ) -> None: ...
    def verify(
        self, sigil: Sigil | _JsonText, payload: object, *, tenant: str, now: float | None = None
    ) -> Sigil: ...
    def verify_json(
        self, sigil: Sigil | _JsonText, json_text: _JsonText, *, tenant: str, now: float | None = None
    ) -> Sigil: ...
    def verify_token(
        self, token: _JsonText, *, tenant: str, now: float | None = None
    ) -> tuple[Sigil, bytes]: ...
    def verify_many(
        self,
        sigils: Iterable[Sigil | _JsonText],
        payloads: Iterable[object],
        *,
        tenant: str,
        now: float | None = None,
    ) -> list[Sigil | SigilError]: ...
    def verify_ndjson(self, lines: _JsonText, *, tenant: str, now: float | None = None) -> bytes: ...
    def decode(self, sigil: Sigil | _JsonText) -> Sigil: ...
