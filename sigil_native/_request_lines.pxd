"""The lines of a body on their way to an answer: what those that ask for seals and for verdicts share."""

from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from sigil_native._json cimport ByteBuffer, JsonOptions


cdef extern from "Python.h":
    # A whole number; where there is no error, one beyond what fits is the nearest that does. So no place is its own.
    Py_ssize_t nearest_size "PyNumber_AsSsize_t"(object number, PyObject* error) except? -1

cdef extern from "request_line.h" namespace "sigil" nogil:
    cdef struct FoundLine:
        size_t number
        size_t begin
        size_t size
    # Goes from line to line of a text, blank ones included.
    cdef cppclass LineWalker:
        LineWalker() noexcept
        LineWalker(const uint8_t* text, size_t size, size_t number) noexcept
        bint next(FoundLine& out) noexcept

cdef extern from "record_text.h" namespace "sigil" nogil:
    const size_t kUuidTextSize
    const size_t kMomentSize
    const size_t kLongestInteger
    const int64_t kLastMomentMs
    uint8_t* write_uuid(const uint8_t* id, uint8_t* out) noexcept
    cdef cppclass MomentWriter:
        MomentWriter() noexcept
        uint8_t* write(uint64_t milliseconds, uint8_t* out) noexcept


cdef enum LineState:
    UNREAD
    READ  # its payload is canonical, behind the room for a header
    DONE  # it is sealed, or judged
    REFUSED  # its answer is ready


cdef struct RequestLine:
    size_t number
    size_t begin  # of its text within the body
    size_t size
    size_t place  # in the buffer: of header, payload and tag, or of the answer
    size_t filled  # payload bytes, or those of the answer
    int64_t lifetime_ms  # of a line that asks for a seal
    uint32_t key  # of a line that asks for a verdict: its place among those that may have made the seal
    LineState state
    uint8_t cause  # likewise: why the seal does not hold
    bint altered  # likewise: a token carries another payload
    uint8_t[32] digest  # SHA-256 of the payload


# What stands between the literal pieces of an answer.
cdef enum Field:
    LITERAL
    ID
    SIGIL
    KEY_ID
    ISSUED_AT
    EXPIRES_AT
    ISSUED_MS
    EXPIRES_MS
    STATUS
    SHA256
    SHA256_OR_NULL  # in quotes

cdef struct Part:
    Field field
    const uint8_t* text
    size_t size  # the longest that it comes to

cdef enum:
    MOST_PARTS = 32  # of an answer, as in _constants.py


# Reads those lines of a range that are plain; there is room for them. False: no memory.
ctypedef bint (*LineReader)(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil


cdef class RequestLines:
    cdef bytes body
    cdef readonly size_t end, next_number
    cdef vector[RequestLine] lines
    cdef ByteBuffer buffer
    cdef bint busy

    cdef RequestLine* _line(self, object index) except NULL
    cdef RequestLine* _unread(self, object index) except NULL
    cdef int _enter(self) except -1
    cdef int _check_idle(self) except -1
    cdef int _range(self, object first, object last, Py_ssize_t* begin, Py_ssize_t* end) except -1
    cdef int _check_states(self, Py_ssize_t first, Py_ssize_t last, LineState wanted) except -1
    # Whether work on a range takes less time than to let another thread have the GIL, and to get it back.
    cdef bint _is_brief(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil
    # Reads what is plain of a range; the places of the lines that are left.
    cdef list _read(self, object first, object last, LineReader reader)


# A line that was found, and nothing of it read.
cdef RequestLine unread_line(const FoundLine& found) noexcept nogil
# Reads a payload, behind the room for a header. 1: it is done; 0: it is no good; -1: no memory.
cdef int read_payload(
    RequestLine* line, ByteBuffer& buffer, const uint8_t* text, size_t size, const JsonOptions& options
) noexcept nogil
# Puts a canonical payload behind the room for a header. None: there is none.
cdef int place_payload(RequestLine* line, ByteBuffer& buffer, bytes payload) except -1
# A payload stands at the buffer's end, behind the room for a header that `start` begins: make it the line's, with room
# for a tag. False: no memory.
cdef bint end_payload(RequestLine* line, ByteBuffer& buffer, size_t start) noexcept nogil
# Refuses a line, with its answer.
cdef int place_answer(RequestLine* line, ByteBuffer& buffer, bytes answer) except -1
# Compiles what answers are made of: at most MOST_PARTS. The result must live as long as they.
cdef tuple compile_parts(object parts, dict fields, Part* out, Py_ssize_t* count)
# Writes the answer to a line that is done or refused, which begins in the buffer at `placed`; there is room.
# Returns its end.
cdef uint8_t* write_answer(
    const Part* parts, Py_ssize_t count, const RequestLine* line, const uint8_t* placed, int64_t now_ms,
    MomentWriter& issued, MomentWriter& expiry, uint8_t* out,
) noexcept nogil
