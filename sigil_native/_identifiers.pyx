# cython: freethreading_compatible=True
"""UUIDs of version 7 (RFC 9562), ascending within a process.

Safe from any thread, with or without the GIL, and after a fork.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    uint8_t* PyUnicode_1BYTE_DATA(object text)


cdef extern from "record_text.h" namespace "sigil" nogil:
    const size_t kUuidTextSize
    uint8_t* write_uuid(const uint8_t* id, uint8_t* out) noexcept

cdef extern from "uuid7.h" namespace "sigil" nogil:
    ctypedef bint (*RandomSource)(uint8_t* out, size_t size) noexcept

    enum:
        kUuidSize
    bint system_random(uint8_t* out, size_t size) noexcept
    bint no_random(uint8_t* out, size_t size) noexcept
    bint cpp_uuid7_fill "sigil::uuid7_fill"(uint8_t* out, size_t count, size_t stride) noexcept

    cdef cppclass Uuid7Generator:
        Uuid7Generator(RandomSource random)
        bint fill(uint64_t now_ms, uint8_t* out, size_t count, size_t stride) noexcept
        void resume(uint64_t timestamp_ms, uint32_t counter) noexcept


cdef bint uuid7_fill(uint8_t* out, size_t count, size_t stride) noexcept nogil:
    return cpp_uuid7_fill(out, count, stride)


cdef object uuid_text(const uint8_t* id):
    text = PyUnicode_New(kUuidTextSize, 127)
    write_uuid(id, PyUnicode_1BYTE_DATA(text))
    return text


cdef object no_random_bytes():
    return OSError("the system gave no random bytes")


def uuid7():
    """A new UUIDv7 as text, greater than all before it in this process.

    Raises:
        OSError: the system gave no random bytes.
    """
    cdef uint8_t[kUuidSize] id
    if not uuid7_fill(id, 1, kUuidSize):
        raise no_random_bytes()
    return uuid_text(id)


# -- for tests ---------------------------------------------------------------------


def _uuid7_from_clock(clock_ms, *, resume_after=None, randomness=True):
    """For tests: an id for each reading of a clock, from a generator of its own.

    Args:
        clock_ms: readings in milliseconds since the Unix epoch.
        resume_after: ``(timestamp_ms, counter)`` of an id to go on after.
        randomness: False for a system that gives no random bytes.

    Raises:
        OSError: ``randomness`` is False.
    """
    cdef uint8_t[kUuidSize] id
    cdef uint64_t now_ms
    cdef Uuid7Generator* generator
    if randomness:
        generator = new Uuid7Generator(system_random)
    else:
        generator = new Uuid7Generator(no_random)
    ids = []
    try:
        if resume_after is not None:
            generator.resume(resume_after[0], resume_after[1])
        for now_ms in clock_ms:
            if not generator.fill(now_ms, id, 1, kUuidSize):
                raise no_random_bytes()
            ids.append(uuid_text(id))
    finally:
        del generator
    return ids


def _uuid7_batch(size_t count, size_t stride=kUuidSize):
    """For tests: what ``uuid7_fill`` writes, and zeros between the ids."""
    room = PyBytes_FromStringAndSize(NULL, count * stride)
    cdef uint8_t* out = <uint8_t*> PyBytes_AS_STRING(room)
    cdef bint filled
    for i in range(count * stride):
        out[i] = 0
    with nogil:
        filled = uuid7_fill(out, count, stride)
    if not filled:
        raise no_random_bytes()
    return room
