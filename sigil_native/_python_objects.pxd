"""Looks into Python's strings, integers and dicts that run no Python code and take no references."""

from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

cdef extern from "Python.h" nogil:
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    bint PyUnicode_CheckExact(PyObject* value)
    bint PyLong_CheckExact(PyObject* value)
    bint PyFloat_CheckExact(PyObject* value)
    bint PyDict_CheckExact(PyObject* value)
    # Subclasses too; by the type's flags, never by __class__.
    bint PyUnicode_Check(PyObject* value)
    bint PyLong_Check(PyObject* value)
    bint PyFloat_Check(PyObject* value)
    bint PyDict_Check(PyObject* value)
    bint PyList_Check(PyObject* value)
    bint PyTuple_Check(PyObject* value)

    bint PyUnicode_IS_COMPACT_ASCII(PyObject* text)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject* text)
    int PyUnicode_KIND(PyObject* text)
    void* PyUnicode_DATA(PyObject* text)
    double PyLong_AsDouble(PyObject* number)
    double PyFloat_AS_DOUBLE(PyObject* number)
    # Of a list or tuple only.
    Py_ssize_t PySequence_Fast_GET_SIZE(PyObject* items)
    PyObject** PySequence_Fast_ITEMS(PyObject* items)
    Py_ssize_t PyDict_GET_SIZE(PyObject* members)
    bint PyDict_Next(PyObject* members, Py_ssize_t* place, PyObject** name, PyObject** value)

    ctypedef unsigned int digit
    const unsigned int PyLong_SHIFT

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030C0000
    #define sigil_digits(number) (((PyLongObject*)(number))->long_value.ob_digit)
    #define sigil_digit_count(number) ((size_t)(((PyLongObject*)(number))->long_value.lv_tag >> 3))
    #define sigil_is_negative(number) ((((PyLongObject*)(number))->long_value.lv_tag & 3) == 2)
    #define sigil_make_ready(text) 0
    #else
    #define sigil_digits(number) (((PyLongObject*)(number))->ob_digit)
    #define sigil_digit_count(number) ((size_t)Py_ABS(Py_SIZE(number)))
    #define sigil_is_negative(number) (Py_SIZE(number) < 0)
    #define sigil_make_ready(text) PyUnicode_READY(text)
    #endif
    #define sigil_ascii_data(text) ((const uint8_t*)((PyASCIIObject*)(text) + 1))
    """
    # The magnitude: digits of PyLong_SHIFT bits, least significant first.
    const digit* sigil_digits(PyObject* number) nogil
    size_t sigil_digit_count(PyObject* number) nogil
    bint sigil_is_negative(PyObject* number) nogil
    # Strings of the oldest API, up to Python 3.11, are laid out on first use. -1: no memory.
    int sigil_make_ready(PyObject* text)
    # Of a compact ASCII string only; the object's header lies right before it.
    const uint8_t* sigil_ascii_data(PyObject* text) nogil
