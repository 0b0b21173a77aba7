# distutils: language = c++
"""Encoding payloads into sigils, and verifying sigils against payloads."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport SIZE_MAX, int64_t
from libc.string cimport memcmp, memcpy
from libcpp cimport bool as cbool

from sigil_native._batch cimport encode_lines, encode_values
from sigil_native._canonical_text cimport options_of, write_canonical_text
from sigil_native._canonical_values cimport write_canonical
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._keyring cimport Key, KeyRing, TenantKey
from sigil_native._sealing cimport (
    Form,
    check_tenant,
    finish_seal,
    form_of,
    judge,
    lifetime_of,
    moment_of,
    render,
    start_seal,
)
from sigil_native._seal_requests cimport SealRequests
from sigil_native._sigil cimport Sigil, kHeaderSize, key_id_of, read_sigil
from sigil_native._verify_batch cimport verify_lines, verify_values
from sigil_native._verify_requests cimport VerifyRequests

from sigil_native._arguments import payload_list, skew_ms, text_bytes
from sigil_native._constants import DEFAULT_FUTURE_SKEW, DEFAULT_MAX_DEPTH
from sigil_native._request_arguments import check_requests, line_range
from sigil_native.errors import (
    InvalidOptionError,
    NestingTooDeepError,
    NoActiveKeyError,
    SigilError,
    SigilFormatError,
)


cdef extern from "thread_buffer.h" namespace "sigil" nogil:
    size_t kKeptBuffer
    ByteBuffer& thread_buffer()


@cython.final
@cython.auto_pickle(False)
cdef class SigilCodec:
    """Turns payloads into sigils and judges sigils, with the keys of one ring.

    Safe to share between threads. A ring that changes takes effect at once.

    Args:
        ring: the keys.
        max_future_skew: seconds by which an issue time may lie ahead of the
            verifier's clock.
        integers: ``"safe"`` refuses integers beyond ±(2^53−1), ``"exact"``
            writes them digit for digit.
        max_depth: levels of nesting that a payload may have, 1 to 2048.
        max_bytes: largest payload, in bytes; ``None``: no limit.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: an argument out of its range.
    """

    cdef KeyRing ring
    cdef int64_t future_skew_ms
    cdef JsonOptions options

    def __cinit__(self):
        # Methods of C are called on it unchecked: there is a ring even without __init__.
        self.ring = KeyRing()

    def __init__(
        self,
        ring,
        *,
        max_future_skew=DEFAULT_FUTURE_SKEW,
        integers="safe",
        max_depth=DEFAULT_MAX_DEPTH,
        max_bytes=None,
    ):
        if not isinstance(ring, KeyRing):
            raise TypeError(f"ring must be KeyRing, not {type(ring).__name__}")
        self.options = options_of(integers, max_depth, max_bytes)
        self.ring = ring
        self.future_skew_ms = skew_ms(max_future_skew)

    def encode(self, payload, *, tenant, expires_in=None, form="text"):
        """Seal a payload of Python values.

        Args:
            payload: what ``canonicalize`` accepts.
            tenant: whom the sigil belongs to; 1 to 128 bytes of UTF-8.
            expires_in: lifetime in seconds; ``None``: for ever.
            form: ``"text"``, ``"strand"``, ``"token"`` (carries the payload) or ``"binary"``.

        Returns:
            The sigil: bytes for ``"binary"``, else str.

        Raises:
            CanonicalizationError: the payload has no canonical form.
            InvalidTenantError, InvalidExpiryError, InvalidOptionError: a bad argument.
            NoActiveKeyError: no key of the ring may sign now.
            TypeError: an argument of a wrong type.
        """
        return self._encode(payload, False, tenant, expires_in, form)

    def encode_json(self, json_text, *, tenant, expires_in=None, form="text"):
        """Seal a payload given as JSON text, without building Python objects.

        Args, result and errors are those of ``encode`` and ``canonicalize_json``.
        """
        return self._encode(json_text, True, tenant, expires_in, form)

    def encode_many(self, payloads, *, tenant, expires_in=None, form="text"):
        """Seal many payloads of Python values, all or none.

        Raises:
            CanonicalizationError: for the first payload that has no canonical
                form; its ``index`` tells which.
            The other errors of ``encode``.
        """
        return encode_values(self.ring, self.options, payloads, tenant, expires_in, form)

    def encode_ndjson(self, lines, *, tenant, expires_in=None, form="text"):
        """Seal each line of newline-delimited JSON.

        Args:
            lines: bytes-like or str; each line is one JSON text.
            tenant: as for ``encode``.
            expires_in: as for ``encode``.
            form: ``"text"``, ``"strand"`` or ``"token"``.

        Returns:
            A line for each line, in order: the sigil, or for a line without a
            canonical form ``{"error":…,"message":…,"pointer":…,"offset":…}``.

        Raises:
            The errors of ``encode``, for its arguments alone.
        """
        return encode_lines(self.ring, self.options, lines, tenant, expires_in, form)

    def seal_requests(self, requests, first, last, *, tenant):
        """Seal those lines of a range that are read, or were accepted.

        Args:
            requests: the lines of a body.
            first: the first line's place.
            last: that of the line behind the last one.
            tenant: as for ``encode``.

        Raises:
            IndexError: there is no such range.
            ValueError: a line of it is neither read nor refused, or sealed already.
            InvalidExpiryError: a lifetime reaches beyond the year 9999.
            NoActiveKeyError: no key of the ring may sign now.
            InvalidTenantError, TypeError: a bad argument.
        """
        if type(requests) is not SealRequests:
            check_requests(requests, SealRequests)
        check_tenant(tenant)
        begin, end = line_range(first, last, len(requests))
        (<SealRequests> requests).seal(self.ring, tenant, begin, end)

    def judge_requests(self, requests, first, last, *, tenant, now=None):
        """Judge the sigils of those lines of a range that are read, or were accepted.

        Each is judged as ``verify`` does, at one moment; their tags are computed side by side, without the GIL.

        Args:
            requests: the lines of a body.
            first: the first line's place.
            last: that of the line behind the last one.
            tenant: whom the sigils must belong to.
            now: as for ``verify``.

        Raises:
            IndexError: there is no such range.
            ValueError: a line of it is neither read nor refused, or judged already.
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        cdef int64_t now_ms
        if type(requests) is not VerifyRequests:
            check_requests(requests, VerifyRequests)
        check_tenant(tenant)
        now_ms = moment_of(now)
        begin, end = line_range(first, last, len(requests))
        (<VerifyRequests> requests).judge(self.ring, tenant, begin, end, now_ms, self.future_skew_ms)

    def verify(self, sigil, payload, *, tenant, now=None):
        """Verify a sigil against a payload of Python values.

        The causes are looked for in this order: shape, payload, key (unknown,
        revoked, not yet valid, retired), tag, issue time, expiry.

        Args:
            sigil: a Sigil, or any of its forms; a token must carry this payload.
            payload: what ``canonicalize`` accepts.
            tenant: whom the sigil must belong to.
            now: the verifier's clock, seconds since the Unix epoch; ``None``: the system's.

        Returns:
            The verified sigil.

        Raises:
            SigilFormatError: not a sigil.
            CanonicalizationError: the payload has no canonical form.
            VerificationError: a subclass for each cause.
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        check_tenant(tenant)
        return self._verify(sigil, payload, False, tenant, moment_of(now))

    def verify_json(self, sigil, json_text, *, tenant, now=None):
        """Verify a sigil against JSON text; as ``verify``, without building Python objects."""
        check_tenant(tenant)
        return self._verify(sigil, json_text, True, tenant, moment_of(now))

    def verify_token(self, token, *, tenant, now=None):
        """Verify a token and return the sigil and the canonical payload that it carries.

        Raises:
            SigilFormatError: not a token, or its payload is not canonical JSON.
            NestingTooDeepError: the payload is nested beyond this codec's limit.
            VerificationError: a subclass for each cause.
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        cdef ByteBuffer payload
        cdef ByteBuffer* sealed = &thread_buffer()
        cdef JsonOptions exact = self.options
        cdef cbool has_payload = False
        cdef int64_t now_ms
        cdef Sigil sigil
        cdef Key key
        cdef TenantKey tenant_key = None
        check_tenant(tenant)
        now_ms = moment_of(now)
        sigil = read_sigil(token, payload, &has_payload)
        if not has_payload:
            raise SigilFormatError("token")
        key = self.ring.find(key_id_of(sigil.raw))
        if key is not None:
            tenant_key = key.for_tenant(tenant)
        try:
            start_seal(sealed[0])
            if not sealed.reserve(payload.size()):
                raise MemoryError
            memcpy(sealed.end(), payload.data(), payload.size())
            judge(
                sigil, key, tenant_key, sealed.data(), kHeaderSize + payload.size(), True, now_ms, self.future_skew_ms
            )
            canonical = PyBytes_FromStringAndSize(<char*> payload.data(), payload.size())
            start_seal(sealed[0])
            # A large float is written without a point, so integers are taken as they are; and so
            # a canonical form may be longer than the text that was sealed.
            exact.exact_integers = True
            exact.max_bytes = SIZE_MAX
            try:
                write_canonical_text(canonical, exact, sealed[0])
            except NestingTooDeepError:
                raise
            except SigilError:
                raise SigilFormatError("payload") from None
            if not _holds(sealed, payload):
                raise SigilFormatError("payload")
            return sigil, canonical
        finally:
            sealed.shrink_if_above(kKeptBuffer)

    def verify_many(self, sigils, payloads, *, tenant, now=None):
        """Verify sigils against payloads, pair by pair; tags are computed side by side, without the GIL.

        Returns:
            For each pair the verified Sigil, or the SigilError that says why not.

        Raises:
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        check_tenant(tenant)
        now_ms = moment_of(now)
        sigils = list(sigils)
        payloads = payload_list(payloads)
        if len(sigils) != len(payloads):
            raise InvalidOptionError("sigils and payloads differ in number")
        return verify_values(self.ring, self.options, sigils, payloads, tenant, now_ms, self.future_skew_ms)

    def verify_ndjson(self, lines, *, tenant, now=None):
        """Verify each line ``{"sigil":…,"data":…}`` of newline-delimited JSON.

        Lines are read, judged and answered without the GIL; but for those whose sigil has escapes or is none,
        or that are otherwise odd.

        Returns:
            A line for each line, in order:
            ``{"valid":true,"id":…,"key_id":…,"issued_at_ms":…,"expires_at_ms":…}`` or
            ``{"valid":false,"error":…,"message":…}``; the message names the place of what is
            wrong where a line has no canonical form.

        Raises:
            InvalidTenantError, InvalidOptionError, TypeError: a bad argument.
        """
        check_tenant(tenant)
        return verify_lines(self.ring, self.options, lines, tenant, moment_of(now), self.future_skew_ms)

    def decode(self, sigil):
        """Read a sigil's fields from any of its forms. Nothing is verified.

        Raises:
            SigilFormatError: not a sigil.
            TypeError: not a Sigil, str or bytes-like.
        """
        cdef ByteBuffer payload
        cdef cbool has_payload = False
        return read_sigil(sigil, payload, &has_payload)

    def __repr__(self) -> str:
        return f"<SigilCodec with {self.ring!r}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("SigilCodec holds secrets and cannot be copied or pickled")

    def __copy__(self):
        raise TypeError("SigilCodec holds secrets and cannot be copied or pickled")

    def __deepcopy__(self, memo):
        raise TypeError("SigilCodec holds secrets and cannot be copied or pickled")

    # The scratch buffer belongs to the thread, not to the call: from the first
    # byte written to the last one read, no Python code may run, since a
    # finalizer could call the codec again. So keys are looked up before.

    cdef int _start(self, object payload, bint is_text, ByteBuffer& sealed) except -1:
        """Write a payload's canonical form behind the room for a header."""
        if is_text and type(payload) is not bytes and type(payload) is not str:
            payload = text_bytes(payload, "text")
        start_seal(sealed)
        if is_text:
            return write_canonical_text(payload, self.options, sealed)
        return write_canonical(payload, sealed, self.options)

    cdef object _encode(self, object payload, bint is_text, object tenant, object expires_in, object form):
        cdef ByteBuffer* sealed = &thread_buffer()
        cdef Form wanted
        cdef int64_t lifetime
        cdef Key key
        cdef TenantKey tenant_key = None
        check_tenant(tenant)
        lifetime = lifetime_of(expires_in)
        wanted = form_of(form)
        key = self.ring.signing_key()
        if key is not None:
            tenant_key = key.for_tenant(tenant)
        try:
            self._start(payload, is_text, sealed[0])
            if key is None:
                raise NoActiveKeyError
            finish_seal(key, tenant_key, lifetime, sealed[0], sealed.size())
            return render(wanted, sealed.data(), sealed.size())
        finally:
            sealed.shrink_if_above(kKeptBuffer)

    cdef Sigil _verify(self, object value, object payload, bint is_text, object tenant, int64_t now_ms):
        cdef ByteBuffer* sealed = &thread_buffer()
        cdef ByteBuffer carried
        cdef cbool is_token = False
        cdef Sigil sigil
        cdef Key key
        cdef TenantKey tenant_key = None
        sigil = read_sigil(value, carried, &is_token)
        key = self.ring.find(key_id_of(sigil.raw))
        if key is not None:
            tenant_key = key.for_tenant(tenant)
        try:
            self._start(payload, is_text, sealed[0])
            intact = not is_token or _holds(sealed, carried)
            judge(sigil, key, tenant_key, sealed.data(), sealed.size(), intact, now_ms, self.future_skew_ms)
            return sigil
        finally:
            sealed.shrink_if_above(kKeptBuffer)


cdef bint _holds(ByteBuffer* sealed, ByteBuffer& payload) noexcept:
    """Is this payload, byte for byte, what the seal was made over?"""
    return (
        sealed.size() == kHeaderSize + payload.size()
        and memcmp(sealed.data() + kHeaderSize, payload.data(), payload.size()) == 0
    )
