"""Values that hold no others, written as JSON: strings, numbers, true, false and null."""

from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from libc.math cimport isfinite
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy
from libcpp cimport bool as cbool

from sigil_native._python_objects cimport (
    Py_False,
    Py_None,
    Py_True,
    PyFloat_AS_DOUBLE,
    PyFloat_Check,
    PyLong_AsDouble,
    PyLong_Check,
    PyLong_SHIFT,
    PyUnicode_Check,
    PyUnicode_CheckExact,
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_IS_COMPACT_ASCII,
    PyUnicode_KIND,
    digit,
    sigil_ascii_data,
    sigil_digit_count,
    sigil_digits,
    sigil_is_negative,
    sigil_make_ready,
)
from sigil_native._walker cimport TAIL, Text, Walker, fail, fail_without_memory, likely, room, unlikely

cdef extern from "json_string.h" namespace "sigil" nogil:
    const size_t kLongestEscape
    bint copy_plain_ascii(const uint8_t* text, size_t length, uint8_t* out)
    size_t piece_end(const Text& text, size_t begin)
    uint8_t* put_escaped(const Text& text, size_t begin, size_t end, uint8_t* out, cbool utf16)
    cbool has_surrogate(const Text& text)

cdef extern from "number.h" namespace "sigil" nogil:
    const int kLongestNumber
    const uint64_t kMaxSafeInteger
    char* write_number(double value, char* out)
    char* write_integer(uint64_t value, char* out)

cdef extern from "big_integer.h" namespace "sigil" nogil:
    const size_t kMaxIntegerDigits
    size_t write_big_integer(const digit* digits, size_t count, unsigned int bits, char* out)


cdef inline uint8_t* write_scalar(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    """Any value but a dict, list or tuple; subclasses by their underlying value."""
    if PyUnicode_CheckExact(value):
        return write_string(walker, value, out)
    if is_word(value):
        return write_word(walker, value, out)
    if PyUnicode_Check(value):
        return write_points(walker, value, out)
    if PyLong_Check(value):
        return write_int(walker, value, out)
    if PyFloat_Check(value):
        return write_float(walker, value, out)
    return fail(walker, "unsupported_type", value)


cdef inline bint is_word(PyObject* value) noexcept:
    return value == Py_True or value == Py_False or value == Py_None


cdef inline uint8_t* write_word(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    out = room(walker, out, 5 + TAIL)
    if unlikely(out == NULL):
        return NULL
    if value == Py_None:
        return put(out, "null", 4)
    return put(out, "true", 4) if value == Py_True else put(out, "false", 5)


cdef inline uint8_t* put(uint8_t* out, const char* word, size_t size) noexcept:
    memcpy(out, word, size)
    return out + size


cdef inline uint8_t* write_string(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    cdef const uint8_t* text
    cdef size_t length
    if not PyUnicode_IS_COMPACT_ASCII(value):
        return write_points(walker, value, out)
    text = sigil_ascii_data(value)
    length = <size_t> PyUnicode_GET_LENGTH(value)
    out = room(walker, out, length + 2 + TAIL)
    if unlikely(out == NULL):
        return NULL
    if not likely(copy_plain_ascii(text, length, out + 1)):
        return write_points(walker, value, out)
    out[0] = c'"'
    out[length + 1] = c'"'
    return out + length + 2


cdef inline Text text_of(void* value) noexcept nogil:
    cdef Text text
    text.points = PyUnicode_DATA(<PyObject*> value)
    text.length = <size_t> PyUnicode_GET_LENGTH(<PyObject*> value)
    text.width = <uint8_t> PyUnicode_KIND(<PyObject*> value)
    return text


cdef inline uint8_t* write_points(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    """Any string: with escapes, not ASCII, or of a subclass."""
    cdef Text text
    cdef size_t end, begin = 0
    if sigil_make_ready(value) < 0:
        PyErr_Clear()  # raised anew when the walk is over
        return fail_without_memory(walker)
    text = text_of(value)
    out = room(walker, out, 1)
    if out == NULL:
        return NULL
    out[0] = c'"'
    out += 1
    while begin < text.length:
        end = piece_end(text, begin)
        out = room(walker, out, kLongestEscape * (end - begin))
        if out == NULL:
            return NULL
        out = put_escaped(text, begin, end, out, walker.as_ecmascript)
        if out == NULL:
            return fail(walker, "lone_surrogate", NULL)
        begin = end
    out = room(walker, out, 1 + TAIL)
    if out == NULL:
        return NULL
    out[0] = c'"'
    return out + 1


cdef inline uint8_t* write_int(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    cdef size_t count = sigil_digit_count(value)
    cdef uint64_t magnitude = 0
    cdef size_t i
    out = room(walker, out, 20 + TAIL)
    if unlikely(out == NULL):
        return NULL
    if likely(count * PyLong_SHIFT <= 60):
        for i in range(count):
            magnitude |= <uint64_t> sigil_digits(value)[i] << (i * PyLong_SHIFT)
        if likely(magnitude <= kMaxSafeInteger):
            if sigil_is_negative(value):
                out[0] = c"-"
                out += 1
            return <uint8_t*> write_integer(magnitude, <char*> out)
    return write_big_int(walker, value, out)


cdef inline uint8_t* write_big_int(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    """An integer beyond 2^53 - 1."""
    cdef char number[64]
    cdef size_t size, count = sigil_digit_count(value)
    if not walker.exact_integers and not walker.as_ecmascript:
        return fail(walker, "integer_range", NULL)
    if walker.as_ecmascript and count * PyLong_SHIFT > 90:  # Number::toString uses an exponent from 10^21 on
        return fail(walker, "integer_range", NULL)
    out = room(walker, out, 1 + kMaxIntegerDigits + TAIL)
    if out == NULL:
        return NULL
    if sigil_is_negative(value):
        out[0] = c"-"
        out += 1
    size = write_big_integer(sigil_digits(value), count, PyLong_SHIFT, <char*> out)
    if size == 0:
        return fail(walker, "integer_range", NULL)
    if walker.as_ecmascript:
        # The digits must be what a program finds whose numbers are all binary64.
        if <size_t> (write_number(abs(PyLong_AsDouble(value)), number) - number) != size or memcmp(number, out, size):
            return fail(walker, "integer_range", NULL)
    return out + size


cdef inline uint8_t* write_float(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    cdef double number = PyFloat_AS_DOUBLE(value)
    if not isfinite(number):
        return fail(walker, "non_finite_number", NULL)
    out = room(walker, out, kLongestNumber + TAIL)
    if unlikely(out == NULL):
        return NULL
    return <uint8_t*> write_number(number, <char*> out)
