# cython: freethreading_compatible=True
"""SHA-256, HMAC-SHA-256 and HKDF on the best kernel that this machine can run.

Sources: FIPS 180-4, RFC 2104 and RFC 5869. The kernels are C++ (``csrc/``). Those
that this processor can run answer known questions when the module is imported;
one that answers wrongly is not used. ``SIGIL_NATIVE_LEVEL`` asks for less than the
best one, ``SIGIL_NATIVE_KERNEL`` for a kernel by its own name.
"""

import os

cimport cython
from cpython.buffer cimport Py_buffer, PyBuffer_IsContiguous
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER
from libc.stdlib cimport free, malloc

from sigil_native._input cimport Input, acquire, release

from sigil_native._arguments import readable_bytes, secret_bytes
from sigil_native._levels import asked_for_kernel
from sigil_native.errors import InvalidOptionError

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    uint8_t* PyUnicode_1BYTE_DATA(object text)


cdef extern from "sha256.h" namespace "sigil" nogil:
    cdef struct Sha256Kernel:
        const char* name

    enum:
        kDigestSize
        kMostKernels
    size_t find_kernels(const Sha256Kernel** chosen) noexcept
    void cpp_sha256 "sigil::sha256"(
        const Sha256Kernel& kernel, const uint8_t* data, size_t size, uint8_t* digest
    ) noexcept
    void cpp_sha256_many "sigil::sha256_many"(
        const Sha256Kernel& kernel, const DigestMessage* messages, size_t count
    ) noexcept


cdef extern from "hmac.h" namespace "sigil" nogil:
    void cpp_hmac_init "sigil::hmac_init"(
        const Sha256Kernel& kernel, HmacState& state, const uint8_t* key, size_t size
    ) noexcept
    void cpp_hmac_digest "sigil::hmac_digest"(
        const Sha256Kernel& kernel, const HmacState& key,
        const uint8_t* data, size_t size, uint8_t* tag,
    ) noexcept
    void cpp_hmac_digest_many "sigil::hmac_digest_many"(
        const Sha256Kernel& kernel, const HmacState& key,
        const HmacMessage* messages, size_t count,
    ) noexcept


cdef extern from "hkdf.h" namespace "sigil" nogil:
    enum:
        kLongestHkdfOutput
    void cpp_hkdf "sigil::hkdf"(
        const Sha256Kernel& kernel,
        const uint8_t* secret, size_t secret_size,
        const uint8_t* salt, size_t salt_size,
        const uint8_t* info, size_t info_size,
        uint8_t* out, size_t length,
    ) noexcept


cdef extern from "record_text.h" namespace "sigil" nogil:
    uint8_t* write_hex(const uint8_t* data, size_t size, uint8_t* out) noexcept


cdef extern from "secret.h" namespace "sigil" nogil:
    bint cpp_equal_bytes "sigil::equal_bytes"(
        const uint8_t* left, const uint8_t* right, size_t size
    ) noexcept
    void cpp_wipe "sigil::wipe"(void* memory, size_t size) noexcept


# Written while the module is imported, constant afterwards.
ctypedef const Sha256Kernel* KernelPointer
cdef KernelPointer[kMostKernels] found_kernels
cdef size_t found_count = 0
cdef KernelPointer active = NULL


cdef KernelPointer find_kernel(object name) except NULL:
    """The usable kernel of a name; the one in use for None."""
    if name is None:
        return active
    for i in range(found_count):
        if found_kernels[i].name.decode() == name:
            return found_kernels[i]
    raise InvalidOptionError(f"kernel must be one of {', '.join(kernels())}")


cdef int choose_kernel() except -1:
    global found_count, active
    found_count = find_kernels(found_kernels)
    # The portable kernel is always the last; without it nothing can be trusted.
    if found_count == 0 or found_kernels[found_count - 1].name != b"portable":
        raise ImportError("the portable SHA-256 kernel fails its known answers: this build is unusable")
    active = found_kernels[0]
    active = find_kernel(asked_for_kernel(kernels()))
    wanted = os.environ.get("SIGIL_NATIVE_KERNEL")
    if wanted:
        try:
            active = find_kernel(wanted)
        except InvalidOptionError:
            raise ImportError(
                f"SIGIL_NATIVE_KERNEL asks for {wanted!r}, but this machine can use: {', '.join(kernels())}"
            ) from None
    return 0


# -- for other compiled modules ------------------------------------------------


cdef void sha256_digest(const uint8_t* data, size_t size, uint8_t* digest) noexcept nogil:
    cpp_sha256(active[0], data, size, digest)


cdef void sha256_digest_many(const DigestMessage* messages, size_t count) noexcept nogil:
    cpp_sha256_many(active[0], messages, count)


cdef void hmac_init(HmacState* state, const uint8_t* key, size_t size) noexcept nogil:
    cpp_hmac_init(active[0], state[0], key, size)


cdef void hmac_digest(
    const HmacState* state, const uint8_t* data, size_t size, uint8_t* tag
) noexcept nogil:
    cpp_hmac_digest(active[0], state[0], data, size, tag)


cdef void hmac_digest_many(
    const HmacState* state, const HmacMessage* messages, size_t count
) noexcept nogil:
    cpp_hmac_digest_many(active[0], state[0], messages, count)


cdef void hkdf(
    const uint8_t* secret, size_t secret_size,
    const uint8_t* salt, size_t salt_size,
    const uint8_t* info, size_t info_size,
    uint8_t* out, size_t length,
) noexcept nogil:
    cpp_hkdf(active[0], secret, secret_size, salt, salt_size, info, info_size, out, length)


cdef bint equal_bytes(const uint8_t* left, const uint8_t* right, size_t size) noexcept nogil:
    return cpp_equal_bytes(left, right, size)


cdef void wipe(void* memory, size_t size) noexcept nogil:
    cpp_wipe(memory, size)


# -- functions -----------------------------------------------------------------


cdef inline bytes new_digest():
    return PyBytes_FromStringAndSize(NULL, kDigestSize)


cdef inline uint8_t* bytes_of(bytes value) noexcept:
    return <uint8_t*> PyBytes_AS_STRING(value)


def kernels():
    """The names of the SHA-256 kernels that can be used here, best first."""
    return tuple([found_kernels[i].name.decode() for i in range(found_count)])


def kernel():
    """The name of the SHA-256 kernel in use."""
    return active.name.decode()


def sha256(data, *, kernel=None):
    """The SHA-256 digest of ``data``, 32 bytes (FIPS 180-4).

    Args:
        data: bytes-like.
        kernel: one of ``kernels()``; the one in use by default.

    Raises:
        TypeError: ``data`` is not bytes-like.
        InvalidOptionError: no such kernel here.
    """
    cdef Input given
    cdef KernelPointer chosen = find_kernel(kernel)
    cdef bytes digest = new_digest()
    cdef uint8_t* out = bytes_of(digest)
    acquire(data, &given, "data")
    with nogil:
        cpp_sha256(chosen[0], given.data, given.size, out)
    release(&given)
    return digest


def hmac_sha256(secret, data, *, kernel=None):
    """The HMAC-SHA-256 of ``data``, 32 bytes (RFC 2104).

    Args:
        secret: bytes-like, of any length.
        data: bytes-like.
        kernel: one of ``kernels()``; the one in use by default.

    Raises:
        TypeError: an argument is not bytes-like.
        InvalidOptionError: no such kernel here.
    """
    cdef Input key, given
    cdef HmacState state
    cdef KernelPointer chosen = find_kernel(kernel)
    cdef bytes digest = new_digest()
    cdef uint8_t* out = bytes_of(digest)
    acquire(secret, &key, "secret")
    try:
        acquire(data, &given, "data")
        with nogil:
            cpp_hmac_init(chosen[0], state, key.data, key.size)
            cpp_hmac_digest(chosen[0], state, given.data, given.size, out)
            cpp_wipe(&state, sizeof(state))
        release(&given)
    finally:
        release(&key)
    return digest


def hkdf_sha256(secret, *, salt, info, length):
    """``length`` bytes derived from ``secret`` with HKDF-SHA-256 (RFC 5869).

    Args:
        secret: the input keying material, bytes-like.
        salt: bytes-like; empty for none.
        info: bytes-like; what the derived bytes are for.
        length: 1 to 8160.

    Raises:
        TypeError: an argument is of a wrong type.
        InvalidOptionError: ``length`` is out of range.
    """
    cdef Input given, salted, told
    cdef bytes out
    if not isinstance(length, int) or isinstance(length, bool):
        raise TypeError(f"length must be int, not {type(length).__name__}")
    if not 1 <= length <= kLongestHkdfOutput:
        raise InvalidOptionError(f"length must be between 1 and {kLongestHkdfOutput}")
    out = PyBytes_FromStringAndSize(NULL, length)
    given.held = salted.held = told.held = False
    try:
        acquire(secret, &given, "secret")
        acquire(salt, &salted, "salt")
        acquire(info, &told, "info")
        hkdf(
            given.data, given.size, salted.data, salted.size, told.data, told.size,
            bytes_of(out), <size_t> PyBytes_GET_SIZE(out),
        )
    finally:
        release(&given)
        release(&salted)
        release(&told)
    return out


# -- keys ----------------------------------------------------------------------


cdef inline int sign(const HmacState* key, object data, uint8_t* tag) except -1:
    cdef Input given
    acquire(data, &given, "data")
    hmac_digest_with_gil(key, given.data, given.size, tag)
    release(&given)
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class HmacKey:
    """A key for HMAC-SHA-256 (RFC 2104), prepared once and used many times.

    Safe to share between threads. The secret itself is not kept, only what the
    two key blocks leave behind; that is overwritten when the key is released.

    Args:
        secret: at least 32 bytes; a str stands for its UTF-8 form.

    Raises:
        TypeError: ``secret`` is neither str nor bytes-like.
        WeakSecretError: fewer than 32 bytes.
        InvalidOptionError: a str that has no UTF-8 form.
    """

    def __cinit__(self, secret):
        cdef bytes raw = secret_bytes(secret)
        hmac_init(&self.state, bytes_of(raw), <size_t> PyBytes_GET_SIZE(raw))
        if raw is not secret:
            # A copy made for us alone, of 32 bytes or more: nobody else holds it.
            wipe(bytes_of(raw), <size_t> PyBytes_GET_SIZE(raw))

    def __dealloc__(self):
        wipe(&self.state, sizeof(self.state))

    def __repr__(self):
        return "<HmacKey>"

    def __reduce__(self):
        raise TypeError("HmacKey holds a secret and cannot be copied or pickled")

    def digest(self, data):
        """The tag of ``data``: 32 bytes.

        Raises:
            TypeError: ``data`` is not bytes-like.
        """
        cdef bytes tag = new_digest()
        sign(&self.state, data, bytes_of(tag))
        return tag

    def hexdigest(self, data):
        """The tag of ``data`` as 64 lower-case hexadecimal digits.

        Raises:
            TypeError: ``data`` is not bytes-like.
        """
        cdef uint8_t[kDigestSize] tag
        sign(&self.state, data, tag)
        text = PyUnicode_New(2 * kDigestSize, 127)
        write_hex(tag, kDigestSize, PyUnicode_1BYTE_DATA(text))
        return text

    def verify(self, data, tag):
        """Whether ``tag`` is the tag of ``data``, compared in constant time.

        A tag that has not 32 bytes is wrong.

        Raises:
            TypeError: an argument is not bytes-like.
        """
        cdef uint8_t[kDigestSize] right
        cdef Input given
        cdef bint equal
        sign(&self.state, data, right)
        acquire(tag, &given, "tag")
        equal = given.size == kDigestSize and equal_bytes(right, given.data, kDigestSize)
        release(&given)
        return equal

    def digest_many(self, messages):
        """The tags of many messages, in their order; quicker than one at a time.

        Args:
            messages: an iterable of bytes-like objects.

        Raises:
            TypeError: a message is not bytes-like.
        """
        # The tuple keeps the messages alive while the GIL is released.
        cdef tuple given = tuple(messages)
        cdef Py_ssize_t count = len(given)
        cdef list tags = []
        cdef list views = []
        cdef HmacMessage* jobs = <HmacMessage*> malloc((count + 1) * sizeof(HmacMessage))
        if jobs is NULL:
            raise MemoryError
        try:
            for i in range(count):
                set_data(&jobs[i], given[i], views)
                tag = new_digest()
                jobs[i].tag = bytes_of(tag)
                tags.append(tag)
            with nogil:
                hmac_digest_many(&self.state, jobs, <size_t> count)
        finally:
            free(jobs)
        return tags


cdef inline int set_data(HmacMessage* job, object value, list views) except -1:
    """Point a job at a message; a buffer stays open as long as ``views``."""
    cdef Py_buffer* view
    if PyBytes_CheckExact(value):
        job.data = <const uint8_t*> PyBytes_AS_STRING(value)
        job.size = <size_t> PyBytes_GET_SIZE(value)
        return 0
    opened = None
    try:
        opened = PyMemoryView_FromObject(value)
    except (TypeError, BufferError, ValueError):
        readable_bytes(value, "data")
        raise
    view = PyMemoryView_GET_BUFFER(opened)
    if not PyBuffer_IsContiguous(view, b"C"):
        readable_bytes(value, "data")
    job.data = <const uint8_t*> view.buf
    job.size = <size_t> view.len
    views.append(opened)
    return 0


choose_kernel()
