"""The keys that lines name which ask for verdicts, found once for many of them."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from sigil_native._hashing cimport HmacState
from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport KeyRing
from sigil_native._request_lines cimport RequestLine
from sigil_native._verify_lines cimport Cause


cdef struct KnownKey:
    uint32_t key_id
    uint32_t place  # among the states, of a key that may have made a seal
    Cause cause  # why what it made does not hold


cdef class KnownKeys:
    cdef KeyRing ring
    cdef object tenant
    cdef int64_t now_ms
    # The ring's count of changes when these were found.
    cdef uint64_t changes
    cdef vector[KnownKey] known
    cdef list owners
    cdef vector[const HmacState*] states

    # Notes the keys of those lines of a range that are read and have a sigil. False: not all are known, or the ring was
    # changed since.
    cdef bint note(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) noexcept nogil
    # The same, of keys that need not be known.
    cdef int find(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) except -1
    cdef bint _is_current(self) noexcept nogil
    cdef Py_ssize_t _note_known(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) noexcept nogil
    cdef const KnownKey* _known(self, uint32_t key_id) noexcept nogil
    cdef bint _learn(self, uint32_t key_id) except -1


# Those of a ring, for one tenant and by one clock. Raises what is wrong with the tenant.
cdef KnownKeys keys_for(KeyRing ring, object tenant, int64_t now_ms)
