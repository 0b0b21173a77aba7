"""C++ types that the canonicalisers and their callers share."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.string cimport string


cdef extern from "byte_buffer.h" namespace "sigil" nogil:
    cdef cppclass ByteBuffer:
        ByteBuffer() noexcept
        uint8_t* data() noexcept
        size_t size() noexcept
        size_t capacity() noexcept
        cbool reserve(size_t extra) noexcept
        uint8_t* end() noexcept
        void set_end(const uint8_t* position) noexcept
        void set_size(size_t size) noexcept
        void clear() noexcept
        void swap(ByteBuffer& other) noexcept
        void shrink_if_above(size_t most) noexcept

cdef extern from "json_options.h" namespace "sigil" nogil:
    cdef cppclass JsonOptions:
        JsonOptions() noexcept
        uint32_t max_depth
        cbool exact_integers
        size_t max_bytes

cdef extern from "problem.h" namespace "sigil" nogil:
    cdef enum class Problem(uint8_t):
        none
        invalid_utf8
        lone_surrogate
        out_of_memory
    const char* problem_name(Problem problem) noexcept
    cdef cppclass Failure:
        Failure() noexcept
        Problem problem
        size_t offset
        string pointer
