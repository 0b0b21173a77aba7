"""The codec: options, the ways of passing payloads, and batches.

What a seal is stands in ``sealing``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NoReturn, final, overload

from sigil_native._arguments import (
    check_form,
    check_line_form,
    json_options,
    moment_ms,
    payload_list,
    skew_ms,
    tenant_bytes,
    text_bytes,
)
from sigil_native._constants import DEFAULT_FUTURE_SKEW, DEFAULT_MAX_DEPTH
from sigil_native._pure.json_text import canonical_bytes
from sigil_native._pure.json_values import canonicalize
from sigil_native._pure.keyring import KeyRing
from sigil_native._pure.lines import encoded_error_line, split_lines, verified_line
from sigil_native._pure.seal_requests import SealRequests
from sigil_native._pure.sealing import check, clock_ms, lifetime_of, seal
from sigil_native._pure.sigil import Sigil, parse
from sigil_native._pure.verify_requests import VerifyRequests
from sigil_native._request_arguments import check_requests
from sigil_native.errors import (
    CanonicalizationError,
    InvalidOptionError,
    NestingTooDeepError,
    SigilError,
    SigilFormatError,
    at_index,
)

BytesLike = bytes | bytearray | memoryview
JsonText = str | BytesLike
TextForm = Literal["text", "strand", "token"]


@final
class SigilCodec:
    """Seals payloads and verifies seals with the keys of a ring.

    A codec keeps nothing but its options: changes of the ring take effect at
    once, and any number of threads may use one codec.
    """

    __slots__ = ("_exact", "_max_bytes", "_max_depth", "_ring", "_skew_ms")

    def __init__(
        self,
        ring: KeyRing,
        *,
        max_future_skew: float = DEFAULT_FUTURE_SKEW,
        integers: str = "safe",
        max_depth: int = DEFAULT_MAX_DEPTH,
        max_bytes: int | None = None,
    ) -> None:
        """Make a codec.

        Args:
            ring: the keys.
            max_future_skew: how many seconds the signer's clock may be ahead.
            integers: as for ``canonicalize``.
            max_depth: as for ``canonicalize``.
            max_bytes: as for ``canonicalize`` and ``canonicalize_json``.

        Raises:
            InvalidOptionError: an option is unknown or out of range.
            TypeError: an argument has a wrong type.
        """
        if not isinstance(ring, KeyRing):
            raise TypeError(f"ring must be KeyRing, not {type(ring).__name__}")
        self._ring = ring
        self._exact, self._max_depth, self._max_bytes = json_options(integers, max_depth, max_bytes)
        self._skew_ms = skew_ms(max_future_skew)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{SigilCodec.__name__} is final")

    def __repr__(self) -> str:
        return f"<SigilCodec with {self._ring!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SigilCodec holds secrets and cannot be copied or pickled")

    # -- sealing ---------------------------------------------------------------

    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: TextForm = "text"
    ) -> str: ...
    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: Literal["binary"]
    ) -> bytes: ...
    @overload
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: str
    ) -> str | bytes: ...
    def encode(
        self, payload: object, *, tenant: str, expires_in: float | None = None, form: str = "text"
    ) -> str | bytes:
        """Seal a Python value.

        Args:
            payload: a value that ``canonicalize`` accepts.
            tenant: whom the sigil is bound to, 1 to 128 bytes of UTF-8.
            expires_in: seconds until the sigil expires; None = never.
            form: ``"text"``, ``"strand"``, ``"token"`` or ``"binary"``.

        Returns:
            The sigil in that form: ``bytes`` for ``"binary"``, else ``str``.

        Raises:
            CanonicalizationError: the payload has no RFC 8785 form.
            InvalidTenantError: the tenant is empty or too long.
            InvalidExpiryError: the lifetime is not positive or ends too late.
            NoActiveKeyError: no key of the ring may sign now.
            InvalidOptionError: the form is unknown.
            TypeError: an argument has a wrong type.
        """
        tenant_name, lifetime = self._seal_options(tenant, expires_in)
        check_form(form)
        return self._seal(self._from_value(payload), tenant_name, lifetime, form)

    @overload
    def encode_json(
        self, json_text: JsonText, *, tenant: str, expires_in: float | None = None, form: TextForm = "text"
    ) -> str: ...
    @overload
    def encode_json(
        self, json_text: JsonText, *, tenant: str, expires_in: float | None = None, form: Literal["binary"]
    ) -> bytes: ...
    @overload
    def encode_json(
        self, json_text: JsonText, *, tenant: str, expires_in: float | None = None, form: str
    ) -> str | bytes: ...
    def encode_json(
        self, json_text: JsonText, *, tenant: str, expires_in: float | None = None, form: str = "text"
    ) -> str | bytes:
        """Seal a JSON text; else like ``encode``."""
        tenant_name, lifetime = self._seal_options(tenant, expires_in)
        check_form(form)
        return self._seal(self._from_text(json_text), tenant_name, lifetime, form)

    @overload
    def encode_many(
        self,
        payloads: Iterable[object],
        *,
        tenant: str,
        expires_in: float | None = None,
        form: TextForm = "text",
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
    def encode_many(
        self, payloads: Iterable[object], *, tenant: str, expires_in: float | None = None, form: str = "text"
    ) -> list[Any]:
        """Seal many Python values for one tenant; all of them or none.

        Returns:
            The sigils, in the order of the payloads.

        Raises:
            CanonicalizationError: for the first payload that is refused; ``index`` says which.
            SigilError: otherwise as for ``encode``.
            TypeError: an argument has a wrong type.
        """
        tenant_name, lifetime = self._seal_options(tenant, expires_in)
        check_form(form)
        canonical = []
        for index, payload in enumerate(payload_list(payloads)):
            try:
                canonical.append(self._from_value(payload))
            except CanonicalizationError as error:
                raise at_index(error, index) from None
        return [self._seal(item, tenant_name, lifetime, form) for item in canonical]

    def encode_ndjson(
        self, lines: JsonText, *, tenant: str, expires_in: float | None = None, form: TextForm | str = "text"
    ) -> bytes:
        """Seal each line of a text of JSON lines.

        A bad line stops no other. Lines end with LF or CR LF, which the last
        may lack; an empty line is a bad one.

        Returns:
            As many lines, in the same order: the sigil, or a JSON object with
            ``error`` (a code), ``message``, ``pointer`` and ``offset`` (within the line).

        Raises:
            SigilError: as for ``encode``, except for what is wrong with a line;
                there is no binary form.
            TypeError: an argument has a wrong type.
        """
        tenant_name, lifetime = self._seal_options(tenant, expires_in)
        check_line_form(form)
        results = []
        for line in split_lines(text_bytes(lines, "lines")):
            try:
                canonical = self._from_bytes(line, isinstance(lines, str))
            except CanonicalizationError as error:
                results.append(encoded_error_line(error))
            else:
                sigil = self._seal(canonical, tenant_name, lifetime, form)
                results.append(sigil.encode() if isinstance(sigil, str) else sigil)
        return b"".join(result + b"\n" for result in results)

    def seal_requests(self, requests: SealRequests, first: int, last: int, *, tenant: str) -> None:
        """Seal those lines of a range that are read, or were accepted.

        Raises:
            IndexError: there is no such range.
            ValueError: a line of it is neither read nor refused, or sealed already.
            InvalidExpiryError: a lifetime reaches beyond the year 9999.
            NoActiveKeyError: no key of the ring may sign now.
            InvalidTenantError, TypeError: a bad argument.
        """
        check_requests(requests, SealRequests)
        requests.seal(self._ring, tenant_bytes(tenant), first, last)

    def judge_requests(
        self, requests: VerifyRequests, first: int, last: int, *, tenant: str, now: float | None = None
    ) -> None:
        """Judge the sigils of those lines of a range that are read, or were accepted, as ``verify`` does.

        Raises:
            IndexError: there is no such range.
            ValueError: a line of it is neither read nor refused, or judged already.
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        check_requests(requests, VerifyRequests)
        requests.judge(self._ring, first, last, *self._judge_options(tenant, now), self._skew_ms)

    # -- judging ---------------------------------------------------------------

    def decode(self, sigil: Sigil | JsonText) -> Sigil:
        """Read a sigil's fields. Nothing is verified: they are claims.

        Raises:
            SigilFormatError: not a sigil, or not its canonical spelling.
            TypeError: ``sigil`` is neither ``Sigil``, ``str`` nor bytes-like.
        """
        return parse(sigil)[0]

    def verify(
        self, sigil: Sigil | JsonText, payload: object, *, tenant: str, now: float | None = None
    ) -> Sigil:
        """Verify that a sigil seals a Python value for a tenant.

        Looked at in this order: the sigil's form, the payload, the key
        (unknown, revoked, not yet valid, retired), the tag, the time of issue,
        the expiry.

        Args:
            sigil: a ``Sigil`` or any of its forms; a token must carry the payload.
            payload: a value that ``canonicalize`` accepts.
            tenant: whom the sigil must be bound to.
            now: seconds since the Unix epoch; None = the clock's time.

        Returns:
            The sigil.

        Raises:
            SigilFormatError: not a sigil, or not its canonical spelling.
            CanonicalizationError: the payload has no RFC 8785 form.
            VerificationError: the sigil does not hold; a subclass names the cause.
            InvalidTenantError: the tenant is empty or too long.
            InvalidOptionError: ``now`` is out of range.
            TypeError: an argument has a wrong type.
        """
        tenant_name, now_ms = self._judge_options(tenant, now)
        parsed = parse(sigil)
        return self._check(parsed, self._from_value(payload), tenant_name, now_ms)

    def verify_json(
        self, sigil: Sigil | JsonText, json_text: JsonText, *, tenant: str, now: float | None = None
    ) -> Sigil:
        """Verify that a sigil seals a JSON text; else like ``verify``."""
        tenant_name, now_ms = self._judge_options(tenant, now)
        parsed = parse(sigil)
        return self._check(parsed, self._from_text(json_text), tenant_name, now_ms)

    def verify_token(self, token: JsonText, *, tenant: str, now: float | None = None) -> tuple[Sigil, bytes]:
        """Verify a token and return its sigil and canonical payload.

        Raises:
            SigilFormatError: not a token, not its canonical spelling, or sealed
                although its payload is not canonical.
            NestingTooDeepError: the payload is nested beyond this codec's limit.
            SigilError: otherwise as for ``verify``.
            TypeError: an argument has a wrong type.
        """
        tenant_name, now_ms = self._judge_options(tenant, now)
        sigil, payload = parse(token)
        if payload is None:
            raise SigilFormatError("token")
        self._check((sigil, payload), payload, tenant_name, now_ms)
        try:
            # Integers of any size: 1e16 is a float whose canonical form has none of the marks of one.
            # No limit of size: a canonical form may be longer than the text that was sealed.
            again = canonical_bytes(
                payload, from_str=False, exact=True, max_depth=self._max_depth, max_bytes=None
            )
            is_canonical = again == payload
        except NestingTooDeepError:
            raise
        except CanonicalizationError:
            is_canonical = False
        if not is_canonical:
            raise SigilFormatError("payload")
        return sigil, payload

    def verify_many(
        self,
        sigils: Iterable[Sigil | JsonText],
        payloads: Iterable[object],
        *,
        tenant: str,
        now: float | None = None,
    ) -> list[Sigil | SigilError]:
        """Verify many sigils of one tenant.

        Returns:
            For each, in order: the sigil, or the error that ``verify`` would raise.

        Raises:
            InvalidOptionError: sigils and payloads differ in number, or ``now`` is out of range.
            InvalidTenantError: the tenant is empty or too long.
            TypeError: an argument or a sigil has a wrong type.
        """
        tenant_name, now_ms = self._judge_options(tenant, now)
        given_sigils, given_payloads = list(sigils), payload_list(payloads)
        if len(given_sigils) != len(given_payloads):
            raise InvalidOptionError("sigils and payloads differ in number")
        results: list[Sigil | SigilError] = []
        for index, (sigil, payload) in enumerate(zip(given_sigils, given_payloads, strict=True)):
            try:
                parsed = parse(sigil)
                results.append(self._check(parsed, self._from_value(payload), tenant_name, now_ms))
            except CanonicalizationError as error:
                results.append(at_index(error, index))
            except SigilError as error:
                results.append(error)
        return results

    def verify_ndjson(self, lines: JsonText, *, tenant: str, now: float | None = None) -> bytes:
        """Verify each line of a text of JSON lines, ``{"sigil": "...", "data": ...}``.

        Returns:
            As many lines, in the same order, each a JSON object: ``valid`` true with
            ``id``, ``key_id``, ``issued_at_ms`` and ``expires_at_ms``, or ``valid`` false
            with ``error`` (a code) and ``message``, which names the place of what is wrong where
            a line has no canonical form.

        Raises:
            InvalidTenantError: the tenant is empty or too long.
            InvalidOptionError: ``now`` is out of range.
            TypeError: an argument has a wrong type.
        """
        tenant_name, now_ms = self._judge_options(tenant, now)
        results = [
            verified_line(
                line,
                isinstance(lines, str),
                (self._exact, self._max_depth, self._max_bytes),
                lambda sigil, data: self._check(parse(sigil), data, tenant_name, now_ms),
            )
            for line in split_lines(text_bytes(lines, "lines"))
        ]
        return b"".join(result + b"\n" for result in results)

    # -- steps -----------------------------------------------------------------

    def _seal_options(self, tenant: object, expires_in: object) -> tuple[bytes, int | None]:
        return tenant_bytes(tenant), lifetime_of(expires_in)

    def _judge_options(self, tenant: object, now: object) -> tuple[bytes, int]:
        tenant_name = tenant_bytes(tenant)
        now_ms = moment_ms(now, "now")
        return tenant_name, clock_ms() if now_ms is None else now_ms

    def _from_value(self, payload: object) -> bytes:
        integers = "exact" if self._exact else "safe"
        return canonicalize(payload, integers=integers, max_depth=self._max_depth, max_bytes=self._max_bytes)

    def _from_text(self, json_text: object) -> bytes:
        return self._from_bytes(text_bytes(json_text, "text"), isinstance(json_text, str))

    def _from_bytes(self, raw: bytes, from_str: bool) -> bytes:
        return canonical_bytes(
            raw, from_str=from_str, exact=self._exact, max_depth=self._max_depth, max_bytes=self._max_bytes
        )

    def _seal(self, canonical: bytes, tenant: bytes, lifetime: int | None, form: str) -> str | bytes:
        return seal(self._ring, canonical, tenant, lifetime, form)

    def _check(
        self, parsed: tuple[Sigil, bytes | None], canonical: bytes, tenant: bytes, now_ms: int
    ) -> Sigil:
        return check(self._ring, parsed, canonical, tenant, now_ms, self._skew_ms)
