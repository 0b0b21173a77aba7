"""Python values to JSON: canonical (RFC 8785) or as ECMAScript's JSON.stringify writes it.

One walk writes straight into a buffer. While it lasts it runs no Python code,
allocates no object that the garbage collector tracks and keeps the GIL, so the
references it borrows from lists and dicts stay good. What went wrong is noted
in the walker, with references of its own, and becomes an exception afterwards.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport free

from sigil_native._canonical_text cimport options_of
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._json_deep cimport write_deep
from sigil_native._json_members cimport collect_members
from sigil_native._json_scalars cimport (
    is_word,
    write_float,
    write_int,
    write_scalar,
    write_string,
    write_word,
)
from sigil_native._python_objects cimport (
    PyDict_Check,
    PyDict_CheckExact,
    PyFloat_CheckExact,
    PyList_Check,
    PyLong_CheckExact,
    PySequence_Fast_GET_SIZE,
    PySequence_Fast_ITEMS,
    PyTuple_Check,
    PyUnicode_CheckExact,
)
from sigil_native._walker cimport (
    TAIL,
    Member,
    ValueScratch,
    Walker,
    add_step,
    close,
    fail_too_large,
    likely,
    more_room,
    room,
    unlikely,
    value_scratch,
)

from sigil_native._constants import DEFAULT_MAX_DEPTH, INTEGER_MODES
from sigil_native._problems import canonicalization_error

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
    if is_word(value):
        return write_word(walker, value, out)
    if PyList_Check(value) or PyTuple_Check(value):
        return write_items(walker, value, out, depth + 1)
    if PyDict_Check(value):
        return write_dict(walker, value, out, depth + 1)
    return write_scalar(walker, value, out)


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


cdef uint8_t* write_dict(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    cdef size_t i, count, base = walker.members.size()
    cdef Member member
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
        member = walker.members.ordered(base, i)
        out = write_string(walker, <PyObject*> member.name, out)
        if likely(out != NULL):
            out[0] = c":"
            out = write_value(walker, <PyObject*> member.value, out + 1, depth)
        if unlikely(out == NULL):
            add_step(walker, <PyObject*> member.name, 0)
            return NULL
        out[0] = c","
        out += 1
    walker.members.set_size(base)
    return close(walker, out, c"}", count > 0)


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
        options = options_of(integers, max_depth, max_bytes)
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
