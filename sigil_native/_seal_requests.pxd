"""Requests for seals, for the codec that seals them."""

from sigil_native._keyring cimport KeyRing
from sigil_native._request_lines cimport RequestLines


cdef class SealRequests(RequestLines):
    cdef int seal(self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last) except -1
