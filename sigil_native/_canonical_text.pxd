"""JSON text to canonical bytes, for other compiled modules."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool as cpp_bool
from libcpp.string cimport string


cdef extern from "byte_buffer.h" namespace "sigil" nogil:
    cdef cppclass ByteBuffer:
        ByteBuffer() noexcept
        uint8_t* data() noexcept
        size_t size() noexcept
        size_t capacity() noexcept
        cpp_bool reserve(size_t extra) noexcept
        uint8_t* end() noexcept
        void set_end(const uint8_t* position) noexcept
        void set_size(size_t size) noexcept
        void clear() noexcept
        void shrink_if_above(size_t most) noexcept


cdef extern from "problem.h" namespace "sigil" nogil:
    cdef enum class Problem(uint8_t):
        none
        invalid_utf8
        lone_surrogate
        document_too_large
        out_of_memory

    const char* problem_name(Problem problem) noexcept

    cdef cppclass Failure:
        Failure() noexcept
        Problem problem
        size_t offset
        string pointer


cdef extern from "json_transcoder.h" namespace "sigil" nogil:
    cdef cppclass JsonOptions:
        JsonOptions() noexcept
        uint32_t max_depth
        cpp_bool exact_integers
        size_t max_bytes


# Appends the canonical form to `out`. False: `failure` tells why, and `out` is as it was.
cdef bint canonicalize_text(
    const uint8_t* text, size_t size, const JsonOptions& options, ByteBuffer& out, Failure& failure
) noexcept nogil

# Builds, but does not raise, the Python error for a failure. `from_str`: the text was a str, so what is
# not UTF-8 in it is a surrogate. `index`: which item of a batch, or None.
cdef object text_error(const Failure& failure, bint from_str, object index)
