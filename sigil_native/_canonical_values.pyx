"""Python values to JSON: canonical (RFC 8785) or as ECMAScript's JSON.stringify writes it.

One walk writes straight into a buffer. While it lasts it runs no Python code,
allocates no object that the garbage collector tracks and keeps the GIL, so the
references it borrows from lists and dicts stay good. What went wrong is noted
in the walker, with references of its own, and becomes an exception afterwards.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._json_scalars cimport (
    has_surrogate,
    text_of,
    write_float,
    write_int,
    write_points,
    write_string,
)
from sigil_native._python_objects cimport (
    Py_False,
    Py_None,
    Py_True,
    PyDict_Check,
    PyDict_CheckExact,
    PyDict_GET_SIZE,
    PyDict_Next,
    PyFloat_Check,
    PyFloat_CheckExact,
    PyList_Check,
    PyLong_Check,
    PyLong_CheckExact,
    PySequence_Fast_GET_SIZE,
    PySequence_Fast_ITEMS,
    PyTuple_Check,
    PyUnicode_Check,
    PyUnicode_CheckExact,
    PyUnicode_GET_LENGTH,
    PyUnicode_IS_COMPACT_ASCII,
    sigil_ascii_data,
    sigil_make_ready,
)
from sigil_native._walker cimport (
    TAIL,
    Member,
    ValueScratch,
    Walker,
    add_step,
    fail,
    fail_too_large,
    fail_without_memory,
    likely,
    more_room,
    order_prefix,
    order_prefix_ascii,
    room,
    unlikely,
    value_scratch,
)

from sigil_native._arguments import json_options
from sigil_native._constants import DEFAULT_MAX_DEPTH, INTEGER_MODES
from sigil_native.errors import canonicalization_error

cdef enum:
    # Levels that are walked by recursion, with some 200 bytes of the thread's stack each.
    SHALLOW = 512

# -- what went wrong -------------------------------------------------------------


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


# -- values ---------------------------------------------------------------------


cdef inline uint8_t* put(uint8_t* out, const char* word, size_t size) noexcept:
    memcpy(out, word, size)
    return out + size


cdef inline uint8_t* write_value(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """Write a value inside of `depth` containers; null: walker.problem tells why not."""
    if PyUnicode_CheckExact(value):
        out = write_string(walker, value, out)
    else:
        out = write_other_than_string(walker, value, out, depth)
    if unlikely(<uintptr_t> out > walker.most):
        return fail_too_large(walker)
    return out


cdef uint8_t* write_other_than_string(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    if PyLong_CheckExact(value):
        return write_int(walker, value, out)
    if PyDict_CheckExact(value):
        return write_dict(walker, value, out, depth + 1)
    if PyFloat_CheckExact(value):
        return write_float(walker, value, out)
    if value == Py_True or value == Py_False or value == Py_None:
        out = room(walker, out, 5 + TAIL)
        if unlikely(out == NULL):
            return NULL
        if value == Py_None:
            return put(out, "null", 4)
        return put(out, "true", 4) if value == Py_True else put(out, "false", 5)
    if PyList_Check(value):
        return write_items(walker, value, out, depth + 1)
    return write_other(walker, value, out, depth)


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
    if unlikely(depth > walker.shallow):
        return write_deep(walker, value, out, depth)
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
    if unlikely(depth > walker.shallow):
        return write_deep(walker, value, out, depth)
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


cdef bint check_name(Walker* walker, PyObject* name) noexcept:
    """Judge a name that is not a plain ASCII str; False: walker.problem tells why not."""
    if not PyUnicode_Check(name):
        fail(walker, "unsupported_name_type", name)
        return False
    if sigil_make_ready(name) < 0:
        PyErr_Clear()
        fail_without_memory(walker)
        return False
    if not walker.as_ecmascript and has_surrogate(text_of(name)):
        fail(walker, "lone_surrogate", NULL)
        return False
    return True


cdef bint check_distinct(Walker* walker, size_t base) noexcept:
    """Sorted names may be equal where subclasses of str compare by rules of their own."""
    cdef size_t place = walker.members.find_duplicate(base, text_of)
    if likely(place == SIZE_MAX):
        return True
    fail(walker, "duplicate_name", NULL)
    add_step(walker, <PyObject*> walker.members.ordered(base, place).name, 0)
    return False


# -- deep values ----------------------------------------------------------------


cdef struct Level:
    PyObject* container
    size_t base         # of a dict's members
    Py_ssize_t count
    Py_ssize_t next     # the first that is not yet begun


cdef uint8_t* write_deep(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """A container at a depth that is too large for recursion, or for the limit, with all that it holds."""
    cdef Level* levels
    cdef Level* level
    cdef size_t height = 0
    if depth > walker.max_depth:
        return fail(walker, "nesting_too_deep", NULL)
    levels = <Level*> malloc((walker.max_depth - depth + 1) * sizeof(Level))
    if levels == NULL:
        return fail_without_memory(walker)
    out = open_level(walker, levels, value, out)
    height = out != NULL
    while out != NULL and height != 0:
        level = &levels[height - 1]
        if level.next == level.count:
            out = close_level(walker, level, out)
            height -= 1
        else:
            value = next_value(walker, level, &out)
            if out == NULL:
                break
            if not PyDict_Check(value) and not PyList_Check(value) and not PyTuple_Check(value):
                out = write_value(walker, value, out, depth)
            elif depth + height > walker.max_depth:
                out = fail(walker, "nesting_too_deep", NULL)
            else:
                out = open_level(walker, level + 1, value, out)
                height += out != NULL
                continue
        if out != NULL and height != 0:
            out[0] = c","
            out += 1
    while height != 0:
        height -= 1
        level = &levels[height]
        if PyDict_Check(level.container):
            add_step(walker, <PyObject*> walker.members.ordered(level.base, level.next - 1).name, 0)
        else:
            add_step(walker, NULL, level.next - 1)
    free(levels)
    return out


cdef uint8_t* open_level(Walker* walker, Level* level, PyObject* value, uint8_t* out) noexcept:
    cdef bint is_dict = PyDict_Check(value)
    level.container = value
    level.next = 0
    level.base = walker.members.size()
    if not is_dict:
        level.count = PySequence_Fast_GET_SIZE(value)
    elif collect_members(walker, value, level.base):
        level.count = <Py_ssize_t> (walker.members.size() - level.base)
    else:
        return NULL
    out = room(walker, out, 2 + TAIL)
    if out == NULL:
        return NULL
    out[0] = c"{" if is_dict else c"["
    return out + 1


cdef PyObject* next_value(Walker* walker, Level* level, uint8_t** out) noexcept:
    """The next value of a level, its name written; null in `out`: walker.problem tells why not."""
    cdef Py_ssize_t i = level.next
    level.next += 1
    if not PyDict_Check(level.container):
        return PySequence_Fast_ITEMS(level.container)[i]
    out[0] = write_string(walker, <PyObject*> walker.members.ordered(level.base, i).name, out[0])
    if out[0] != NULL:
        out[0][0] = c":"
        out[0] += 1
    return <PyObject*> walker.members.ordered(level.base, i).value


cdef uint8_t* close_level(Walker* walker, Level* level, uint8_t* out) noexcept:
    if PyDict_Check(level.container):
        walker.members.set_size(level.base)
        out = close(walker, out, c"}", level.count > 0)
    else:
        out = close(walker, out, c"]", level.count > 0)
    return fail_too_large(walker) if <uintptr_t> out > walker.most else out


# -- doors -----------------------------------------------------------------------


cdef int walk(object value, Walker* walker, ValueScratch* scratch) except -1:
    cdef size_t start = walker.out.size()
    cdef uint8_t* out
    walker.members = &scratch.members
    walker.members.set_size(0)
    walker.start = start
    walker.shallow = min(walker.max_depth, <uint32_t> SHALLOW)
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
