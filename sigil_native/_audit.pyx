# distutils: language = c++
"""Writing the lines of an audit log, and going over lines that are as they should be.

What is wrong with the others is found by ``_audit_judge``, for both backends.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from sigil_native._canonical_values cimport write_canonical
from sigil_native._hashing cimport (
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
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._python_objects cimport PyDict_Next, PyUnicode_Check
from sigil_native._sigil cimport spell_base64url, unspell_base64url

from sigil_native._arguments import audit_batch, audit_members, audit_position, secret_bytes
from sigil_native._constants import HKDF_AUDIT_INFO, HKDF_AUDIT_KEY_ID_INFO, HKDF_SALT
from sigil_native.errors import AuditFormatError, CanonicalizationError, at_index


cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GetLength(PyObject* text) except -1
    int PyUnicode_CompareWithASCIIString(PyObject* text, const char* other) noexcept


cdef extern from "audit_line.h" namespace "sigil" nogil:
    const size_t kLongestAuditLine
    const size_t kLongestAuditHead
    const size_t kChainSize
    const size_t kSpelledTagSize
    const uint64_t kLastAuditSequence

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
    uint8_t* write_audit_sequence(uint64_t sequence, uint8_t* out) noexcept
    uint8_t* write_audit_begin(uint32_t key_id, uint8_t* out) noexcept
    uint8_t* write_audit_chain(uint8_t* out) noexcept


cdef enum:
    TAG = 32
    # Lines that are hashed together: the scheduler's batch, and few where damage may be near.
    FEWEST_LINES = 16
    MOST_LINES = 256
    # Bytes after which a group is closed early, so that it stays in cache.
    GROUP_BYTES = 262144


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

    # Set once, before anybody else can see the object; read by any thread.
    cdef HmacState state
    cdef readonly uint32_t key_id

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


# -- the chain -------------------------------------------------------------------------


@cython.final
@cython.auto_pickle(False)
cdef class AuditChain:
    """Writes the lines of an audit log, each bound to the one before.

    It holds a place in the chain: what it returned last is the line that the next one
    follows, so lines go to the file in the order in which they were made. Any number
    of threads may use it. It holds a secret: it cannot be copied or pickled.

    Args:
        secret: at least 32 bytes; a str stands for its UTF-8 form.
        sequence: the number of the line to go on from; 0: there is none yet.
        previous: that line's tag; zeros if there is none yet.

    Raises:
        WeakSecretError: the secret is too short.
        InvalidOptionError: sequence and tag are out of range, or do not go together.
        TypeError: an argument of a wrong type.
    """

    cdef AuditKey key
    # The place: number and tag of the last line. They change together, while the GIL is held.
    cdef uint64_t last_sequence
    cdef uint8_t last_tag[TAG]

    def __cinit__(self, secret, sequence=0, previous=bytes(TAG)):
        cdef bytes tag
        self.last_sequence, tag = audit_position(sequence, previous)
        memcpy(self.last_tag, bytes_of(tag), TAG)
        self.key = AuditKey(secret)

    @property
    def key_id(self):
        """The id of the key, derived from the secret."""
        return self.key.key_id

    @property
    def sequence(self):
        """The sequence number of the last line; 0: none."""
        return self.last_sequence

    @property
    def tag(self):
        """The tag of the last line; zeros if there is none."""
        return PyBytes_FromStringAndSize(<char*> self.last_tag, TAG)

    def begin(self, members) -> bytes:
        """Make a begin line: the first of a file, and the first under another key.

        It names the format, the key and the tag of the line before. Otherwise as ``append``.
        """
        return self._lines([members], True, False)

    def append(self, members) -> bytes:
        """Make a line, its newline included. The chain moves on only if this succeeds.

        Args:
            members: what ``canonicalize`` accepts as an object, without the chain's own names.

        Raises:
            AuditFormatError: a name is the chain's own, or nothing was begun.
            CanonicalizationError: the members have no RFC 8785 form, or the line would be
                longer than 64 KiB.
            TypeError: not a mapping.
        """
        return self._lines([members], False, False)

    def append_many(self, batch) -> bytes:
        """Make several lines, all or none; otherwise as ``append``.

        ``index`` of a CanonicalizationError says which of them.
        """
        return self._lines(audit_batch(batch), False, True)

    cdef bytes _lines(self, list batch, bint begin, bint numbered):
        # No Python code runs between the first look at the place and the last, so that no
        # other thread and no finalizer can move on from it meanwhile; but where an error
        # is raised, and then nothing is kept.
        cdef ByteBuffer out
        cdef uint64_t sequence
        cdef uint8_t tag[TAG]
        cdef Py_ssize_t index
        cdef list given = [audit_members(members) for members in batch]
        sequence = self.last_sequence
        memcpy(tag, self.last_tag, TAG)
        if sequence == 0 and given and not begin:
            raise AuditFormatError("not_begun")
        # Room for the tag of the line before the first: see _finish.
        if not out.reserve(TAG):
            raise MemoryError
        out.set_size(TAG)
        for index in range(len(given)):
            if sequence == kLastAuditSequence:
                raise AuditFormatError("used_up")
            sequence += 1
            start = out.size()
            if not out.reserve(kLongestAuditHead):
                raise MemoryError
            out.set_end(write_audit_sequence(sequence, out.end()))
            if begin:
                out.set_end(spell_base64url(tag, TAG, write_audit_begin(self.key.key_id, out.end())))
                out.end()[0] = c'"'
                out.set_size(out.size() + 1)
            _check_names(given[index])
            try:
                _write_members(given[index], out, out.size() - start)
            except CanonicalizationError as error:
                raise (at_index(error, index) if numbered else error) from None
            if not _finish(&self.key.state, out, start, tag):
                raise MemoryError
        result = PyBytes_FromStringAndSize(<char*> out.data() + TAG, out.size() - TAG)
        self.last_sequence = sequence
        memcpy(self.last_tag, tag, TAG)
        return result

    def __repr__(self) -> str:
        return f"<AuditChain {self.key.key_id:08x} at {self.last_sequence}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("AuditChain holds a secret and cannot be copied or pickled")

    def __copy__(self):
        raise TypeError("AuditChain holds a secret and cannot be copied or pickled")

    def __deepcopy__(self, memo):
        raise TypeError("AuditChain holds a secret and cannot be copied or pickled")


cdef int _check_names(object members) except -1:
    """Refuse names that are the chain's own, by what they hold, whatever their class says."""
    cdef PyObject* name
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t length
    while PyDict_Next(<PyObject*> members, &place, &name, NULL):
        if not PyUnicode_Check(name):
            continue
        length = PyUnicode_GetLength(name)
        if (
            length == 3 and _is(name, b"seq")
            or length == 5 and _is(name, b"chain")
            or length == 6 and (_is(name, b"format") or _is(name, b"key_id"))
            or length == 8 and _is(name, b"previous")
        ):
            raise AuditFormatError("reserved")
    return 0


cdef inline bint _is(PyObject* name, const char* other) noexcept:
    return PyUnicode_CompareWithASCIIString(name, other) == 0


cdef int _write_members(object members, ByteBuffer& out, size_t head) except -1:
    """Append the members, without their braces, behind a comma."""
    cdef JsonOptions options
    cdef size_t start = out.size()
    # The braces make room for the comma before the members and for the newline.
    options.max_bytes = kLongestAuditLine - head - kChainSize
    write_canonical(members, out, options)
    if out.size() == start + 2:
        out.set_size(start)
    else:
        out.data()[start] = c","
        out.set_size(out.size() - 1)
    return 0


cdef bint _finish(const HmacState* key, ByteBuffer& out, size_t start, uint8_t* tag) noexcept:
    """Append the chain to the line that begins at `start`, behind the line with this tag, which becomes its own.

    The tag before is put in front of the line for as long as both are hashed. False: no memory.
    """
    cdef uint8_t covered[TAG]
    cdef uint8_t* message = out.data() + start - TAG
    memcpy(covered, message, TAG)
    memcpy(message, tag, TAG)
    hmac_digest(key, message, out.size() - start + TAG, tag)
    memcpy(message, covered, TAG)
    if not out.reserve(kChainSize + 1):
        return False
    out.set_end(spell_base64url(tag, TAG, write_audit_chain(out.end())))
    memcpy(out.end(), b'"}\n', 3)
    out.set_size(out.size() + 3)
    return True
