"""Containers at a depth that is too large for recursion, or for the limit: walked with a stack of their own."""

from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc

from sigil_native._json_members cimport collect_members
from sigil_native._json_scalars cimport write_scalar, write_string
from sigil_native._python_objects cimport (
    PyDict_Check,
    PyList_Check,
    PySequence_Fast_GET_SIZE,
    PySequence_Fast_ITEMS,
    PyTuple_Check,
)
from sigil_native._walker cimport (
    TAIL,
    Walker,
    add_step,
    close,
    fail,
    fail_too_large,
    fail_without_memory,
    room,
)


cdef struct Level:
    PyObject* container
    size_t base         # of a dict's members
    Py_ssize_t count
    Py_ssize_t next     # the first that is not yet begun


cdef inline uint8_t* write_deep(Walker* walker, PyObject* value, uint8_t* out, uint32_t depth) noexcept:
    """Write a container at `depth` with all that it holds."""
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
                out = write_scalar(walker, value, out)
                if out != NULL and <uintptr_t> out > walker.most:
                    out = fail_too_large(walker)
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


cdef inline uint8_t* open_level(Walker* walker, Level* level, PyObject* value, uint8_t* out) noexcept:
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


cdef inline PyObject* next_value(Walker* walker, Level* level, uint8_t** out) noexcept:
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


cdef inline uint8_t* close_level(Walker* walker, Level* level, uint8_t* out) noexcept:
    if PyDict_Check(level.container):
        walker.members.set_size(level.base)
        out = close(walker, out, c"}", level.count > 0)
    else:
        out = close(walker, out, c"]", level.count > 0)
    return fail_too_large(walker) if <uintptr_t> out > walker.most else out
