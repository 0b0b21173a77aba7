# distutils: language = c++
"""The lines of a body that ask for seals, from its bytes to those of the answer.

A line that is plain is read, sealed and told of without a Python object of its own; the GIL is
released meanwhile. Every other line is its caller's to read, and takes its place among the others.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from libcpp.vector cimport vector

from sigil_native._hashing cimport (
    GROUP_SIZE,
    DigestMessage,
    HmacMessage,
    HmacState,
    hmac_digest_many,
    sha256_digest_many,
)
from sigil_native._identifiers cimport no_random_bytes, uuid7_fill, uuid_text
from sigil_native._json cimport ByteBuffer, JsonOptions
from sigil_native._keyring cimport Key, KeyRing, TenantKey
from sigil_native._request_lines cimport (
    DONE,
    MOST_PARTS,
    READ,
    REFUSED,
    UNREAD,
    Field,
    MomentWriter,
    Part,
    RequestLine,
    RequestLines,
    compile_parts,
    kLastMomentMs,
    kMomentSize,
    kUuidTextSize,
    place_payload,
    read_payload,
    write_answer,
)
from sigil_native._sealing cimport Form, lifetime_of, render, write_lifetime
from sigil_native._sigil cimport (
    expires_ms_of,
    issued_ms_of,
    kHeaderSize,
    kIdentifierOffset,
    kTextSize,
    key_id_of,
    write_header,
)
from sigil_native._written_bytes cimport bytes_of_size, bytes_start, written_bytes

from sigil_native._request_arguments import answer_moment, check_bytes
from sigil_native.errors import InvalidExpiryError, NoActiveKeyError


cdef extern from "clock.h" namespace "sigil" nogil:
    int64_t wall_clock_ms() noexcept

cdef extern from "request_line.h" namespace "sigil" nogil:
    cdef struct PlainRequest:
        const uint8_t* payload
        size_t size
        int64_t lifetime_ms
    bint read_plain_request(const uint8_t* line, size_t size, PlainRequest& out) noexcept


# Those of ANSWER_FIELDS in _constants.py, each with the longest of what it comes to.
cdef dict FIELDS = {
    "id": (Field.ID, kUuidTextSize),
    "sigil": (Field.SIGIL, kTextSize),
    "key_id": (Field.KEY_ID, 8),
    "issued_at": (Field.ISSUED_AT, kMomentSize),
    "expires_at": (Field.EXPIRES_AT, kMomentSize + 2),
    "status": (Field.STATUS, 7),
    "canonical_sha256": (Field.SHA256, 64),
}


@cython.final
@cython.auto_pickle(False)
cdef class SealRequests(RequestLines):
    """The lines of a body, each of which asks for a seal, on their way to an answer.

    Blank lines are passed over. In this order: ``read`` what is plain; ``accept`` or ``refuse`` each line
    that ``read`` left; ``SigilCodec.seal_requests``; then ``sealed``, ``ids`` and ``answers``. Each takes a
    range of lines, so that long bodies can be worked on a piece at a time.

    It belongs to one thread at a time.

    Args:
        body: JSON texts, a line each.
        most: lines that are not blank, at most; ``end`` tells where another one begins.
        number: of the first line.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: ``most`` or ``number`` is less than 1.
    """

    def read(self, first, last):
        """Read those lines of a range that are plain.

        A plain line is an object of ``data``, which is an object, and behind it, if at all, ``expires_in``:
        null, or a whole number of seconds, a century at most. The payload is read as ``canonicalize_json``
        does by default.

        Returns:
            The lines that are left, by their places: for ``accept`` or ``refuse``.

        Raises:
            IndexError: there is no such range.
        """
        return self._read(first, last, _read_lines)

    def accept(self, index, payload, expires_in=None):
        """Give the payload of a line that was left: canonical, which nobody checks again.

        Args:
            index: the line's place.
            payload: in its RFC 8785 form.
            expires_in: as for ``SigilCodec.encode``.

        Raises:
            IndexError: there is no such line.
            ValueError: it was read, or refused, before.
            InvalidExpiryError: the lifetime is out of range.
            TypeError: an argument of a wrong type.
        """
        cdef RequestLine* line
        cdef int64_t lifetime
        if type(payload) is not bytes:
            check_bytes(payload, "payload")
        lifetime = lifetime_of(expires_in)
        line = self._unread(index)
        place_payload(line, self.buffer, payload)
        line.lifetime_ms = lifetime

    def sealed(self, first, last):
        """Those of a range that are sealed: (id, sigil, key id, issued, expires, SHA-256, payload) of each.

        The id is 16 bytes, the sigil text; moments are milliseconds since the Unix epoch, 0: never.
        """
        cdef Py_ssize_t begin, end, i
        cdef RequestLine* line
        cdef const uint8_t* header
        self._range(first, last, &begin, &end)
        self._check_idle()
        found = []
        for i in range(begin, end):
            line = &self.lines[i]
            if line.state != DONE:
                continue
            header = self.buffer.data() + line.place
            found.append((
                PyBytes_FromStringAndSize(<char*> header + kIdentifierOffset, 16),
                render(Form.TEXT, header, kHeaderSize + line.filled),
                key_id_of(header),
                issued_ms_of(header),
                expires_ms_of(header),
                PyBytes_FromStringAndSize(<char*> line.digest, 32),
                PyBytes_FromStringAndSize(<char*> header + kHeaderSize, line.filled),
            ))
        return found

    def ids(self, first, last):
        """The ids of those of a range that are sealed, as text."""
        cdef Py_ssize_t begin, end, i
        self._range(first, last, &begin, &end)
        self._check_idle()
        found = []
        for i in range(begin, end):
            if self.lines[i].state == DONE:
                found.append(uuid_text(self.buffer.data() + self.lines[i].place + kIdentifierOffset))
        return found

    def answers(self, parts, first, last, *, now_ms):
        """The answers to a range of lines that are sealed or refused, in their order.

        Args:
            parts: what the answer to a sealed line is made of, its line feed included: bytes stand for
                themselves; ``"id"``, ``"sigil"``, ``"key_id"`` (eight hexadecimal digits), ``"issued_at"``
                (RFC 3339, UTC, to the millisecond), ``"expires_at"`` (the same in quotes, or null),
                ``"status"`` (active or expired) and ``"canonical_sha256"`` (hexadecimal) for what they name.
            first: the first line.
            last: the line behind the last one.
            now_ms: the moment that ``"status"`` is told of, in milliseconds since the Unix epoch.

        Raises:
            IndexError: there is no such range.
            ValueError: a line is neither sealed nor refused.
            InvalidOptionError: more than 32 parts, a name that is none of these, or a moment out of range.
            TypeError: a part is neither bytes nor str, or an argument of a wrong type.
        """
        cdef Part compiled[MOST_PARTS]
        cdef Py_ssize_t begin, end, i, count
        cdef int64_t moment
        cdef size_t longest = 0, size = 0
        cdef PyObject* out
        cdef uint8_t* start
        cdef uint8_t* last_byte
        _kept = compile_parts(parts, FIELDS, compiled, &count)
        for i in range(count):
            longest += compiled[i].size
        moment = now_ms if type(now_ms) is int and 0 <= now_ms <= kLastMomentMs else answer_moment(now_ms)
        self._range(first, last, &begin, &end)
        self._check_states(begin, end, DONE)
        for i in range(begin, end):
            size += self.lines[i].filled if self.lines[i].state == REFUSED else longest
        self._check_idle()
        out = bytes_of_size(NULL, size)
        self.busy = True
        start = <uint8_t*> bytes_start(out)
        if self._is_brief(begin, end):
            last_byte = _answer_lines(self.lines, self.buffer, compiled, count, begin, end, moment, start)
        else:
            with nogil:
                last_byte = _answer_lines(self.lines, self.buffer, compiled, count, begin, end, moment, start)
        self.busy = False
        return written_bytes(out, last_byte)

    cdef int seal(self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last) except -1:
        """Seal those lines of a range that are read; see ``SigilCodec.seal_requests``, which checks the tenant."""
        cdef Key key = ring.signing_key()
        cdef TenantKey tenant_key
        cdef int64_t longest = kLastMomentMs - wall_clock_ms()
        cdef Py_ssize_t i
        cdef size_t wanted = 0
        cdef const HmacState* state
        cdef uint32_t key_id
        cdef bint done
        self._check_states(first, last, READ)
        for i in range(first, last):
            if self.lines[i].state == READ:
                wanted += 1
                if self.lines[i].lifetime_ms > longest:
                    raise InvalidExpiryError
        if wanted == 0:
            return 0
        if key is None:
            raise NoActiveKeyError
        tenant_key = key.for_tenant(tenant)
        self._enter()
        state, key_id = &tenant_key.state, key.key_id
        if self._is_brief(first, last):
            done = _seal_lines(self.lines, self.buffer, state, key_id, first, last)
        else:
            with nogil:
                done = _seal_lines(self.lines, self.buffer, state, key_id, first, last)
        self.busy = False
        if not done:
            raise no_random_bytes()
        return 0


cdef bint _read_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """False: no memory."""
    cdef PlainRequest request
    cdef JsonOptions options
    cdef RequestLine* line
    cdef Py_ssize_t i
    for i in range(first, last):
        line = &lines[i]
        if line.state != UNREAD or not read_plain_request(text + line.begin, line.size, request):
            continue
        line.lifetime_ms = request.lifetime_ms
        if read_payload(line, buffer, request.payload, request.size, options) < 0:
            return False
    return True


cdef bint _seal_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const HmacState* tenant_key, uint32_t key_id,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """False: the system gave no random bytes."""
    while first < last:
        if not _seal_group(lines, buffer, tenant_key, key_id, first, min(first + GROUP_SIZE, last)):
            return False
        first += GROUP_SIZE
    return True


cdef bint _seal_group(
    vector[RequestLine]& lines, ByteBuffer& buffer, const HmacState* tenant_key, uint32_t key_id,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """False: the system gave no random bytes."""
    cdef uint8_t[GROUP_SIZE * 16] identifiers
    cdef HmacMessage[GROUP_SIZE] messages
    cdef DigestMessage[GROUP_SIZE] payloads
    cdef RequestLine* line
    cdef uint8_t* header
    cdef size_t count = 0
    cdef Py_ssize_t i
    if not uuid7_fill(identifiers, last - first, 16):
        return False
    for i in range(first, last):
        line = &lines[i]
        if line.state != READ:
            continue
        header = buffer.data() + line.place
        write_header(header, key_id)
        memcpy(header + kIdentifierOffset, identifiers + count * 16, 16)
        if line.lifetime_ms:
            write_lifetime(header, line.lifetime_ms)
        messages[count].data = header
        messages[count].size = kHeaderSize + line.filled
        messages[count].tag = header + kHeaderSize + line.filled
        payloads[count].data = header + kHeaderSize
        payloads[count].size = line.filled
        payloads[count].digest = line.digest
        line.state = DONE
        count += 1
    sha256_digest_many(payloads, count)
    hmac_digest_many(tenant_key, messages, count)
    return True


cdef uint8_t* _answer_lines(
    const vector[RequestLine]& lines, const ByteBuffer& buffer, const Part* parts, Py_ssize_t count,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, uint8_t* out,
) noexcept nogil:
    """Write the answers, for which there is room. Returns their end."""
    cdef MomentWriter issued
    cdef MomentWriter expiry
    cdef Py_ssize_t i
    for i in range(first, last):
        out = write_answer(
            parts, count, &lines[i], buffer.data() + lines[i].place, now_ms, issued, expiry, out
        )
    return out
