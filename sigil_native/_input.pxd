"""The bytes of a caller's argument, borrowed without copying."""

from cpython.buffer cimport PyBUF_SIMPLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t


# Borrowed until release(); valid as long as the argument's object is kept alive.
# `view` means something only where `held`.
cdef struct Input:
    const uint8_t* data
    size_t size
    bint held
    Py_buffer view


cdef inline int acquire(object value, Input* given, str what) except -1:
    """Borrow the bytes of a bytes-like argument; `what` names it in errors."""
    if PyBytes_CheckExact(value):
        given.data = <const uint8_t*> PyBytes_AS_STRING(value)
        given.size = <size_t> PyBytes_GET_SIZE(value)
        given.held = False
        return 0
    return acquire_buffer(value, given, what)


cdef inline int acquire_buffer(object value, Input* given, str what) except -1:
    try:
        PyObject_GetBuffer(value, &given.view, PyBUF_SIMPLE)
    except (TypeError, BufferError, ValueError):
        # Both backends say what is wrong in the same words.
        from sigil_native._arguments import readable_bytes
        readable_bytes(value, what)
        raise
    given.data = <const uint8_t*> given.view.buf
    given.size = <size_t> given.view.len
    given.held = True
    return 0


cdef inline void release(Input* given) noexcept:
    if given.held:
        PyBuffer_Release(&given.view)
