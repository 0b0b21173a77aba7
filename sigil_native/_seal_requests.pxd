"""Requests for seals, for the codec that seals them."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libcpp.vector cimport vector

from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport KeyRing


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


cdef class SealRequests:
    cdef bytes body
    cdef readonly size_t end, next_number
    cdef vector[RequestLine] lines
    cdef ByteBuffer buffer
    cdef bint busy

    cdef int seal(self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last) except -1
    cdef RequestLine* _line(self, object index) except NULL
    cdef RequestLine* _unread(self, object index) except NULL
    cdef int _enter(self) except -1
    cdef int _check_idle(self) except -1
    cdef int _range(self, object first, object last, Py_ssize_t* begin, Py_ssize_t* end) except -1
    cdef int _check_states(self, Py_ssize_t first, Py_ssize_t last, LineState wanted) except -1
