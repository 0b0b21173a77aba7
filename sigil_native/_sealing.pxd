from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t

from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport Key, TenantKey
from sigil_native._sigil cimport Sigil


cdef enum Form:
    TEXT
    STRAND
    TOKEN
    BINARY


# Arguments. Each raises what its checker in _arguments.py raises.
cdef Form form_of(object form) except *
cdef int64_t lifetime_of(object expires_in) except -1  # milliseconds; 0: for ever
cdef int64_t moment_of(object now) except -1  # milliseconds; None: the wall clock
cdef int check_tenant(object tenant) except -1

# A seal in the making is one run of bytes: header (32), canonical payload, tag (32).
# `size` always counts header and payload; room for the tag follows them.
cdef int start_seal(ByteBuffer& out) except -1
cdef int finish_seal(Key key, TenantKey tenant_key, int64_t lifetime, ByteBuffer& out, size_t size) except -1
cdef void write_lifetime(uint8_t* header, int64_t lifetime) noexcept nogil
cdef object render(Form form, const uint8_t* sealed, size_t size)

# Raises the first reason why the sigil does not hold, in the order of the checks.
# `intact`: a token carries this very payload, or there is no token.
cdef int judge(
    Sigil sigil, Key key, TenantKey tenant_key, uint8_t* sealed, size_t size, bint intact,
    int64_t now_ms, int64_t skew_ms,
) except -1
