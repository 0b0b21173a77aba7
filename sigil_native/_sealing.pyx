# distutils: language = c++
"""What every way of encoding and verifying shares: arguments, the seal itself, the verdict."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from sigil_native._hashing cimport equal_bytes, hmac_digest_with_gil
from sigil_native._identifiers cimport no_random_bytes, uuid7_fill
from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport Key, KeyState, TenantKey
from sigil_native._sigil cimport (
    Sigil,
    base64url_size,
    expires_ms_of,
    issued_ms_of,
    kHeaderSize,
    kIdentifierOffset,
    kStrandSize,
    kTagSize,
    kTextSize,
    spell_base64url,
    spell_strand,
    spell_text,
    write_expiry,
    write_header,
)

from sigil_native._arguments import check_form, lifetime_ms, moment_ms, tenant_bytes
from sigil_native.errors import (
    InvalidExpiryError,
    IssuedInFutureError,
    KeyNotYetValidError,
    RetiredKeyError,
    RevokedKeyError,
    SigilExpiredError,
    TagMismatchError,
    UnknownKeyError,
)


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

cdef extern from "clock.h" namespace "sigil" nogil:
    int64_t wall_clock_ms()


cdef extern from "record_text.h" namespace "sigil" nogil:
    const int64_t kLastMomentMs


cdef Form form_of(object form) except *:
    if type(form) is str:
        if form == "text":
            return Form.TEXT
        if form == "token":
            return Form.TOKEN
        if form == "binary":
            return Form.BINARY
        if form == "strand":
            return Form.STRAND
    check_form(form)
    return Form.TEXT  # not reached: check_form has raised


cdef int64_t lifetime_of(object expires_in) except -1:
    cdef int64_t lifetime
    if expires_in is None:
        return 0
    if type(expires_in) is int and 0 < expires_in <= kLastMomentMs // 1000:
        lifetime = <int64_t> expires_in * 1000
    else:
        lifetime = lifetime_ms(expires_in)
    if lifetime > kLastMomentMs - wall_clock_ms():
        raise InvalidExpiryError
    return lifetime


cdef int64_t moment_of(object now) except -1:
    if now is None:
        return wall_clock_ms()
    return moment_ms(now, "now")


cdef int check_tenant(object tenant) except -1:
    # A short ASCII name, the usual one, needs no encoding to be known good.
    if type(tenant) is str and PyUnicode_IS_ASCII(tenant) and 1 <= PyUnicode_GET_LENGTH(tenant) <= 128:
        return 0
    tenant_bytes(tenant)
    return 0


cdef int start_seal(ByteBuffer& out) except -1:
    out.clear()
    if not out.reserve(kHeaderSize):
        raise MemoryError
    out.set_size(kHeaderSize)
    return 0


cdef void write_lifetime(uint8_t* header, int64_t lifetime) noexcept nogil:
    cdef int64_t expires = <int64_t> issued_ms_of(header) + lifetime
    # lifetime_of() has checked the sum; the clock may have been set forward since.
    write_expiry(header, min(expires, kLastMomentMs))


cdef int finish_seal(Key key, TenantKey tenant_key, int64_t lifetime, ByteBuffer& out, size_t size) except -1:
    cdef uint8_t* sealed
    if not out.reserve(kTagSize):
        raise MemoryError
    sealed = out.data()
    write_header(sealed, key.key_id)
    if not uuid7_fill(sealed + kIdentifierOffset, 1, 0):
        raise no_random_bytes()
    if lifetime:
        write_lifetime(sealed, lifetime)
    hmac_digest_with_gil(&tenant_key.state, sealed, size, sealed + size)
    return 0


cdef object render(Form form, const uint8_t* sealed, size_t size):
    cdef uint8_t seal[64]
    cdef uint8_t* end
    if form == Form.TEXT:
        text = PyUnicode_New(kTextSize, 127)
        spell_text(sealed, sealed + size, <uint8_t*> PyUnicode_DATA(text))
        return text
    if form != Form.TOKEN:
        memcpy(seal, sealed, kHeaderSize)
        memcpy(seal + kHeaderSize, sealed + size, kTagSize)
        if form == Form.BINARY:
            return PyBytes_FromStringAndSize(<char*> seal, 64)
        text = PyUnicode_New(kStrandSize, 127)
        spell_strand(seal, <uint8_t*> PyUnicode_DATA(text))
        return text
    text = PyUnicode_New(kTextSize + 1 + base64url_size(size - kHeaderSize), 127)
    end = spell_text(sealed, sealed + size, <uint8_t*> PyUnicode_DATA(text))
    end[0] = b"."
    spell_base64url(sealed + kHeaderSize, size - kHeaderSize, end + 1)
    return text


cdef int judge(
    Sigil sigil, Key key, TenantKey tenant_key, uint8_t* sealed, size_t size, bint intact,
    int64_t now_ms, int64_t skew_ms,
) except -1:
    cdef uint8_t tag[32]
    if key is None:
        raise UnknownKeyError(sigil)
    if key.state == KeyState.REVOKED:
        raise RevokedKeyError(sigil)
    if now_ms < key.not_before_ms:
        raise KeyNotYetValidError(sigil)
    if now_ms >= key.retire_at_ms:
        raise RetiredKeyError(sigil)
    memcpy(sealed, sigil.raw, kHeaderSize)
    hmac_digest_with_gil(&tenant_key.state, sealed, size, tag)
    if not equal_bytes(tag, sigil.raw + kHeaderSize, kTagSize) or not intact:
        raise TagMismatchError(sigil)
    if <int64_t> issued_ms_of(sigil.raw) > now_ms + skew_ms:
        raise IssuedInFutureError(sigil)
    # An expiry is an unsigned 64-bit number; what exceeds the clock's range lies ahead of it.
    if expires_ms_of(sigil.raw) != 0 and <unsigned long long> now_ms >= expires_ms_of(sigil.raw):
        raise SigilExpiredError(sigil)
    return 0
