"""Lines that ask for seals, and what is done with them without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from sigil_native._hashing cimport HmacState
from sigil_native._json cimport ByteBuffer


cdef enum LineState:
    UNREAD
    READ  # its payload is canonical, behind the room for a header
    SEALED
    REFUSED  # its answer is ready


cdef struct RequestLine:
    size_t number
    size_t begin  # of its text within the body
    size_t size
    size_t place  # in the buffer: of header, payload and tag, or of the answer
    size_t filled  # payload bytes, or those of the answer
    int64_t lifetime_ms
    LineState state
    uint8_t[32] digest  # SHA-256 of the payload


# What stands between the literal pieces of an answer; the names are those of ANSWER_FIELDS in _constants.py.
cdef enum Field:
    LITERAL
    ID
    SIGIL
    KEY_ID
    ISSUED_AT
    EXPIRES_AT
    STATUS
    SHA256

cdef struct Part:
    Field field
    const uint8_t* text
    size_t size


# Reads those lines of a range that are plain, of the text that they are in. False: no memory.
cdef bint read_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil
# Seals those lines of a range that are read. False: the system gave no randomness.
cdef bint seal_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const HmacState* tenant_key, uint32_t key_id,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil
# Writes the answers to a range of lines that are sealed or refused; there is room. Returns their end.
cdef uint8_t* answer_lines(
    const vector[RequestLine]& lines, const ByteBuffer& buffer, const Part* parts, Py_ssize_t count,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, uint8_t* out,
) noexcept nogil
