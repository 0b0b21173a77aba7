"""Python values to JSON: canonical (RFC 8785) or as ECMAScript's JSON.stringify writes it.

One walk writes straight into a buffer. While it lasts it runs no Python code,
allocates no object that the garbage collector tracks and keeps the GIL, so the
references it borrows from lists and dicts stay good. What went wrong is noted
in the walker, with references of its own, and becomes an exception afterwards.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.math cimport isfinite
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, UINTPTR_MAX, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
from libcpp cimport bool as cbool

from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._python_objects cimport (
    PyDict_Check,
    PyDict_CheckExact,
    PyDict_Next,
    PyDict_GET_SIZE,
    PyFloat_AS_DOUBLE,
    PyFloat_Check,
    PyFloat_CheckExact,
    PyList_Check,
    PyLong_Check,
    PyLong_CheckExact,
    PyLong_SHIFT,
    PySequence_Fast_GET_SIZE,
    PySequence_Fast_ITEMS,
    PyTuple_Check,
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

from sigil_native._arguments import json_options
from sigil_native._constants import DEFAULT_MAX_DEPTH, INTEGER_MODES
from sigil_native.errors import canonicalization_error

cdef extern from "Python.h":
    PyObject* Py_True
    PyObject* Py_False
    PyObject* Py_None
    double PyLong_AsDouble(PyObject* number)
    cbool likely(cbool condition) nogil
    cbool unlikely(cbool condition) nogil

cdef extern from "utf16_order.h" namespace "sigil" nogil:
    cdef cppclass Text:
        const void* points
        size_t length
        uint8_t width
    uint64_t order_prefix(const Text& text)
    uint64_t order_prefix_ascii(const uint8_t* text, size_t length)

cdef extern from "value_scratch.h" namespace "sigil" nogil:
    cdef struct Member:
        void* name
        void* value
    cdef cppclass MemberStack:
        size_t size()
        void set_size(size_t size)
        cbool reserve(size_t count)
        Member* members(size_t base)
        uint64_t* prefixes(size_t base)
        const Member& ordered(size_t base, size_t index)
        void keep_order(size_t base)
        void sort(size_t base, Text (*text_of)(void*) noexcept)
        void sort_as_ecmascript(size_t base, Text (*text_of)(void*) noexcept)
        size_t find_duplicate(size_t base, Text (*text_of)(void*) noexcept)
    cdef cppclass ValueScratch:
        ByteBuffer text
        MemberStack members
        void trim()
        void trim_members()
    ValueScratch& value_scratch()

cdef extern from "json_string.h" namespace "sigil" nogil:
    const size_t kLongestEscape
    bint copy_plain_ascii(const uint8_t* text, size_t length, uint8_t* out)
    uint8_t* put_escaped[Point](const Point* text, const Point* end, uint8_t* out, cbool utf16)
    cbool has_surrogate[Point](const Point* text, size_t length)

cdef extern from "number.h" namespace "sigil" nogil:
    const int kLongestNumber
    const uint64_t kMaxSafeInteger
    char* write_number(double value, char* out)
    char* write_integer(uint64_t value, char* out)

cdef extern from "big_integer.h" namespace "sigil" nogil:
    const size_t kMaxIntegerDigits
    size_t write_big_integer(const digit* digits, size_t count, unsigned int bits, char* out)

cdef enum:
    # Each write asks for room for what the container may add: `,` or `:` or a bracket.
    TAIL = 2


cdef struct Step:
    PyObject* name      # of a member; null for an item of a list
    Py_ssize_t index


cdef struct Walker:
    ByteBuffer* out
    MemberStack* members
    uint8_t* room_end   # the buffer's end; kSlack more bytes lie behind it
    uintptr_t most      # a value that ends behind this address makes the document too large
    size_t start        # size of the buffer before the walk
    size_t max_bytes
    uint32_t max_depth
    bint exact_integers
    bint as_ecmascript
    # What went wrong: the problem's name in errors.py (null while all is well), whose
    # type to name, and the way to the place, innermost step first. All owned.
    const char* problem
    PyObject* culprit
    Step* steps
    size_t step_count


# -- what went wrong -------------------------------------------------------------


cdef uint8_t* fail(Walker* walker, const char* problem, PyObject* culprit) noexcept:
    """Note the problem at the value at hand, and what to name the type of."""
    walker.problem = problem
    walker.steps = <Step*> malloc((walker.max_depth + 1) * sizeof(Step))
    if walker.steps == NULL:
        return fail_without_memory(walker)
    if culprit != NULL:
        Py_INCREF(<object> culprit)
        walker.culprit = culprit
    return NULL


cdef uint8_t* fail_without_memory(Walker* walker) noexcept:
    walker.problem = "out_of_memory"
    return NULL


cdef uint8_t* fail_too_large(Walker* walker) noexcept:
    # No steps: this problem has no place.
    walker.problem = "document_too_large"
    return NULL


cdef void add_step(Walker* walker, PyObject* name, Py_ssize_t index) noexcept:
    """Note on the way out of a container which member or item the problem is in."""
    if walker.steps == NULL:
        return
    if name != NULL:
        Py_INCREF(<object> name)
    walker.steps[walker.step_count] = Step(name, index)
    walker.step_count += 1


cdef object pointer_of(Walker* walker):
    cdef list parts = []
    cdef size_t i = walker.step_count
    while i > 0:
        i -= 1
        if walker.steps[i].name == NULL:
            parts.append(f"/{walker.steps[i].index}")
            continue
        name = str.__str__(<object> walker.steps[i].name)
        if walker.as_ecmascript:  # in UTF-16 a pair of surrogates is a character
            name = name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        parts.append("/" + name.replace("~", "~0").replace("/", "~1"))
    return "".join(parts)


cdef int raise_problem(Walker* walker) except -1:
    cdef size_t i
    try:
        problem = walker.problem.decode("ascii")
        if problem == "out_of_memory":
            raise MemoryError
        detail = "" if walker.culprit == NULL else type(<object> walker.culprit).__name__
        raise canonicalization_error(problem, pointer=pointer_of(walker), detail=detail)
    finally:
        Py_XDECREF(walker.culprit)
        for i in range(walker.step_count):
            Py_XDECREF(walker.steps[i].name)
        free(walker.steps)


# -- room ------------------------------------------------------------------------


cdef inline uint8_t* room(Walker* walker, uint8_t* out, size_t count) noexcept:
    """The place to write `count` bytes at; null when there is no memory."""
    if likely(<size_t> (walker.room_end - out) >= count):
        return out
    return more_room(walker, out, count)


cdef uint8_t* more_room(Walker* walker, uint8_t* out, size_t count) noexcept:
    cdef uintptr_t start
    if out != NULL:
        walker.out.set_end(out)
    if not walker.out.reserve(count):
        return fail_without_memory(walker)
    walker.room_end = walker.out.data() + walker.out.capacity()
    start = <uintptr_t> walker.out.data() + walker.start
    walker.most = UINTPTR_MAX if walker.max_bytes > UINTPTR_MAX - start else start + walker.max_bytes
    return walker.out.end()


# -- scalars ---------------------------------------------------------------------


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


cdef uint8_t* write_points(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    """Any string: with escapes, not ASCII, or of a subclass."""
    cdef int kind
    if sigil_make_ready(value) < 0:
        PyErr_Clear()  # raised anew when the walk is over
        return fail_without_memory(walker)
    out = room(walker, out, 1)
    if out == NULL:
        return NULL
    out[0] = c'"'
    out += 1
    kind = PyUnicode_KIND(value)
    if kind == 1:
        out = write_run[uint8_t](walker, <const uint8_t*> PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), out)
    elif kind == 2:
        out = write_run[uint16_t](walker, <const uint16_t*> PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), out)
    else:
        out = write_run[uint32_t](walker, <const uint32_t*> PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), out)
    if out == NULL:
        return NULL
    out = room(walker, out, 1 + TAIL)
    if out == NULL:
        return NULL
    out[0] = c'"'
    return out + 1


ctypedef fused CodePoint:
    uint8_t
    uint16_t
    uint32_t


cdef uint8_t* write_run(Walker* walker, const CodePoint* text, Py_ssize_t length, uint8_t* out) noexcept:
    # A piece at a time, so that room is not asked for as if all were escapes.
    cdef const CodePoint* end = text + length
    cdef const CodePoint* piece_end
    while text != end:
        piece_end = end if end - text <= 4096 else text + 4096
        if piece_end != end and (piece_end[-1] & ~0x3FF) == 0xD800:
            piece_end += 1  # the second half of a pair
        out = room(walker, out, kLongestEscape * <size_t> (piece_end - text))
        if out == NULL:
            return NULL
        out = put_escaped(text, piece_end, out, walker.as_ecmascript)
        if out == NULL:
            return fail(walker, "lone_surrogate", NULL)
        text = piece_end
    return out


cdef uint8_t* write_int(Walker* walker, PyObject* value, uint8_t* out) noexcept:
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


cdef uint8_t* write_big_int(Walker* walker, PyObject* value, uint8_t* out) noexcept:
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


cdef uint8_t* write_float(Walker* walker, PyObject* value, uint8_t* out) noexcept:
    cdef double number = PyFloat_AS_DOUBLE(value)
    if not isfinite(number):
        return fail(walker, "non_finite_number", NULL)
    out = room(walker, out, kLongestNumber + TAIL)
    if unlikely(out == NULL):
        return NULL
    return <uint8_t*> write_number(number, <char*> out)


# -- containers ------------------------------------------------------------------


cdef uint8_t* write_value(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """Write a value inside of `depth` containers; null: walker.problem tells why not."""
    if PyUnicode_CheckExact(value):
        out = write_string(walker, value, out)
    elif PyLong_CheckExact(value):
        out = write_int(walker, value, out)
    elif PyDict_CheckExact(value):
        out = write_dict(walker, value, out, depth + 1)
    elif PyFloat_CheckExact(value):
        out = write_float(walker, value, out)
    elif value == Py_True or value == Py_False or value == Py_None:
        out = room(walker, out, 5 + TAIL)
        if likely(out != NULL):
            if value == Py_True:
                out = put(out, "true", 4)
            elif value == Py_False:
                out = put(out, "false", 5)
            else:
                out = put(out, "null", 4)
    elif PyList_Check(value):
        out = write_items(walker, value, out, depth + 1)
    else:
        out = write_other(walker, value, out, depth)
    if unlikely(<uintptr_t> out > walker.most):
        return fail_too_large(walker)
    return out


cdef uint8_t* write_other(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """Tuples, and subclasses by their underlying value."""
    if PyTuple_Check(value):
        return write_items(walker, value, out, depth + 1)
    if PyUnicode_Check(value):
        return write_points(walker, value, out)
    if PyLong_Check(value):
        return write_int(walker, value, out)
    if PyFloat_Check(value):
        return write_float(walker, value, out)
    if PyDict_Check(value):
        return write_dict(walker, value, out, depth + 1)
    return fail(walker, "unsupported_type", value)


cdef uint8_t* write_items(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """A list or tuple."""
    cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(value)
    cdef PyObject** items = PySequence_Fast_ITEMS(value)
    if unlikely(depth > walker.max_depth):
        return fail(walker, "nesting_too_deep", NULL)
    out = room(walker, out, 2 + TAIL)
    if unlikely(out == NULL):
        return NULL
    out[0] = c"["
    out += 1
    for i in range(count):
        out = write_value(walker, items[i], out, depth)
        if unlikely(out == NULL):
            add_step(walker, NULL, i)
            return NULL
        out[0] = c","
        out += 1
    return close(walker, out, c"]", count > 0)


cdef inline uint8_t* close(Walker* walker, uint8_t* out, uint8_t bracket, bint in_place_of_comma) noexcept:
    if in_place_of_comma:
        out -= 1
    out = room(walker, out, 1 + TAIL)
    if unlikely(out == NULL):
        return NULL
    out[0] = bracket
    return out + 1


cdef uint8_t* write_dict(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    cdef size_t i, count, base = walker.members.size()
    cdef PyObject* name
    if unlikely(depth > walker.max_depth):
        return fail(walker, "nesting_too_deep", NULL)
    if unlikely(not collect_members(walker, value, base)):
        return NULL
    out = room(walker, out, 2 + TAIL)
    if unlikely(out == NULL):
        return NULL
    out[0] = c"{"
    out += 1
    count = walker.members.size() - base
    for i in range(count):
        name = <PyObject*> walker.members.ordered(base, i).name
        out = write_string(walker, name, out)
        if likely(out != NULL):
            out[0] = c":"
            out = write_value(walker, <PyObject*> walker.members.ordered(base, i).value, out + 1, depth)
        if unlikely(out == NULL):
            add_step(walker, name, 0)
            return NULL
        out[0] = c","
        out += 1
    walker.members.set_size(base)
    return close(walker, out, c"}", count > 0)


cdef bint collect_members(Walker* walker, PyObject* value, size_t base) noexcept:
    """Push a dict's members and order them; False: walker.problem tells why not."""
    cdef PyObject* name
    cdef PyObject* member
    cdef Py_ssize_t place = 0
    cdef size_t count = 0
    cdef Member* members
    cdef uint64_t* prefixes
    cdef uint64_t previous = 0
    cdef bint is_ascending = True
    cdef bint is_distinct = True   # as long as all names are plain str
    if unlikely(not walker.members.reserve(<size_t> PyDict_GET_SIZE(value))):
        fail_without_memory(walker)
        return False
    members = walker.members.members(base)
    prefixes = walker.members.prefixes(base)
    while PyDict_Next(value, &place, &name, &member):
        if likely(PyUnicode_CheckExact(name) and PyUnicode_IS_COMPACT_ASCII(name)):
            prefixes[count] = order_prefix_ascii(sigil_ascii_data(name), <size_t> PyUnicode_GET_LENGTH(name))
        else:
            if not check_name(walker, name):
                return False
            prefixes[count] = order_prefix(text_of(name))
            is_distinct = False
        is_ascending &= prefixes[count] > previous
        previous = prefixes[count]
        members[count] = Member(name, member)
        count += 1
    walker.members.set_size(base + count)
    if unlikely(walker.as_ecmascript):
        if not is_distinct:
            walker.members.sort(base, text_of)
            if not check_distinct(walker, base):
                return False
        walker.members.sort_as_ecmascript(base, text_of)
        return True
    if is_ascending:
        walker.members.keep_order(base)
        return True
    walker.members.sort(base, text_of)
    return is_distinct or check_distinct(walker, base)


cdef Text text_of(void* name) noexcept nogil:
    cdef Text text
    text.points = PyUnicode_DATA(<PyObject*> name)
    text.length = <size_t> PyUnicode_GET_LENGTH(<PyObject*> name)
    text.width = <uint8_t> PyUnicode_KIND(<PyObject*> name)
    return text


cdef bint check_name(Walker* walker, PyObject* name) noexcept:
    """Judge a name that is not a plain ASCII str; False: walker.problem tells why not."""
    cdef Text text
    cdef bint is_lone = False
    if not PyUnicode_Check(name):
        fail(walker, "unsupported_name_type", name)
        return False
    if sigil_make_ready(name) < 0:
        PyErr_Clear()
        fail_without_memory(walker)
        return False
    if walker.as_ecmascript:
        return True
    text = text_of(name)
    if text.width == 2:
        is_lone = has_surrogate[uint16_t](<const uint16_t*> text.points, text.length)
    elif text.width == 4:
        is_lone = has_surrogate[uint32_t](<const uint32_t*> text.points, text.length)
    if is_lone:
        fail(walker, "lone_surrogate", NULL)
    return not is_lone


cdef bint check_distinct(Walker* walker, size_t base) noexcept:
    """Sorted names may be equal where subclasses of str compare by rules of their own."""
    cdef size_t place = walker.members.find_duplicate(base, text_of)
    if likely(place == SIZE_MAX):
        return True
    fail(walker, "duplicate_name", NULL)
    add_step(walker, <PyObject*> walker.members.ordered(base, place).name, 0)
    return False


# -- doors -----------------------------------------------------------------------


cdef int walk(object value, Walker* walker, ValueScratch* scratch) except -1:
    cdef size_t start = walker.out.size()
    cdef uint8_t* out
    walker.members = &scratch.members
    walker.members.set_size(0)
    walker.start = start
    walker.problem = NULL
    walker.culprit = NULL
    walker.steps = NULL
    walker.step_count = 0
    out = more_room(walker, NULL, 0)
    if likely(out != NULL):
        out = write_value(walker, <PyObject*> value, out, 0)
    if unlikely(out == NULL):
        walker.out.set_size(start)
    else:
        walker.out.set_end(out)
    scratch.trim_members()
    if unlikely(out == NULL):
        raise_problem(walker)
    return 0


cdef int write_canonical(object value, ByteBuffer& out, const JsonOptions& options) except -1:
    return walk_canonical(value, &out, &options, &value_scratch())


cdef int write_stringified(object value, ByteBuffer& out, uint32_t max_depth) except -1:
    return walk_stringified(value, &out, max_depth, &value_scratch())


cdef inline int walk_canonical(
    object value, ByteBuffer* out, const JsonOptions* options, ValueScratch* scratch
) except -1:
    cdef Walker walker
    walker.out = out
    walker.max_depth = options.max_depth
    walker.max_bytes = options.max_bytes
    walker.exact_integers = options.exact_integers
    walker.as_ecmascript = False
    return walk(value, &walker, scratch)


cdef inline int walk_stringified(
    object value, ByteBuffer* out, uint32_t max_depth, ValueScratch* scratch
) except -1:
    cdef Walker walker
    walker.out = out
    walker.max_depth = max_depth
    walker.max_bytes = SIZE_MAX
    walker.exact_integers = False
    walker.as_ecmascript = True
    return walk(value, &walker, scratch)


# The defaults, told by their identity from what a caller passes.
cdef object SAFE = INTEGER_MODES[0]
cdef object DEPTH = DEFAULT_MAX_DEPTH


def canonicalize(value, *, integers=SAFE, max_depth=DEPTH, max_bytes=None):
    """Return the canonical JSON (RFC 8785) of a Python value, as UTF-8 bytes.

    Args:
        value: None, bool, int, float, str, list, tuple, dict with str names, or
            a subclass of one of these, which counts by its underlying value.
        integers: ``"safe"`` refuses integers beyond ±(2^53-1) (RFC 7493 §2.2);
            ``"exact"`` writes them digit for digit, up to 4300 digits.
        max_depth: how deep lists and dicts may nest, 1 to 2048.
        max_bytes: the longest result, in bytes; None for no limit.

    Raises:
        CanonicalizationError: the value is refused; a subclass names the cause,
            ``pointer`` the place.
        InvalidOptionError: an option is unknown or out of range.
        TypeError: an option has a wrong type.
    """
    cdef ValueScratch* scratch = &value_scratch()
    cdef JsonOptions options
    if not (integers is SAFE and max_depth is DEPTH and max_bytes is None):
        exact, depth, most = json_options(integers, max_depth, max_bytes)
        options.exact_integers = exact
        options.max_depth = depth
        options.max_bytes = SIZE_MAX if most is None else min(most, SIZE_MAX)
    scratch.text.clear()
    try:
        walk_canonical(value, &scratch.text, &options, scratch)
        return PyBytes_FromStringAndSize(<char*> scratch.text.data(), <Py_ssize_t> scratch.text.size())
    finally:
        scratch.trim()


def stringify(value):
    """Return the bytes of ECMAScript's ``JSON.stringify(value)`` (ECMA-262 §25.5.2).

    Member names that are array indices come first and in ascending order, the
    others as they were inserted. Numbers that have no JSON form are refused,
    where ``JSON.stringify`` would write null.

    Raises:
        CanonicalizationError: the value is refused.
    """
    cdef ValueScratch* scratch = &value_scratch()
    scratch.text.clear()
    try:
        walk_stringified(value, &scratch.text, DEPTH, scratch)
        return PyBytes_FromStringAndSize(<char*> scratch.text.data(), <Py_ssize_t> scratch.text.size())
    finally:
        scratch.trim()
