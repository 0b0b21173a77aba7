# distutils: language = c++
"""The lines of a body on their way to an answer: what those that ask for seals and for verdicts share.

Whoever works on lines without the GIL sees to it that nobody else is at the same ones.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_SIZE
from libc.string cimport memcpy

from sigil_native._canonical_text cimport canonicalize_text
from sigil_native._json cimport Failure
from sigil_native._sigil cimport (
    expires_ms_of,
    issued_ms_of,
    kHeaderSize,
    kIdentifierOffset,
    kTagSize,
    spell_text,
)

from sigil_native._request_arguments import answer_parts, check_bytes, request_body


cdef extern from "request_line.h" namespace "sigil" nogil:
    cdef cppclass LineFinder:
        LineFinder() noexcept
        LineFinder(const uint8_t* text, size_t size, size_t number) noexcept
        bint next(FoundLine& out) noexcept
        size_t number() noexcept

cdef extern from "record_text.h" namespace "sigil" nogil:
    uint8_t* write_hex(const uint8_t* data, size_t size, uint8_t* out) noexcept
    uint8_t* write_number(uint64_t value, uint8_t* out) noexcept


cdef enum:
    # Bytes of a line, as it came and as it is kept, that are worked on with the GIL held.
    BRIEF = 4096

cdef object FIRST = 1


@cython.auto_pickle(False)
cdef class RequestLines:
    """The lines of a body, each of which asks for something, on their way to an answer.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.
    """

    def __cinit__(self, body, *, most, number=1):
        cdef FoundLine found
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
            self.lines.push_back(unread_line(found))
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

    def refuse(self, index, answer):
        """Give the answer to a line that was left and is told what is wrong with it, with its line feed."""
        if type(answer) is not bytes:
            check_bytes(answer, "answer")
        place_answer(self._unread(index), self.buffer, answer)

    cdef RequestLine* _line(self, object index) except NULL:
        cdef Py_ssize_t place = nearest_size(index, NULL)
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
        begin[0] = nearest_size(first, NULL)
        end[0] = nearest_size(last, NULL)
        if not 0 <= begin[0] <= end[0] <= <Py_ssize_t> self.lines.size():
            raise IndexError("no such lines")
        return 0

    cdef int _check_states(self, Py_ssize_t first, Py_ssize_t last, LineState wanted) except -1:
        cdef Py_ssize_t i
        for i in range(first, last):
            if self.lines[i].state != wanted and self.lines[i].state != REFUSED:
                raise ValueError(f"line {self.lines[i].number} is not ready for this")
        return 0

    cdef bint _is_brief(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
        return last - first == 1 and self.lines[first].size + self.lines[first].filled < BRIEF

    cdef list _read(self, object first, object last, LineReader reader):
        cdef Py_ssize_t begin, end, i
        cdef bint done
        cdef const uint8_t* text = <const uint8_t*> PyBytes_AS_STRING(self.body)
        self._range(first, last, &begin, &end)
        self._enter()
        if self._is_brief(begin, end):
            done = _read_range(self, text, begin, end, reader)
        else:
            with nogil:
                done = _read_range(self, text, begin, end, reader)
        self.busy = False
        if not done:
            raise MemoryError
        return [i for i in range(begin, end) if self.lines[i].state == UNREAD]


cdef bint _read_range(
    RequestLines lines, const uint8_t* text, Py_ssize_t first, Py_ssize_t last, LineReader reader
) noexcept nogil:
    """False: no memory, be it for the seals of the lines, at their longest."""
    cdef size_t size = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        size += lines.lines[i].size + kHeaderSize + kTagSize
    return lines.buffer.reserve(size) and reader(lines.lines, lines.buffer, text, first, last)


cdef RequestLine unread_line(const FoundLine& found) noexcept nogil:
    cdef RequestLine line
    line.number, line.begin, line.size = found.number, found.begin, found.size
    line.place = line.filled = 0
    line.lifetime_ms = 0
    line.key = line.cause = 0
    line.altered = False
    line.state = UNREAD
    return line


cdef int read_payload(
    RequestLine* line, ByteBuffer& buffer, const uint8_t* text, size_t size, const JsonOptions& options
) noexcept nogil:
    cdef Failure failure
    cdef size_t start = buffer.size()
    if not buffer.reserve(kHeaderSize):
        return -1
    buffer.set_size(start + kHeaderSize)
    if not canonicalize_text(text, size, options, buffer, failure):
        buffer.set_size(start)
        return 0
    return 1 if end_payload(line, buffer, start) else -1


cdef int place_payload(RequestLine* line, ByteBuffer& buffer, bytes payload) except -1:
    cdef size_t start = buffer.size()
    cdef size_t size = 0 if payload is None else PyBytes_GET_SIZE(payload)
    if not buffer.reserve(kHeaderSize + size):
        raise MemoryError
    if size:
        memcpy(buffer.end() + kHeaderSize, PyBytes_AS_STRING(payload), size)
    buffer.set_size(start + kHeaderSize + size)
    if not end_payload(line, buffer, start):
        raise MemoryError
    return 0


cdef bint end_payload(RequestLine* line, ByteBuffer& buffer, size_t start) noexcept nogil:
    if not buffer.reserve(kTagSize):
        return False
    line.place = start
    line.filled = buffer.size() - start - kHeaderSize
    line.state = READ
    buffer.set_size(buffer.size() + kTagSize)
    return True


cdef int place_answer(RequestLine* line, ByteBuffer& buffer, bytes answer) except -1:
    cdef size_t size = PyBytes_GET_SIZE(answer)
    if not buffer.reserve(size):
        raise MemoryError
    line.place = buffer.size()
    memcpy(buffer.end(), PyBytes_AS_STRING(answer), size)
    buffer.set_size(line.place + size)
    line.filled = size
    line.state = REFUSED
    return 0


cdef tuple compile_parts(object parts, dict fields, Part* out, Py_ssize_t* count):
    # Checked in Python unless it is what is usual: a tuple of what is known.
    cdef tuple pieces = parts if type(parts) is tuple and len(parts) <= MOST_PARTS else answer_parts(parts, fields)
    cdef Py_ssize_t i
    count[0] = PyTuple_GET_SIZE(pieces)
    for i in range(count[0]):
        piece = pieces[i]
        if type(piece) is bytes:
            out[i].field = Field.LITERAL
            out[i].text = <const uint8_t*> PyBytes_AS_STRING(piece)
            out[i].size = PyBytes_GET_SIZE(piece)
        else:
            field = fields.get(piece) if type(piece) is str else None
            if field is None:
                (piece,) = answer_parts([piece], fields)
                field = fields[piece]
            out[i].field, out[i].size = field
    return pieces


cdef uint8_t* write_answer(
    const Part* parts, Py_ssize_t count, const RequestLine* line, const uint8_t* placed, int64_t now_ms,
    MomentWriter& issued, MomentWriter& expiry, uint8_t* out,
) noexcept nogil:
    cdef uint64_t expires
    cdef Field field
    cdef Py_ssize_t i
    if line.state == REFUSED:
        memcpy(out, placed, line.filled)
        return out + line.filled
    expires = expires_ms_of(placed)
    for i in range(count):
        field = parts[i].field
        if field == LITERAL:
            memcpy(out, parts[i].text, parts[i].size)
            out += parts[i].size
        elif field == ID:
            out = write_uuid(placed + kIdentifierOffset, out)
        elif field == SIGIL:
            out = spell_text(placed, placed + kHeaderSize + line.filled, out)
        elif field == KEY_ID:
            out = write_hex(placed + 2, 4, out)
        elif field == ISSUED_AT:
            out = issued.write(issued_ms_of(placed), out)
        elif field == EXPIRES_AT:
            if expires == 0:
                out = _write_null(out)
            else:
                out[0] = c'"'
                out = expiry.write(expires, out + 1)
                out[0] = c'"'
                out += 1
        elif field == ISSUED_MS:
            out = write_number(issued_ms_of(placed), out)
        elif field == EXPIRES_MS:
            out = write_number(expires, out)
        elif field == STATUS:
            if expires != 0 and now_ms >= <int64_t> expires:
                memcpy(out, b"expired", 7)
                out += 7
            else:
                memcpy(out, b"active", 6)
                out += 6
        elif field == SHA256:
            out = write_hex(line.digest, 32, out)
        elif line.filled == 0:
            out = _write_null(out)
        else:
            out[0] = c'"'
            out = write_hex(line.digest, 32, out + 1)
            out[0] = c'"'
            out += 1
    return out


cdef uint8_t* _write_null(uint8_t* out) noexcept nogil:
    memcpy(out, b"null", 4)
    return out + 4
