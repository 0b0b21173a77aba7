# distutils: language = c++
"""What is done with lines that ask for verdicts, without a Python object and without the GIL.

Lines are read, and judged in groups whose hashes are computed side by side. Whoever calls sees to it that nobody
else is at the same lines.
"""

from libc.string cimport memcmp, memcpy, memset

from sigil_native._hashing cimport (
    GROUP_SIZE,
    DigestMessage,
    HmacMessage,
    equal_bytes,
    hmac_digest_many,
    sha256_digest_many,
)
from sigil_native._request_lines cimport (
    DONE,
    READ,
    REFUSED,
    UNREAD,
    MomentWriter,
    read_payload,
    write_answer,
)
from sigil_native._sigil cimport (
    Carried,
    expires_ms_of,
    is_payload,
    issued_ms_of,
    kHeaderSize,
    kTagSize,
    unspell_payload,
    unspell_sigil,
)


cdef extern from "verify_line.h" namespace "sigil" nogil:
    cdef struct PlainVerifyRequest:
        const uint8_t* sigil
        size_t sigil_size
        const uint8_t* payload
        size_t size
    bint read_plain_verify_request(const uint8_t* line, size_t size, PlainVerifyRequest& out) noexcept
    bint read_lone_sigil(const uint8_t* line, size_t size, PlainVerifyRequest& out) noexcept
    bint read_verify_line(const uint8_t* line, size_t size, PlainVerifyRequest& out) noexcept


cdef bint is_proven(const RequestLine* line) noexcept nogil:
    return line.cause == HOLDS or line.cause == ISSUED_IN_FUTURE or line.cause == EXPIRED


cdef void place_seal(RequestLine* line, uint8_t* placed, const uint8_t* seal) noexcept nogil:
    """Put a seal around its payload, header and tag."""
    memcpy(placed, seal, kHeaderSize)
    memcpy(placed + kHeaderSize + line.filled, seal + kHeaderSize, kTagSize)


cdef void place_nothing(RequestLine* line, uint8_t* placed) noexcept nogil:
    """It is no sigil."""
    memset(placed, 0, kHeaderSize)
    memset(placed + kHeaderSize + line.filled, 0, kTagSize)
    line.cause = FORMAT


cdef void place_sigil(
    RequestLine* line, ByteBuffer& buffer, const uint8_t* seal, bint is_token, ByteBuffer& carried
) noexcept nogil:
    cdef uint8_t* placed = buffer.data() + line.place
    place_seal(line, placed, seal)
    line.altered = is_token and (
        carried.size() != line.filled or memcmp(carried.data(), placed + kHeaderSize, line.filled) != 0
    )


cdef void _place_spelled(
    RequestLine* line, ByteBuffer& buffer, const uint8_t* seal, const Carried* carried
) noexcept nogil:
    """The same as ``place_sigil``, of what a token carries as it is spelled."""
    cdef uint8_t* placed = buffer.data() + line.place
    place_seal(line, placed, seal)
    if carried.text != NULL:
        line.altered = not is_payload(carried, placed + kHeaderSize, line.filled)


cdef bint read_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """False: no memory."""
    cdef PlainVerifyRequest request
    cdef JsonOptions options
    cdef ByteBuffer decoded
    cdef Carried carried
    cdef uint8_t[64] seal
    cdef RequestLine* line
    cdef int status
    cdef Py_ssize_t i
    for i in range(first, last):
        line = &lines[i]
        if line.state != UNREAD:
            continue
        if read_plain_verify_request(text + line.begin, line.size, request):
            status = read_payload(line, buffer, request.payload, request.size, options)
            if status < 0:
                return False
            if status == 0:
                continue
            if unspell_sigil(request.sigil, request.sigil_size, seal, &carried):
                _place_spelled(line, buffer, seal, &carried)
            else:
                place_nothing(line, buffer.data() + line.place)
        elif read_lone_sigil(text + line.begin, line.size, request):
            if not _read_token(line, buffer, request, decoded):
                return False
    return True


cdef bint _read_token(
    RequestLine* line, ByteBuffer& buffer, const PlainVerifyRequest& request, ByteBuffer& decoded
) noexcept nogil:
    """Read a token that stands alone, and carries JSON. False: no memory."""
    cdef JsonOptions exact
    cdef Carried carried
    cdef uint8_t[64] seal
    cdef int status
    exact.exact_integers = True
    if not unspell_sigil(request.sigil, request.sigil_size, seal, &carried) or carried.text == NULL:
        return True
    if not unspell_payload(&carried, decoded):
        return False
    status = read_payload(line, buffer, decoded.data(), decoded.size(), exact)
    if status > 0:
        place_sigil(line, buffer, seal, True, decoded)
    return status >= 0


cdef bint read_lines_of_values(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, const JsonOptions& options
) noexcept nogil:
    cdef PlainVerifyRequest request
    cdef Carried carried
    cdef uint8_t[64] seal
    cdef RequestLine* line
    cdef int status
    cdef size_t i
    for i in range(lines.size()):
        line = &lines[i]
        # The limit is one of the line, as it is where a line is read as a whole.
        if line.size > options.max_bytes or not read_verify_line(text + line.begin, line.size, request):
            continue
        if not unspell_sigil(request.sigil, request.sigil_size, seal, &carried):
            continue
        status = read_payload(line, buffer, request.payload, request.size, options)
        if status < 0:
            return False
        if status > 0:
            _place_spelled(line, buffer, seal, &carried)
    return True


cdef void judge_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const vector[const HmacState*]& keys,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, int64_t skew_ms, bint digests,
) noexcept nogil:
    cdef Py_ssize_t end, i
    cdef uint32_t key
    while first < last:
        end = min(first + GROUP_SIZE, last)
        if digests:
            _digest_group(lines, buffer, first, end)
        for i in range(first, end):
            if lines[i].state == READ and lines[i].cause != HOLDS:
                lines[i].state = DONE
        for key in range(<uint32_t> keys.size()):
            _judge_group(lines, buffer, key, keys[key], first, end, now_ms, skew_ms)
        first = end


cdef void _digest_group(
    vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Hash the payloads of a group."""
    cdef DigestMessage[GROUP_SIZE] payloads
    cdef RequestLine* line
    cdef size_t count = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        line = &lines[i]
        if line.state == READ and line.filled:
            payloads[count].data = buffer.data() + line.place + kHeaderSize
            payloads[count].size = line.filled
            payloads[count].digest = line.digest
            count += 1
    sha256_digest_many(payloads, count)


cdef void _judge_group(
    vector[RequestLine]& lines, ByteBuffer& buffer, uint32_t key, const HmacState* state,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, int64_t skew_ms,
) noexcept nogil:
    """Judge those of a group that name a key, in the order of ``judge`` in _sealing.pyx."""
    cdef uint8_t[GROUP_SIZE * 32] tags
    cdef HmacMessage[GROUP_SIZE] messages
    cdef RequestLine* line
    cdef const uint8_t* header
    cdef size_t count = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        line = &lines[i]
        if line.state == READ and line.key == key:
            messages[count].data = buffer.data() + line.place
            messages[count].size = kHeaderSize + line.filled
            messages[count].tag = tags + count * 32
            count += 1
    if count == 0:
        return
    hmac_digest_many(state, messages, count)
    count = 0
    for i in range(first, last):
        line = &lines[i]
        if line.state != READ or line.key != key:
            continue
        header = buffer.data() + line.place
        if not equal_bytes(tags + count * 32, header + kHeaderSize + line.filled, kTagSize) or line.altered:
            line.cause = TAG_MISMATCH
        elif <int64_t> issued_ms_of(header) > now_ms + skew_ms:
            line.cause = ISSUED_IN_FUTURE
        elif expires_ms_of(header) != 0 and <uint64_t> now_ms >= expires_ms_of(header):
            line.cause = EXPIRED
        line.state = DONE
        count += 1


cdef uint8_t* answer_lines(
    const vector[RequestLine]& lines, const ByteBuffer& buffer, vector[Kind]& kinds,
    const vector[uint32_t]& places, Py_ssize_t first, Py_ssize_t last, uint8_t* out,
) noexcept nogil:
    cdef MomentWriter issued
    cdef MomentWriter expiry
    cdef Kind* kind
    cdef Part* parts = NULL
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        if lines[i].state != REFUSED:
            kind = &kinds[places[i - first]]
            parts, count = kind.parts, kind.count
        out = write_answer(parts, count, &lines[i], buffer.data() + lines[i].place, 0, issued, expiry, out)
    return out
