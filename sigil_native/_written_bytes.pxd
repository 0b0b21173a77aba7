"""A bytes object that is written before it is known how long it is."""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    # Of the longest that it may come to, where the text is NULL; nobody else has seen it yet.
    PyObject* bytes_of_size "PyBytes_FromStringAndSize"(const char* text, Py_ssize_t size) except NULL
    char* bytes_start "PyBytes_AS_STRING"(PyObject* text) noexcept nogil
    int resize_bytes "_PyBytes_Resize"(PyObject** text, Py_ssize_t size) except -1
    void Py_DECREF(PyObject* one) noexcept


cdef inline bytes written_bytes(PyObject* text, const void* end):
    """It is written up to there."""
    resize_bytes(&text, <const char*> end - bytes_start(text))
    found = <bytes> text
    Py_DECREF(text)
    return found
