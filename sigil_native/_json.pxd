"""C++ types that the canonicalisers and their callers share."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.string cimport string


cdef extern from "byte_buffer.h" namespace "sigil" nogil:
    cdef cppclass ByteBuffer:
        ByteBuffer()
        uint8_t* data()
        size_t size()
        size_t capacity()
        cbool reserve(size_t extra)
        uint8_t* end()
        void set_end(const uint8_t* position)
        void set_size(size_t size)
        void clear()
        void shrink_if_above(size_t most)

cdef extern from "json_options.h" namespace "sigil" nogil:
    cdef cppclass JsonOptions:
        JsonOptions()
        uint32_t max_depth
        cbool exact_integers
        size_t max_bytes

cdef extern from "problem.h" namespace "sigil" nogil:
    cdef enum class Problem(unsigned char):
        none
        out_of_memory
    const char* problem_name(Problem problem)
    cdef cppclass Failure:
        Failure()
        Problem problem
        size_t offset
        string pointer
