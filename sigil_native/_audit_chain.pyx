# distutils: language = c++
"""Writing the lines of an audit log."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from sigil_native._audit cimport AuditKey
from sigil_native._canonical_values cimport write_canonical
from sigil_native._hashing cimport HmacState, hmac_digest
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._python_objects cimport PyDict_Next, PyUnicode_Check
from sigil_native._sigil cimport spell_base64url

from sigil_native._arguments import audit_batch, audit_members, audit_position
from sigil_native.errors import AuditFormatError, CanonicalizationError, at_index


cdef extern from "Python.h":
    Py_ssize_t PyUnicode_GetLength(PyObject* text) except -1
    int PyUnicode_CompareWithASCIIString(PyObject* text, const char* other) noexcept


cdef extern from "audit_line.h" namespace "sigil" nogil:
    # The inline part of the header: what needs no audit_line.cpp.
    const size_t kLongestAuditLine
    const size_t kLongestAuditHead
    const size_t kChainSize
    const uint64_t kLastAuditSequence
    uint8_t* write_audit_sequence(uint64_t sequence, uint8_t* out) noexcept
    uint8_t* write_audit_begin(uint32_t key_id, uint8_t* out) noexcept
    uint8_t* write_audit_chain(uint8_t* out) noexcept


cdef enum:
    TAG = 32


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
    # The place: number and tag of the last line. They change together, while the GIL is held:
    # this module does not declare that it does without, so a free-threaded Python that imports it turns the GIL on.
    # Built for tracing, a trace function may let other threads in between; such a build is for coverage only.
    cdef uint64_t last_sequence
    cdef uint8_t last_tag[TAG]

    def __cinit__(self, secret, sequence=0, previous=bytes(TAG)):
        cdef bytes tag
        self.last_sequence, tag = audit_position(sequence, previous)
        memcpy(self.last_tag, PyBytes_AS_STRING(tag), TAG)
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
