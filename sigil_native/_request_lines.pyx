# distutils: language = c++
"""What is done with lines that ask for seals, without a Python object and without the GIL.

Lines are read, sealed in groups whose hashes are computed side by side, and answered. Whoever calls
sees to it that nobody else is at the same lines.
"""

from libc.string cimport memcpy

from sigil_native._canonical_text cimport canonicalize_text
from sigil_native._hashing cimport DigestMessage, HmacMessage, hmac_digest_many, sha256_digest_many
from sigil_native._identifiers cimport uuid7_fill
from sigil_native._json cimport Failure, JsonOptions
from sigil_native._sealing cimport write_lifetime
from sigil_native._sigil cimport (
    expires_ms_of,
    issued_ms_of,
    kHeaderSize,
    kIdentifierOffset,
    kTagSize,
    spell_text,
    write_header,
)


cdef extern from "request_line.h" namespace "sigil" nogil:
    cdef struct PlainRequest:
        const uint8_t* payload
        size_t size
        int64_t lifetime_ms
    bint read_plain_request(const uint8_t* line, size_t size, PlainRequest& out) noexcept

cdef extern from "record_text.h" namespace "sigil" nogil:
    uint8_t* write_hex(const uint8_t* data, size_t size, uint8_t* out) noexcept
    uint8_t* write_uuid(const uint8_t* id, uint8_t* out) noexcept
    cdef cppclass MomentWriter:
        MomentWriter() noexcept
        uint8_t* write(uint64_t milliseconds, uint8_t* out) noexcept


cdef enum:
    # Seals that are hashed together: they stay in cache.
    GROUP_SIZE = 128


cdef bint read_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const uint8_t* text, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """False: no memory."""
    cdef PlainRequest request
    cdef JsonOptions options
    cdef Failure failure
    cdef RequestLine* line
    cdef size_t start
    cdef size_t size = 0
    cdef Py_ssize_t i
    for i in range(first, last):
        size += lines[i].size + kHeaderSize + kTagSize
    if not buffer.reserve(size):
        return False
    for i in range(first, last):
        line = &lines[i]
        if line.state != UNREAD or not read_plain_request(text + line.begin, line.size, request):
            continue
        start = buffer.size()
        if not buffer.reserve(kHeaderSize):
            return False
        buffer.set_size(start + kHeaderSize)
        if not canonicalize_text(request.payload, request.size, options, buffer, failure):
            buffer.set_size(start)
            continue
        line.filled = buffer.size() - start - kHeaderSize
        if not buffer.reserve(kTagSize):
            return False
        buffer.set_size(buffer.size() + kTagSize)
        line.place = start
        line.lifetime_ms = request.lifetime_ms
        line.state = READ
    return True


cdef bint seal_lines(
    vector[RequestLine]& lines, ByteBuffer& buffer, const HmacState* tenant_key, uint32_t key_id,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """False: the system gave no randomness."""
    while first < last:
        if not _seal_group(lines, buffer, tenant_key, key_id, first, min(first + GROUP_SIZE, last)):
            return False
        first += GROUP_SIZE
    return True


cdef bint _seal_group(
    vector[RequestLine]& lines, ByteBuffer& buffer, const HmacState* tenant_key, uint32_t key_id,
    Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """False: the system gave no randomness."""
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
        line.state = SEALED
        count += 1
    sha256_digest_many(payloads, count)
    hmac_digest_many(tenant_key, messages, count)
    return True


cdef uint8_t* answer_lines(
    const vector[RequestLine]& lines, const ByteBuffer& buffer, const Part* parts, Py_ssize_t count,
    Py_ssize_t first, Py_ssize_t last, int64_t now_ms, uint8_t* out,
) noexcept nogil:
    """Write the answers, for which there is room. Returns their end."""
    cdef MomentWriter issued
    cdef MomentWriter expiry
    cdef const RequestLine* line
    cdef const uint8_t* placed
    cdef Py_ssize_t i
    for i in range(first, last):
        line = &lines[i]
        placed = buffer.data() + line.place
        if line.state == REFUSED:
            memcpy(out, placed, line.filled)
            out += line.filled
        else:
            out = _write_answer(parts, count, line, placed, now_ms, issued, expiry, out)
    return out


cdef uint8_t* _write_answer(
    const Part* parts, Py_ssize_t count, const RequestLine* line, const uint8_t* header, int64_t now_ms,
    MomentWriter& issued, MomentWriter& expiry, uint8_t* out,
) noexcept nogil:
    cdef uint8_t[64] seal
    cdef uint64_t expires = expires_ms_of(header)
    cdef Field field
    cdef Py_ssize_t i
    for i in range(count):
        field = parts[i].field
        if field == LITERAL:
            memcpy(out, parts[i].text, parts[i].size)
            out += parts[i].size
        elif field == ID:
            out = write_uuid(header + kIdentifierOffset, out)
        elif field == SIGIL:
            memcpy(seal, header, kHeaderSize)
            memcpy(seal + kHeaderSize, header + kHeaderSize + line.filled, kTagSize)
            out = spell_text(seal, out)
        elif field == KEY_ID:
            out = write_hex(header + 2, 4, out)
        elif field == ISSUED_AT:
            out = issued.write(issued_ms_of(header), out)
        elif field == EXPIRES_AT:
            if expires == 0:
                memcpy(out, b"null", 4)
                out += 4
            else:
                out[0] = c'"'
                out = expiry.write(expires, out + 1)
                out[0] = c'"'
                out += 1
        elif field == STATUS:
            if expires != 0 and now_ms >= <int64_t> expires:
                memcpy(out, b"expired", 7)
                out += 7
            else:
                memcpy(out, b"active", 6)
                out += 6
        else:
            out = write_hex(line.digest, 32, out)
    return out
