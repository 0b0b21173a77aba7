"""Lines that ask for verdicts, and what is done with them without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from sigil_native._hashing cimport HmacState
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._request_lines cimport MOST_PARTS, Part, RequestLine


# Why a seal does not hold, in the order of VERDICT_ERRORS in _request_arguments.py.
cdef enum Cause:
    HOLDS
    FORMAT
    UNKNOWN_KEY
    REVOKED_KEY
    KEY_NOT_YET_VALID
    RETIRED_KEY
    TAG_MISMATCH
    ISSUED_IN_FUTURE
    EXPIRED


# What a kind of answer is made of.
cdef struct Kind:
    Part[MOST_PARTS] parts
    Py_ssize_t count
    size_t longest
    bint tells_of_sigil


# Whether the tag holds.
cdef bint is_proven(const RequestLine* line) noexcept nogil
# Put a seal around its payload, header and tag; or, where it is no sigil, zeros.
cdef void place_seal(RequestLine* line, uint8_t* placed, const uint8_t* seal) noexcept nogil
cdef void place_nothing(RequestLine* line, uint8_t* placed) noexcept nogil
# Put the seal of a sigil, and what it carries if it is a token, around the payload that it must carry then.
cdef void place_sigil(
    RequestLine* line, ByteBuffer& buffer, const uint8_t* seal, bint is_token, ByteBuffer& carried
) noexcept nogil
# Reads those lines of a range that are plain, of the text that they are in: the payload, by the default rules, is an
# object, or what a token carries that stands alone. False: no memory.
cdef bint read_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil
# Reads those lines that are plain and have a sigil, whatever their payload. False: no memory.
cdef bint read_lines_of_values(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, const JsonOptions& options
) noexcept nogil
# Judges those lines of a range that are read; each names its place among the keys, or has its cause already.
# `digests`: their payloads' are wanted.
cdef void judge_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const vector[const HmacState*]& keys,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, int64_t skew_ms, bint digests,
) noexcept nogil
# Writes the answers to a range of lines that are judged or refused, each in the parts of its kind, for which there
# is room. Returns their end.
cdef uint8_t* answer_lines(
    const vector[RequestLine]& lines, const ByteBuffer& buffer, vector[Kind]& kinds,
    const vector[uint32_t]& places, Py_ssize_t first, Py_ssize_t last, uint8_t* out,
) noexcept nogil
