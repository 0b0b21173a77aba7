"""Requests for seals, for the codec that seals them."""

from libcpp.vector cimport vector

from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport KeyRing
from sigil_native._request_lines cimport LineState, RequestLine


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
