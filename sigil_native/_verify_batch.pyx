# distutils: language = c++
"""Many sigils a call: payloads canonicalised into one buffer, and judged together without the GIL.

They are taken in groups, as _hashing.pxd says. Of lines of JSON the plain ones are read and answered without a Python
object and without the GIL; the others are read one by one, as a whole, and judged with their group.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport SIZE_MAX, int64_t, uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from sigil_native._batch cimport json_line
from sigil_native._canonical_text cimport canonicalize_text, text_error
from sigil_native._canonical_values cimport write_canonical
from sigil_native._hashing cimport GROUP_BYTES, GROUP_SIZE
from sigil_native._json cimport ByteBuffer, Failure, JsonOptions
from sigil_native._keyring cimport KeyRing
from sigil_native._known_keys cimport KnownKeys, keys_for
from sigil_native._request_lines cimport (
    REFUSED,
    UNREAD,
    Field,
    FoundLine,
    LineWalker,
    RequestLine,
    end_payload,
    kLongestInteger,
    kUuidTextSize,
    place_answer,
    place_payload,
    unread_line,
)
from sigil_native._sigil cimport Sigil, kHeaderSize, read_sigil
from sigil_native._verify_lines cimport (
    HOLDS,
    Kind,
    answer_lines,
    judge_lines,
    place_sigil,
    read_lines_of_values,
)
from sigil_native._verify_requests cimport compile_kind

from sigil_native._arguments import text_bytes
from sigil_native._constants import LINE_RULE
from sigil_native._request_arguments import VERDICT_ERRORS
from sigil_native.errors import CanonicalizationError, InvalidLineError, SigilError, VerificationError, at_index


cdef enum:
    # A line that is read as a whole, and a group of values, of this size are worth the cost of letting other threads
    # run.
    RELEASE_SIZE = 16384
    RELEASE_GROUP = 2048

# What stands in a line about a sigil that holds, each with the longest of what it comes to.
cdef dict FIELDS = {
    "id": (Field.ID, kUuidTextSize),
    "key_id": (Field.KEY_ID, 8),
    "issued_at_ms": (Field.ISSUED_MS, kLongestInteger),
    "expires_at_ms": (Field.EXPIRES_MS, kLongestInteger),
}

# The lines about what was read, by their causes; and what these are made of.
cdef vector[Kind] TOLD
cdef list PARTS = []


cdef enum Progress:
    FINISHED
    WAITING  # for the GIL: there is something in a group that only Python can do
    OUT_OF_MEMORY


@cython.final
@cython.auto_pickle(False)
cdef class Verdicts:
    """Seals in a group, on their way to a verdict: one after the other in one buffer."""

    cdef vector[RequestLine] lines
    cdef ByteBuffer buffer
    cdef JsonOptions options
    cdef KnownKeys keys
    cdef int64_t now_ms, skew_ms
    cdef vector[uint32_t] places  # among TOLD

    cdef void clear(self) noexcept nogil:
        self.lines.clear()
        self.buffer.clear()

    cdef bint is_full(self) noexcept nogil:
        return self.lines.size() == GROUP_SIZE or self.buffer.size() >= GROUP_BYTES

    cdef void judge(self) noexcept nogil:
        judge_lines(
            self.lines, self.buffer, self.keys.states, 0, self.lines.size(), self.now_ms, self.skew_ms, False
        )

    # -- values

    cdef Sigil take(self, object value, object payload, Py_ssize_t index):
        """Read a pair; `index` is its place in the call."""
        cdef ByteBuffer carried
        cdef cbool is_token = False
        cdef Sigil sigil = read_sigil(value, carried, &is_token)
        cdef size_t start = self.buffer.size()
        cdef RequestLine line = unread_line(FoundLine(index, 0, 0))
        if not self.buffer.reserve(kHeaderSize):
            raise MemoryError
        self.buffer.set_size(start + kHeaderSize)
        try:
            write_canonical(payload, self.buffer, self.options)
        except CanonicalizationError:
            self.buffer.set_size(start)
            raise
        if not end_payload(&line, self.buffer, start):
            raise MemoryError
        place_sigil(&line, self.buffer, sigil.raw, is_token, carried)
        self.lines.push_back(line)
        return sigil

    cdef int settle(self, list outcomes) except -1:
        """Judge the pairs of a group: an error takes the place of each sigil that does not hold."""
        cdef RequestLine* line
        cdef Py_ssize_t place
        cdef size_t i
        self.keys.find(self.lines, self.buffer, 0, self.lines.size())
        if self.buffer.size() < RELEASE_GROUP:
            self.judge()
        else:
            with nogil:
                self.judge()
        for i in range(self.lines.size()):
            line = &self.lines[i]
            if line.cause != HOLDS:
                place = line.number
                outcomes[place] = VERDICT_ERRORS[line.cause](outcomes[place])
        self.clear()
        return 0

    # -- lines

    cdef Progress advance(self, LineWalker& walker, const uint8_t* text, ByteBuffer& out) noexcept nogil:
        """Judge and answer group by group."""
        while self.find_lines(walker):
            if not read_lines_of_values(self.lines, self.buffer, text, self.options):
                return OUT_OF_MEMORY
            if self.has_unread() or not self.keys.note(self.lines, self.buffer, 0, self.lines.size()):
                return WAITING
            if not self.answer(out):
                return OUT_OF_MEMORY
        return FINISHED

    cdef bint find_lines(self, LineWalker& walker) noexcept nogil:
        """Begin a group. False: there is no line left."""
        cdef FoundLine found
        cdef size_t size = 0
        self.clear()
        while self.lines.size() < GROUP_SIZE and size < GROUP_BYTES and walker.next(found):
            self.lines.push_back(unread_line(found))
            size += found.size
        return not self.lines.empty()

    cdef bint has_unread(self) noexcept nogil:
        cdef size_t i
        for i in range(self.lines.size()):
            if self.lines[i].state == UNREAD:
                return True
        return False

    cdef int read_others(self, const uint8_t* text, bint from_str) except -1:
        """Read those lines of a group that are left, and find all keys."""
        cdef size_t i
        for i in range(self.lines.size()):
            if self.lines[i].state == UNREAD:
                self.read_other(&self.lines[i], text + self.lines[i].begin, from_str)
        return self.keys.find(self.lines, self.buffer, 0, self.lines.size())

    cdef int read_other(self, RequestLine* line, const uint8_t* text, bint from_str) except -1:
        cdef ByteBuffer carried
        cdef cbool is_token = False
        cdef Sigil sigil
        try:
            spelling, payload = _members_of(text, line.size, self.options, from_str)
            sigil = read_sigil(spelling, carried, &is_token)
        except SigilError as error:
            place_answer(
                line, self.buffer, json_line({"valid": False, "error": error.code, "message": str(error)})
            )
        else:
            place_payload(line, self.buffer, payload)
            place_sigil(line, self.buffer, sigil.raw, is_token, carried)
        return 0

    cdef bint answer(self, ByteBuffer& out) noexcept nogil:
        """Judge a group, and append its lines. False: no memory."""
        cdef const RequestLine* line
        cdef size_t size = 0
        cdef size_t i
        self.judge()
        for i in range(self.lines.size()):
            line = &self.lines[i]
            self.places[i] = line.cause
            size += line.filled if line.state == REFUSED else TOLD[line.cause].longest
        if not out.reserve(size):
            return False
        out.set_end(
            answer_lines(self.lines, self.buffer, TOLD, self.places, 0, self.lines.size(), out.end())
        )
        return True


cdef Verdicts _verdicts_for(
    KeyRing ring, const JsonOptions& options, object tenant, int64_t now_ms, int64_t skew_ms
):
    cdef Verdicts group = Verdicts.__new__(Verdicts)
    group.keys = keys_for(ring, tenant, now_ms)
    group.options = options
    group.now_ms = now_ms
    group.skew_ms = skew_ms
    # Here, so that nothing can go wrong with them without the GIL.
    group.lines.reserve(GROUP_SIZE)
    group.places.resize(GROUP_SIZE)
    return group


cdef list verify_values(
    KeyRing ring, const JsonOptions& options, list sigils, list payloads, object tenant,
    int64_t now_ms, int64_t skew_ms,
):
    cdef Verdicts group = _verdicts_for(ring, options, tenant, now_ms, skew_ms)
    cdef list outcomes = []
    cdef Py_ssize_t index
    for index in range(len(sigils)):
        try:
            outcomes.append(group.take(sigils[index], payloads[index], index))
        except CanonicalizationError as error:
            outcomes.append(at_index(error, index))
        except SigilError as error:
            outcomes.append(error)
        if group.is_full():
            group.settle(outcomes)
    group.settle(outcomes)
    return outcomes


cdef bytes verify_lines(
    KeyRing ring, const JsonOptions& options, object lines, object tenant, int64_t now_ms, int64_t skew_ms
):
    cdef bytes text = text_bytes(lines, "lines")
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(text)
    cdef bint from_str = isinstance(lines, str)
    cdef LineWalker walker = LineWalker(start, PyBytes_GET_SIZE(text), 1)
    cdef Verdicts group = _verdicts_for(ring, options, tenant, now_ms, skew_ms)
    cdef Progress progress
    cdef ByteBuffer out
    cdef bint done
    # Lines about events make about half as many bytes: grown once, not by doubling.
    if not out.reserve(PyBytes_GET_SIZE(text) // 2):
        raise MemoryError
    while True:
        with nogil:
            progress = group.advance(walker, start, out)
        if progress == FINISHED:
            return PyBytes_FromStringAndSize(<char*> out.data(), out.size())
        if progress == OUT_OF_MEMORY:
            raise MemoryError
        group.read_others(start, from_str)
        with nogil:
            done = group.answer(out)
        if not done:
            raise MemoryError


# -- lines that are read as a whole --------------------------------------------------


cdef tuple _members_of(const uint8_t* text, size_t size, const JsonOptions& options, bint from_str):
    """The sigil's spelling and the canonical payload of a line."""
    cdef JsonOptions line_options = options
    cdef JsonOptions exact = options
    # The payload stands one level down in its line.
    line_options.max_depth += 1
    spelling, payload = _split_line(_canonical(text, size, line_options, from_str))
    # What lies between the two members' names is one value only if it is its own canonical form;
    # a large float is written without a point, so integers are taken as they are, and so a
    # canonical form may be longer than its text.
    exact.exact_integers = True
    exact.max_bytes = SIZE_MAX
    try:
        again = _canonical(<const uint8_t*> PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), exact, False)
    except SigilError:
        again = None
    if again != payload:
        raise InvalidLineError(LINE_RULE)
    return spelling, payload


cdef bytes _canonical(const uint8_t* text, size_t size, const JsonOptions& options, bint from_str):
    cdef ByteBuffer out
    cdef Failure failure
    cdef bint done
    if size < RELEASE_SIZE:
        done = canonicalize_text(text, size, options, out, failure)
    else:
        with nogil:
            done = canonicalize_text(text, size, options, out, failure)
    if not done:
        raise text_error(failure, from_str)
    return PyBytes_FromStringAndSize(<char*> out.data(), out.size())


cdef tuple _split_line(bytes line):
    """The sigil's spelling and the payload of a canonical line ``{"data":…,"sigil":"…"}``."""
    at = line.rfind(b',"sigil":"')
    if at < 8 or not line.startswith(b'{"data":') or not line.endswith(b'"}'):
        raise InvalidLineError(LINE_RULE)
    spelling = line[at + 10 : -2]
    if b'"' in spelling or b"\\" in spelling:
        import json

        try:
            return json.loads(b'"' + spelling + b'"'), line[8:at]
        except ValueError:
            raise InvalidLineError(LINE_RULE) from None
    return spelling.decode(), line[8:at]


# -- what is told of lines that were read --------------------------------------------


cdef tuple _parts_about(object error):
    if error is None:
        return (
            b'{"valid":true,"id":"', "id", b'","key_id":"', "key_id", b'","issued_at_ms":', "issued_at_ms",
            b',"expires_at_ms":', "expires_at_ms", b"}\n",
        )
    if not issubclass(error, VerificationError):
        return ()  # no sigil: the line was not read
    # Nothing here needs an escape.
    return (f'{{"valid":false,"error":"{error.code}","message":"{error(None)}"}}\n'.encode(),)


for _error in VERDICT_ERRORS:
    PARTS.append(compile_kind(_parts_about(_error), FIELDS, TOLD))
