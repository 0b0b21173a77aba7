# distutils: language = c++
"""The lines of a body that ask for seals, from its bytes to those of the answer.

A line that is plain is read, sealed and told of without a Python object of its own; the GIL is
released meanwhile. Every other line is its caller's to read, and takes its place among the others.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from sigil_native._hashing cimport HmacState
from sigil_native._keyring cimport Key, KeyRing, TenantKey
from sigil_native._request_lines cimport (
    READ,
    REFUSED,
    SEALED,
    UNREAD,
    Field,
    LineState,
    Part,
    RequestLine,
    answer_lines,
    read_lines,
    seal_lines,
)
from sigil_native._sealing cimport Form, check_tenant, lifetime_of, render
from sigil_native._sigil cimport (
    expires_ms_of,
    issued_ms_of,
    kHeaderSize,
    kIdentifierOffset,
    kTagSize,
    kTextSize,
    key_id_of,
)

from sigil_native._request_arguments import answer_parts, request_body
from sigil_native.errors import InvalidExpiryError, NoActiveKeyError


cdef extern from "Python.h":
    PyObject* bytes_of_size "PyBytes_FromStringAndSize"(const char* text, Py_ssize_t size) except NULL
    char* bytes_start "PyBytes_AS_STRING"(PyObject* text) noexcept nogil
    int resize_bytes "_PyBytes_Resize"(PyObject** text, Py_ssize_t size) except -1
    void Py_DECREF(PyObject* one) noexcept
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)
    uint8_t* PyUnicode_1BYTE_DATA(object text)

cdef extern from "clock.h" namespace "sigil" nogil:
    int64_t wall_clock_ms() noexcept

cdef extern from "request_line.h" namespace "sigil" nogil:
    cdef struct FoundLine:
        size_t number
        size_t begin
        size_t size
    cdef cppclass LineFinder:
        LineFinder() noexcept
        LineFinder(const uint8_t* text, size_t size, size_t number) noexcept
        bint next(FoundLine& out) noexcept
        size_t number() noexcept

cdef extern from "record_text.h" namespace "sigil" nogil:
    const size_t kUuidTextSize
    const size_t kMomentSize
    uint8_t* write_uuid(const uint8_t* id, uint8_t* out) noexcept


cdef enum:
    # Bytes of a line, as it came and as it is sealed, that are worked on with the GIL held.
    BRIEF = 4096
    MOST_PARTS = 32  # of an answer, as in _constants.py

# 9999-12-31T23:59:59.999Z, as in _constants.py.
cdef int64_t LAST_MOMENT_MS = 253402300799999


cdef object FIRST = 1

# Each with the longest of what it comes to.
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
cdef class SealRequests:
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

    def __cinit__(self, body, *, most, number=1):
        cdef FoundLine found
        cdef RequestLine line
        # Checked in Python unless it is what is usual.
        if type(body) is not bytes or type(most) is not int or number is not FIRST or not 1 <= most <= 1 << 20:
            body, most, number = request_body(body, most, number)
        self.body = body
        cdef size_t left = most
        cdef LineFinder lines = LineFinder(
            <const uint8_t*> PyBytes_AS_STRING(self.body), PyBytes_GET_SIZE(self.body), number
        )
        self.end = PyBytes_GET_SIZE(self.body)
        while lines.next(found):
            if left == 0:
                self.end = found.begin
                self.next_number = found.number
                return
            left -= 1
            line.number, line.begin, line.size = found.number, found.begin, found.size
            line.place = line.filled = 0
            line.lifetime_ms = 0
            line.state = UNREAD
            self.lines.push_back(line)
        self.next_number = lines.number()

    def __len__(self):
        return self.lines.size()

    def number(self, index):
        """The number of a line in the body, blank ones included."""
        return self._line(index).number

    def text(self, index):
        """The bytes of a line, without its LF or CR LF."""
        cdef RequestLine* line = self._line(index)
        return self.body[line.begin : line.begin + line.size]

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
        cdef Py_ssize_t begin, end, i
        cdef bint done
        cdef const uint8_t* text = <const uint8_t*> PyBytes_AS_STRING(self.body)
        self._range(first, last, &begin, &end)
        self._enter()
        if _is_brief(self, begin, end):
            done = read_lines(self.lines, self.buffer, text, begin, end)
        else:
            with nogil:
                done = read_lines(self.lines, self.buffer, text, begin, end)
        self.busy = False
        if not done:
            raise MemoryError
        return [i for i in range(begin, end) if self.lines[i].state == UNREAD]

    def accept(self, index, bytes payload not None, expires_in=None):
        """Give the payload of a line that was left: canonical, which nobody checks again.

        Args:
            index: the line's place.
            payload: in its RFC 8785 form.
            expires_in: as for ``SigilCodec.encode``.

        Raises:
            InvalidExpiryError: it is out of range.
        """
        cdef RequestLine* line = self._unread(index)
        cdef int64_t lifetime = lifetime_of(expires_in)
        cdef size_t size = PyBytes_GET_SIZE(payload)
        if not self.buffer.reserve(kHeaderSize + size + kTagSize):
            raise MemoryError
        line.place = self.buffer.size()
        memcpy(self.buffer.end() + kHeaderSize, PyBytes_AS_STRING(payload), size)
        self.buffer.set_size(line.place + kHeaderSize + size + kTagSize)
        line.filled = size
        line.lifetime_ms = lifetime
        line.state = READ

    def refuse(self, index, bytes answer not None):
        """Give the answer to a line that was left and gets no seal, with its line feed."""
        cdef RequestLine* line = self._unread(index)
        cdef size_t size = PyBytes_GET_SIZE(answer)
        if not self.buffer.reserve(size):
            raise MemoryError
        line.place = self.buffer.size()
        memcpy(self.buffer.end(), PyBytes_AS_STRING(answer), size)
        self.buffer.set_size(line.place + size)
        line.filled = size
        line.state = REFUSED

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
            if line.state != SEALED:
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
            if self.lines[i].state == SEALED:
                text = PyUnicode_New(kUuidTextSize, 127)
                write_uuid(self.buffer.data() + self.lines[i].place + kIdentifierOffset, PyUnicode_1BYTE_DATA(text))
                found.append(text)
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
            InvalidOptionError: more than 32 parts, or a name that is none of these.
            TypeError: a part is neither bytes nor str.
        """
        cdef Part compiled[MOST_PARTS]
        cdef Py_ssize_t begin, end, i, count
        cdef int64_t moment = now_ms
        cdef size_t longest = 0, size = 0
        cdef PyObject* out
        cdef uint8_t* start
        cdef uint8_t* last_byte
        # Checked in Python unless it is what is usual: a tuple of what is known.
        cdef tuple pieces = parts if type(parts) is tuple and len(parts) <= MOST_PARTS else answer_parts(parts)
        count = PyTuple_GET_SIZE(pieces)
        for i in range(count):
            piece = pieces[i]
            if type(piece) is bytes:
                compiled[i].field = Field.LITERAL
                compiled[i].text = <const uint8_t*> PyBytes_AS_STRING(piece)
                compiled[i].size = PyBytes_GET_SIZE(piece)
            else:
                field = FIELDS.get(piece) if type(piece) is str else None
                if field is None:
                    (piece,) = answer_parts([piece])
                    field = FIELDS[piece]
                compiled[i].field, compiled[i].size = field
            longest += compiled[i].size
        self._range(first, last, &begin, &end)
        self._check_states(begin, end, SEALED)
        for i in range(begin, end):
            size += self.lines[i].filled if self.lines[i].state == REFUSED else longest
        self._check_idle()
        out = bytes_of_size(NULL, size)
        self.busy = True
        start = <uint8_t*> bytes_start(out)
        if _is_brief(self, begin, end):
            last_byte = answer_lines(self.lines, self.buffer, compiled, count, begin, end, moment, start)
        else:
            with nogil:
                last_byte = answer_lines(self.lines, self.buffer, compiled, count, begin, end, moment, start)
        self.busy = False
        resize_bytes(&out, last_byte - start)
        answers = <object> out
        Py_DECREF(out)
        return answers

    cdef int seal(self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last) except -1:
        """Seal those lines of a range that are read; see ``SigilCodec.seal_requests``."""
        cdef Key key = ring.signing_key()
        cdef TenantKey tenant_key
        cdef int64_t longest = LAST_MOMENT_MS - wall_clock_ms()
        cdef Py_ssize_t i
        cdef size_t wanted = 0
        cdef const HmacState* state
        cdef uint32_t key_id
        cdef bint done
        check_tenant(tenant)
        self._check_states(first, last, READ)
        for i in range(first, last):
            if self.lines[i].state == READ:
                wanted += 1
                if self.lines[i].lifetime_ms > longest:
                    raise InvalidExpiryError("expires_in is out of range")
        if wanted == 0:
            return 0
        if key is None:
            raise NoActiveKeyError("the ring holds no key that may sign now")
        tenant_key = key.for_tenant(tenant)
        self._enter()
        state, key_id = &tenant_key.state, key.key_id
        if _is_brief(self, first, last):
            done = seal_lines(self.lines, self.buffer, state, key_id, first, last)
        else:
            with nogil:
                done = seal_lines(self.lines, self.buffer, state, key_id, first, last)
        self.busy = False
        if not done:
            raise OSError("the system gave no randomness")
        return 0

    # -- one line, and states ----------------------------------------------------

    cdef RequestLine* _line(self, object index) except NULL:
        cdef Py_ssize_t place = index
        if not 0 <= place < <Py_ssize_t> self.lines.size():
            raise IndexError("no such line")
        return &self.lines[place]

    cdef RequestLine* _unread(self, object index) except NULL:
        cdef RequestLine* line = self._line(index)
        self._check_idle()
        if line.state != UNREAD:
            raise ValueError(f"line {line.number} was read, or refused, before")
        return line

    cdef int _enter(self) except -1:
        """Keep other threads out while the GIL is released."""
        self._check_idle()
        self.busy = True
        return 0

    cdef int _check_idle(self) except -1:
        if self.busy:
            raise RuntimeError("another thread is at these lines")
        return 0

    cdef int _range(self, object first, object last, Py_ssize_t* begin, Py_ssize_t* end) except -1:
        begin[0], end[0] = first, last
        if not 0 <= begin[0] <= end[0] <= <Py_ssize_t> self.lines.size():
            raise IndexError("no such lines")
        return 0

    cdef int _check_states(self, Py_ssize_t first, Py_ssize_t last, LineState wanted) except -1:
        cdef Py_ssize_t i
        for i in range(first, last):
            if self.lines[i].state != wanted and self.lines[i].state != REFUSED:
                raise ValueError(f"line {self.lines[i].number} is not ready for this")
        return 0


cdef bint _is_brief(SealRequests self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Whether work on a range takes less time than to let another thread have the GIL, and to get it back."""
    return last - first == 1 and self.lines[first].size + self.lines[first].filled < BRIEF
