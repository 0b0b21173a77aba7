# distutils: language = c++
"""JSON text to canonical bytes (RFC 8785), without building Python objects."""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_Check
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, uint8_t

from sigil_native._json cimport ByteBuffer, Failure, JsonOptions, Problem, problem_name

from sigil_native._arguments import json_options, text_bytes
from sigil_native._levels import asked_for_vectors
from sigil_native._problems import canonicalization_error


cdef extern from "json_transcoder.h" namespace "sigil" nogil:
    bint canonicalize_native "sigil::canonicalize_text"(
        const uint8_t* text, size_t size, const JsonOptions& options, ByteBuffer& out, Failure& failure
    ) noexcept


cdef extern from "thread_buffer.h" namespace "sigil" nogil:
    ByteBuffer& thread_buffer() noexcept
    const size_t kKeptBuffer


cdef extern from "json_levels.h" namespace "sigil" nogil:
    cdef cppclass VectorLevel:
        const char* name
        bint usable

    const VectorLevel* native_levels "sigil::vector_levels"(size_t& count) noexcept
    const VectorLevel* find_vector_level(const char* name) noexcept
    const VectorLevel& native_level "sigil::vector_level"() noexcept
    void choose_vector_level(const VectorLevel& level) noexcept
    bint canonicalize_text_at(
        const VectorLevel& level,
        const uint8_t* text,
        size_t size,
        const JsonOptions& options,
        ByteBuffer& out,
        Failure& failure,
    ) noexcept


# Texts of this size are worth the cost of letting other threads run.
cdef size_t RELEASE_SIZE = 16384

cdef object DEFAULT_INTEGERS = "safe"
cdef object DEFAULT_DEPTH = 512


cdef bint canonicalize_text(
    const uint8_t* text, size_t size, const JsonOptions& options, ByteBuffer& out, Failure& failure
) noexcept nogil:
    return canonicalize_native(text, size, options, out, failure)


cdef object text_error(const Failure& failure, bint from_str):
    cdef Problem problem = failure.problem
    if problem == Problem.out_of_memory:
        return MemoryError()
    if problem == Problem.none:
        return RuntimeError("canonicalize_json refused a text without a reason; please report this")
    if from_str and problem == Problem.invalid_utf8:
        problem = Problem.lone_surrogate
    pointer = failure.pointer.decode("utf-8", "surrogatepass")
    return canonicalization_error(problem_name(problem).decode("ascii"), pointer=pointer, offset=failure.offset)


cdef int write_canonical_text(object text, const JsonOptions& options, ByteBuffer& out) except -1:
    return _append(&native_level(), text, options, out)


cdef int _append(
    const VectorLevel* level, object text, const JsonOptions& options, ByteBuffer& out
) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* utf8
    if PyBytes_CheckExact(text):
        return _append_bytes(
            level,
            <const uint8_t*> PyBytes_AS_STRING(text),
            <size_t> PyBytes_GET_SIZE(text),
            options,
            False,
            out,
        )
    cdef bint from_str = PyUnicode_Check(text)
    if from_str:
        try:
            utf8 = PyUnicode_AsUTF8AndSize(text, &size)
            return _append_bytes(level, <const uint8_t*> utf8, <size_t> size, options, from_str, out)
        except UnicodeEncodeError:
            pass
    # A copy of what is not bytes: somebody could change it while the GIL is released.
    cdef bytes raw = text_bytes(text, "text")
    return _append_bytes(
        level, <const uint8_t*> PyBytes_AS_STRING(raw), <size_t> PyBytes_GET_SIZE(raw), options, from_str, out
    )


cdef int _append_bytes(
    const VectorLevel* level,
    const uint8_t* text,
    size_t size,
    const JsonOptions& options,
    bint from_str,
    ByteBuffer& out,
) except -1:
    cdef Failure failure
    cdef bint done
    if size >= RELEASE_SIZE:
        with nogil:
            done = canonicalize_text_at(level[0], text, size, options, out, failure)
    else:
        done = canonicalize_text_at(level[0], text, size, options, out, failure)
    if not done:
        raise text_error(failure, from_str)
    return 0


cdef bytes _canonicalize(const VectorLevel* level, object text, const JsonOptions& options):
    cdef ByteBuffer* out = &thread_buffer()
    # Python code may run while a stranger's buffer is read, and none between here and the result.
    if not PyBytes_CheckExact(text) and not PyUnicode_Check(text):
        text = text_bytes(text, "text")
    out.clear()
    _append(level, text, options, out[0])
    canonical = PyBytes_FromStringAndSize(<const char*> out.data(), <Py_ssize_t> out.size())
    out.shrink_if_above(kKeptBuffer)
    return canonical


cdef JsonOptions options_of(object integers, object max_depth, object max_bytes) except *:
    cdef JsonOptions options
    exact, depth, size = json_options(integers, max_depth, max_bytes)
    options.exact_integers = exact
    options.max_depth = depth
    if size is not None and size < SIZE_MAX:
        options.max_bytes = size
    return options


def canonicalize_json(text, *, integers="safe", max_depth=512, max_bytes=None):
    """Write JSON text in its canonical form (RFC 8785).

    No Python objects are built on the way, and other threads run while a text
    of 16 KiB or more is worked on.

    Args:
        text: the document, as str or as bytes-like UTF-8.
        integers: ``"safe"`` refuses integers beyond ±(2**53 - 1), which other
            JSON readers would change; ``"exact"`` writes up to 4300 digits as
            they are.
        max_depth: how deep arrays and objects may be nested, 1 to 2048.
        max_bytes: how many bytes of UTF-8 the text may have; None for no limit.

    Returns:
        The canonical form, as UTF-8.

    Raises:
        CanonicalizationError: the text has no canonical form; a subclass tells
            the cause, attributes tell the place.
        InvalidOptionError: an option is unknown or out of range.
        TypeError: an argument is of a wrong type.
    """
    cdef JsonOptions options
    if integers is not DEFAULT_INTEGERS or max_depth is not DEFAULT_DEPTH or max_bytes is not None:
        options = options_of(integers, max_depth, max_bytes)
    return _canonicalize(&native_level(), text, options)


def canonicalize_json_at(level, text, *, integers="safe", max_depth=512, max_bytes=None):
    """Do the same at a vector level by name, one of ``vector_levels()``; for tests."""
    cdef const VectorLevel* found = find_vector_level(level.encode())
    if found is NULL:
        raise ValueError(f"no vector level {level!r} here")
    return _canonicalize(found, text, options_of(integers, max_depth, max_bytes))


def vector_levels():
    """Vector levels that this machine can use, best first."""
    cdef size_t count = 0
    cdef const VectorLevel* levels = native_levels(count)
    return tuple([levels[i].name.decode() for i in range(count) if levels[i].usable])


def vector_level():
    """The vector level in use."""
    return native_level().name.decode()


cdef int _choose_level() except -1:
    """Follow the environment, which may ask for a lower level."""
    wanted = os.environ.get("SIGIL_NATIVE_VECTOR") or asked_for_vectors(vector_levels())
    if not wanted:
        return 0
    cdef const VectorLevel* level = find_vector_level(wanted.encode())
    if level is NULL:
        raise ImportError(
            f"SIGIL_NATIVE_VECTOR={wanted}: not a vector level of this machine ({', '.join(vector_levels())})"
        )
    choose_vector_level(level[0])
    return 0


_choose_level()
