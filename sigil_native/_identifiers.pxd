"""What other compiled modules may use of ``_identifiers``, without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t


# Writes `count` ids of 16 bytes, the first at `out`, each `stride` bytes after the
# one before, ascending. False: the system gave no random bytes.
cdef bint uuid7_fill(uint8_t* out, size_t count, size_t stride) noexcept nogil
# The OSError that says so.
cdef object no_random_bytes()
# An id of 16 bytes as text, 8-4-4-4-12 lower-case hexadecimal digits (RFC 9562 §4); with the GIL.
cdef object uuid_text(const uint8_t* id)
