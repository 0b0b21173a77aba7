"""The state of a walk over a Python value: where it writes, its limits, what went wrong.

The functions are inline, for the module that walks. None runs Python code.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stddef cimport size_t
from libc.stdint cimport UINTPTR_MAX, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport malloc
from libcpp cimport bool as cbool

from sigil_native._json cimport ByteBuffer

cdef extern from "Python.h":
    cbool likely(cbool condition) nogil
    cbool unlikely(cbool condition) nogil

cdef extern from *:
    """
    // Spares callers a second look at a place that has room, and so is not null.
    static inline uint8_t* sigil_not_null(uint8_t* place) {
    #if defined(__GNUC__)
        if (!place) __builtin_unreachable();
    #endif
        return place;
    }
    """
    uint8_t* sigil_not_null(uint8_t* place) noexcept nogil

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
    uint32_t shallow    # levels that are walked by recursion
    bint exact_integers
    bint as_ecmascript
    # What went wrong: the problem's name in errors.py (null while all is well), whose
    # type to name, and the way to the place, innermost step first. All owned.
    const char* problem
    PyObject* culprit
    Step* steps
    size_t step_count


cdef inline uint8_t* fail(Walker* walker, const char* problem, PyObject* culprit) noexcept:
    """Note the problem at the value at hand, and what to name the type of."""
    walker.problem = problem
    walker.steps = <Step*> malloc((walker.max_depth + 1) * sizeof(Step))
    if walker.steps == NULL:
        return fail_without_memory(walker)
    if culprit != NULL:
        Py_INCREF(<object> culprit)
        walker.culprit = culprit
    return NULL


cdef inline uint8_t* fail_without_memory(Walker* walker) noexcept:
    walker.problem = "out_of_memory"
    return NULL


cdef inline uint8_t* fail_too_large(Walker* walker) noexcept:
    # No steps: this problem has no place.
    walker.problem = "document_too_large"
    return NULL


cdef inline void add_step(Walker* walker, PyObject* name, Py_ssize_t index) noexcept:
    """Note on the way out of a container which member or item the problem is in."""
    if walker.steps == NULL:
        return
    if name != NULL:
        Py_INCREF(<object> name)
    walker.steps[walker.step_count] = Step(name, index)
    walker.step_count += 1


cdef inline uint8_t* room(Walker* walker, uint8_t* out, size_t count) noexcept:
    """The place to write `count` bytes at; null when there is no memory."""
    if likely(<size_t> (walker.room_end - out) >= count):
        return sigil_not_null(out)
    return more_room(walker, out, count)


cdef inline uint8_t* close(Walker* walker, uint8_t* out, uint8_t bracket, bint in_place_of_comma) noexcept:
    """Write the end of a container whose values are each followed by a comma."""
    if in_place_of_comma:
        out -= 1
    out = room(walker, out, 1 + TAIL)
    if unlikely(out == NULL):
        return NULL
    out[0] = bracket
    return out + 1


cdef inline uint8_t* more_room(Walker* walker, uint8_t* out, size_t count) noexcept:
    cdef uintptr_t start
    if out != NULL:
        walker.out.set_end(out)
    if not walker.out.reserve(count):
        return fail_without_memory(walker)
    walker.room_end = walker.out.data() + walker.out.capacity()
    start = <uintptr_t> walker.out.data() + walker.start
    walker.most = UINTPTR_MAX if walker.max_bytes > UINTPTR_MAX - start else start + walker.max_bytes
    return walker.out.end()
