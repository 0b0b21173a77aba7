"""Requests for verdicts, for the codec that judges them."""

from libc.stdint cimport int64_t, uint32_t
from libcpp.vector cimport vector

from sigil_native._keyring cimport KeyRing
from sigil_native._request_lines cimport RequestLines
from sigil_native._verify_lines cimport Kind


cdef class VerifyRequests(RequestLines):
    cdef int judge(
        self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last, int64_t now_ms, int64_t skew_ms
    ) except -1
    cdef Py_ssize_t _choose(
        self, object chosen, vector[Kind]& kinds, Py_ssize_t begin, Py_ssize_t end, vector[uint32_t]& places
    ) except -1


# Compiles what a kind of answer is made of, with the names of `fields`. The result must live as long as that.
cdef tuple compile_kind(object parts, dict fields, vector[Kind]& compiled)
