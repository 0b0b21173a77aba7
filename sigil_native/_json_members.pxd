"""The members of a dict: their names judged, and put in the order in which they are written."""

from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, uint64_t

from sigil_native._dict_members cimport sigil_next_member
from sigil_native._json_scalars cimport has_surrogate, text_of
from sigil_native._python_objects cimport (
    PyDict_GET_SIZE,
    PyUnicode_Check,
    PyUnicode_CheckExact,
    PyUnicode_GET_LENGTH,
    PyUnicode_IS_COMPACT_ASCII,
    sigil_ascii_data,
    sigil_make_ready,
)
from sigil_native._walker cimport (
    Member,
    Walker,
    add_step,
    fail,
    fail_without_memory,
    likely,
    order_prefix,
    order_prefix_ascii,
    unlikely,
)


cdef inline bint collect_members(Walker* walker, PyObject* value, size_t base) noexcept:
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
    while sigil_next_member(value, &place, &name, &member):
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


cdef inline bint check_name(Walker* walker, PyObject* name) noexcept:
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


cdef inline bint check_distinct(Walker* walker, size_t base) noexcept:
    """Sorted names may be equal where subclasses of str compare by rules of their own."""
    cdef size_t place = walker.members.find_duplicate(base, text_of)
    if likely(place == SIZE_MAX):
        return True
    fail(walker, "duplicate_name", NULL)
    add_step(walker, <PyObject*> walker.members.ordered(base, place).name, 0)
    return False
