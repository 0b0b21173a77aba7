# distutils: language = c++
"""The keys of audit logs, and going over lines that are as they should be.

What is wrong with the others is found by ``_audit_judge``, for both backends.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from sigil_native._hashing cimport (
    GROUP_BYTES,
    HmacMessage,
    HmacState,
    equal_bytes,
    hkdf,
    hmac_digest,
    hmac_digest_many,
    hmac_init,
    wipe,
)
from sigil_native._input cimport Input, acquire, release
from sigil_native._json cimport ByteBuffer
from sigil_native._sigil cimport unspell_base64url

from sigil_native._arguments import secret_bytes
from sigil_native._constants import HKDF_AUDIT_INFO, HKDF_AUDIT_KEY_ID_INFO, HKDF_SALT
from sigil_native.errors import AuditFormatError


cdef extern from "audit_line.h" namespace "sigil" nogil:
    const size_t kChainSize
    const size_t kSpelledTagSize

    cdef enum class AuditProblem(uint8_t):
        none
        too_large
        shape
    const char* audit_problem_name(AuditProblem problem) noexcept

    cdef cppclass AuditLine:
        uint64_t sequence
        size_t message_size
        const uint8_t* chain
        const uint8_t* previous
        uint32_t key_id
    AuditProblem cpp_read_audit_line "sigil::read_audit_line"(
        const uint8_t* line, size_t size, AuditLine& out
    ) noexcept


cdef enum:
    TAG = 32
    # Lines that are hashed together: the scheduler's batch, and few where damage may be near.
    FEWEST_LINES = 16
    MOST_LINES = 256


# -- keys ----------------------------------------------------------------------------


cdef inline const uint8_t* bytes_of(bytes value) noexcept:
    return <const uint8_t*> PyBytes_AS_STRING(value)


cdef int _derive(bytes secret, bytes info, uint8_t* out, size_t size) except -1:
    cdef bytes salt = HKDF_SALT
    hkdf(
        bytes_of(secret), PyBytes_GET_SIZE(secret), bytes_of(salt), PyBytes_GET_SIZE(salt),
        bytes_of(info), PyBytes_GET_SIZE(info), out, size,
    )
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class AuditKey:
    """The key of an audit chain, derived from a secret; for the chain and its verifier.

    Safe to share between threads.

    Raises:
        TypeError, WeakSecretError, InvalidOptionError: as for ``HmacKey``.
    """

    def __cinit__(self, secret):
        cdef uint8_t derived[TAG]
        cdef bytes raw = secret_bytes(secret)
        _derive(raw, HKDF_AUDIT_INFO, derived, TAG)
        hmac_init(&self.state, derived, TAG)
        _derive(raw, HKDF_AUDIT_KEY_ID_INFO, derived, 4)
        self.key_id = (
            <uint32_t> derived[0] << 24 | <uint32_t> derived[1] << 16
            | <uint32_t> derived[2] << 8 | <uint32_t> derived[3]
        )
        wipe(derived, TAG)
        # A copy made for us alone: nobody else holds it.
        wipe(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))

    def __dealloc__(self):
        wipe(&self.state, sizeof(self.state))

    def tag(self, previous, message) -> bytes:
        """The tag of a line after another."""
        tag = PyBytes_FromStringAndSize(NULL, TAG)
        _tag(&self.state, previous, message, <uint8_t*> PyBytes_AS_STRING(tag))
        return tag

    def matches(self, previous, message, tag) -> bool:
        """Whether a line's tag is right; compared in constant time."""
        cdef uint8_t right[TAG]
        cdef bytes claimed = tag
        _tag(&self.state, previous, message, right)
        return PyBytes_GET_SIZE(claimed) == TAG and equal_bytes(right, bytes_of(claimed), TAG)

    def clean_run(self, data, size_t start, size_t end, uint64_t sequence, bytes tag, uint64_t stop) -> tuple:
        """Go over lines as long as each is the right one, up to but without the one numbered ``stop``.

        Begin lines end the run too, and so does whatever is not wholly right.

        Args:
            data: bytes that hold complete lines from ``start`` to ``end``.
            start: where the first one begins.
            end: where the last one ends.
            sequence: the number of the line before.
            tag: the tag of the line before.
            stop: the number of a line that is not to be gone over.

        Returns:
            How many lines were right, where the next one begins, and the last one's tag.
        """
        cdef Input given
        cdef Run run
        cdef bint done
        if PyBytes_GET_SIZE(tag) != TAG:
            raise ValueError("a tag has 32 bytes")
        acquire(data, &given, "data")
        try:
            if not start <= end <= given.size:
                raise ValueError("start and end do not lie within the data")
            run.position = given.data + start
            run.last = given.data + end
            run.sequence = sequence
            run.stop = stop
            run.lines = 0
            memcpy(run.tag, bytes_of(tag), TAG)
            with nogil:
                done = _go_over(&self.state, &run)
            if not done:
                raise MemoryError
            return run.lines, run.position - given.data, PyBytes_FromStringAndSize(<char*> run.tag, TAG)
        finally:
            release(&given)

    def __reduce_ex__(self, protocol):
        raise TypeError("AuditKey holds a secret and cannot be copied or pickled")


cdef int _tag(const HmacState* key, bytes previous, bytes message, uint8_t* tag) except -1:
    together = previous + message
    hmac_digest(key, bytes_of(together), PyBytes_GET_SIZE(together), tag)
    return 0


cdef struct Run:
    const uint8_t* position  # of the next line
    const uint8_t* last
    uint64_t sequence
    uint64_t stop
    uint64_t lines
    uint8_t tag[TAG]


cdef bint _go_over(const HmacState* key, Run* run) noexcept nogil:
    """Go over lines group by group; False: no memory."""
    cdef ByteBuffer texts
    cdef HmacMessage messages[MOST_LINES]
    cdef size_t sizes[MOST_LINES]
    cdef uint8_t claimed[MOST_LINES][TAG]
    cdef uint8_t right[MOST_LINES][TAG]
    cdef size_t most = FEWEST_LINES
    cdef size_t count, good, i
    cdef bint ended = False
    cdef const uint8_t* text
    while not ended and run.position != run.last:
        texts.clear()
        count = 0
        if not _gather(run, most, texts, sizes, claimed, &count, &ended):
            return False
        text = texts.data()
        for i in range(count):
            messages[i].data = text
            messages[i].size = TAG + sizes[i] - kChainSize
            messages[i].tag = right[i]
            text += messages[i].size
        hmac_digest_many(key, messages, count)
        good = 0
        while good < count and equal_bytes(right[good], claimed[good], TAG):
            run.position += sizes[good] + 1
            good += 1
        if good:
            memcpy(run.tag, claimed[good - 1], TAG)
            run.sequence += good
            run.lines += good
        ended = ended or good < count
        most = min(2 * most, <size_t> MOST_LINES)
    return True


cdef bint _gather(
    Run* run, size_t most, ByteBuffer& texts, size_t* sizes, uint8_t (*claimed)[TAG],
    size_t* count, bint* ended,
) noexcept nogil:
    """Collect lines that look right, each behind the tag of the one before; False: no memory."""
    cdef const uint8_t* position = run.position
    cdef const uint8_t* newline
    cdef const uint8_t* previous = run.tag
    cdef AuditLine line
    while count[0] < most and position != run.last and texts.size() < GROUP_BYTES:
        newline = <const uint8_t*> memchr(position, c"\n", run.last - position)
        if (
            newline == NULL
            or cpp_read_audit_line(position, newline - position, line) != AuditProblem.none
            or line.previous != NULL
            or line.sequence != run.sequence + count[0] + 1
            or line.sequence == run.stop
            or not unspell_base64url(line.chain, kSpelledTagSize, claimed[count[0]])
        ):
            ended[0] = True
            return True
        if not texts.reserve(TAG + line.message_size):
            return False
        memcpy(texts.end(), previous, TAG)
        memcpy(texts.end() + TAG, position, line.message_size)
        texts.set_size(texts.size() + TAG + line.message_size)
        sizes[count[0]] = newline - position
        previous = claimed[count[0]]
        count[0] += 1
        position = newline + 1
    return True


# -- lines -----------------------------------------------------------------------------


_line_type = None


cdef bytes _spelled_tag(const uint8_t* text):
    tag = PyBytes_FromStringAndSize(NULL, TAG)
    if not unspell_base64url(text, kSpelledTagSize, <uint8_t*> PyBytes_AS_STRING(tag)):
        raise AuditFormatError("chain")
    return tag


def read_audit_line(line):
    """Read what stands at both ends of a line: what a writer goes on from. Nothing is verified.

    Args:
        line: one line, bytes-like; its newline may be missing.

    Raises:
        AuditFormatError: not a line of an audit log; ``problem`` says what is wrong.
        TypeError: not bytes-like.
    """
    global _line_type
    cdef Input given
    cdef AuditLine found
    cdef AuditProblem problem
    cdef size_t size
    acquire(line, &given, "line")
    try:
        size = given.size
        if size and given.data[size - 1] == c"\n":
            size -= 1
        problem = cpp_read_audit_line(given.data, size, found)
        if problem != AuditProblem.too_large and memchr(given.data, c"\n", size) != NULL:
            problem = AuditProblem.shape
        if problem != AuditProblem.none:
            raise AuditFormatError(audit_problem_name(problem).decode())
        tag = _spelled_tag(found.chain)
        key_id = previous = None
        if found.previous != NULL:
            key_id, previous = found.key_id, _spelled_tag(found.previous)
    finally:
        release(&given)
    if _line_type is None:
        # Here, because it needs typing, which takes longer to import than this package.
        from sigil_native._audit_records import AuditLine as _line_type
    return _line_type(found.sequence, tag, key_id, previous)
