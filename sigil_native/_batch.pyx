# distutils: language = c++
"""Many payloads a call: canonicalised into one buffer, signed together, the GIL released.

Payloads are taken in groups, as _hashing.pxd says.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from sigil_native._canonical_text cimport canonicalize_text, text_error
from sigil_native._canonical_values cimport write_canonical
from sigil_native._hashing cimport GROUP_BYTES, GROUP_SIZE, HmacMessage, hmac_digest_many
from sigil_native._identifiers cimport no_random_bytes, uuid7_fill
from sigil_native._json cimport ByteBuffer, Failure, JsonOptions
from sigil_native._keyring cimport Key, KeyRing, TenantKey
from sigil_native._request_lines cimport FoundLine, LineWalker
from sigil_native._sealing cimport Form, check_tenant, form_of, lifetime_of, render, write_lifetime
from sigil_native._sigil cimport (
    base64url_size,
    kHeaderSize,
    kIdentifierOffset,
    kStrandSize,
    kTagSize,
    kTextSize,
    spell_base64url,
    spell_strand,
    spell_text,
    write_header,
)

from sigil_native._arguments import check_line_form, payload_list, text_bytes
from sigil_native.errors import CanonicalizationError, NoActiveKeyError, at_index


cdef extern from "thread_buffer.h" namespace "sigil" nogil:
    const size_t kKeptBuffer
    ByteBuffer& spare_buffer() noexcept


cdef enum:
    # A result of this size is worth the cost of letting other threads run while it is copied.
    RELEASE_SIZE = 16384


cdef struct Seal:
    size_t offset  # of the header within the group's buffer
    size_t size  # of header and payload
    size_t refusal_size  # 0, or the size of the line that stands there because the payload is bad


@cython.final
@cython.auto_pickle(False)
cdef class Group:
    """Seals in the making, one after the other in one buffer."""

    cdef ByteBuffer buffer
    cdef Seal seals[GROUP_SIZE]
    cdef Py_ssize_t count
    cdef Key key
    cdef TenantKey tenant_key
    cdef int64_t lifetime_ms

    cdef bint is_full(self) noexcept nogil:
        return self.count == GROUP_SIZE or self.buffer.size() >= GROUP_BYTES

    cdef void clear(self) noexcept nogil:
        self.buffer.clear()
        self.count = 0

    cdef bint begin(self) noexcept nogil:
        """Room for a header; the payload is written behind it. False: no memory."""
        if not self.buffer.reserve(kHeaderSize):
            return False
        self.seals[self.count].offset = self.buffer.size()
        self.buffer.set_size(self.buffer.size() + kHeaderSize)
        return True

    cdef bint end(self) noexcept nogil:
        """The payload is written: room for the tag. False: no memory."""
        if not self.buffer.reserve(kTagSize):
            return False
        self.seals[self.count].size = self.buffer.size() - self.seals[self.count].offset
        self.seals[self.count].refusal_size = 0
        self.buffer.set_size(self.buffer.size() + kTagSize)
        self.count += 1
        return True

    cdef int refuse(self, bytes line) except -1:
        """Put a line that tells why in the place of what ``begin`` opened."""
        self.buffer.set_size(self.seals[self.count].offset)
        if not self.buffer.reserve(len(line)):
            raise MemoryError
        memcpy(self.buffer.end(), <const char*> line, len(line))
        self.buffer.set_size(self.buffer.size() + len(line))
        self.seals[self.count].refusal_size = len(line)
        self.count += 1
        return 0

    cdef bint has_payloads(self) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.count):
            if not self.seals[i].refusal_size:
                return True
        return False

    cdef int sign(self) except -1 nogil:
        cdef uint8_t identifiers[GROUP_SIZE * 16]
        cdef HmacMessage messages[GROUP_SIZE]
        cdef size_t good = 0
        cdef Py_ssize_t i
        cdef uint8_t* header
        if self.key is None:
            with gil:
                raise NoActiveKeyError
        if not uuid7_fill(identifiers, self.count, 16):
            with gil:
                raise no_random_bytes()
        for i in range(self.count):
            if self.seals[i].refusal_size:
                continue
            header = self.buffer.data() + self.seals[i].offset
            write_header(header, self.key.key_id)
            memcpy(header + kIdentifierOffset, identifiers + good * 16, 16)
            if self.lifetime_ms:
                write_lifetime(header, self.lifetime_ms)
            messages[good].data = header
            messages[good].size = self.seals[i].size
            messages[good].tag = header + self.seals[i].size
            good += 1
        hmac_digest_many(&self.tenant_key.state, messages, good)
        return 0


cdef Group _group_for(KeyRing ring, object tenant, object expires_in):
    cdef Group group = Group.__new__(Group)
    check_tenant(tenant)
    group.lifetime_ms = lifetime_of(expires_in)
    group.key = ring.signing_key()
    if group.key is not None:
        group.tenant_key = group.key.for_tenant(tenant)
    return group


cdef list encode_values(
    KeyRing ring, const JsonOptions& options, object payloads, object tenant, object expires_in, object form
):
    cdef Group group = _group_for(ring, tenant, expires_in)
    cdef Form wanted = form_of(form)
    cdef list sigils = []
    cdef Py_ssize_t index = -1
    for index, payload in enumerate(payload_list(payloads)):
        if not group.begin():
            raise MemoryError
        try:
            write_canonical(payload, group.buffer, options)
        except CanonicalizationError as error:
            raise at_index(error, index) from None
        if not group.end():
            raise MemoryError
        if group.is_full():
            _sign_and_render(group, wanted, sigils)
    if group.count:
        _sign_and_render(group, wanted, sigils)
    if group.key is None and index >= 0:
        raise NoActiveKeyError
    return sigils


cdef int _sign_and_render(Group group, Form form, list sigils) except -1:
    cdef Py_ssize_t i
    if group.key is None:
        group.clear()
        return 0
    with nogil:
        group.sign()
    for i in range(group.count):
        sigils.append(render(form, group.buffer.data() + group.seals[i].offset, group.seals[i].size))
    group.clear()
    return 0


cdef bytes encode_lines(
    KeyRing ring, const JsonOptions& options, object lines, object tenant, object expires_in, object form
):
    cdef Group group = _group_for(ring, tenant, expires_in)
    cdef Form wanted = _line_form(form)
    cdef bytes text = text_bytes(lines, "lines")
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(text)
    cdef LineWalker walker = LineWalker(start, PyBytes_GET_SIZE(text), 1)
    cdef ByteBuffer out
    cdef Failure failure
    cdef bint bad = True
    out.swap(spare_buffer())
    out.clear()
    # Lines of events make about half as many bytes of sigils: grown once, not by doubling.
    if not out.reserve(PyBytes_GET_SIZE(text) // 2):
        raise MemoryError
    while bad:
        with nogil:
            bad = _encode_up_to_a_bad_line(group, walker, start, options, wanted, out, failure)
        if bad:
            group.refuse(_error_line(text_error(failure, isinstance(lines, str))))
    results = _bytes_of(out)
    out.shrink_if_above(kKeptBuffer)
    out.swap(spare_buffer())
    return results


cdef bytes _bytes_of(ByteBuffer& out):
    cdef bytes copied
    cdef char* to
    if out.size() < RELEASE_SIZE:
        return PyBytes_FromStringAndSize(<const char*> out.data(), out.size())
    copied = PyBytes_FromStringAndSize(NULL, out.size())
    to = PyBytes_AS_STRING(copied)
    with nogil:
        memcpy(to, out.data(), out.size())
    return copied


cdef bint _encode_up_to_a_bad_line(
    Group group, LineWalker& walker, const uint8_t* text, const JsonOptions& options, Form form, ByteBuffer& out,
    Failure& failure,
) except -1 nogil:
    """Seal and write lines; True: one is bad, `failure` tells why and its place is open; False: all are done."""
    cdef FoundLine line
    while True:
        while not group.is_full() and walker.next(line):
            if not group.begin():
                with gil:
                    raise MemoryError
            if not canonicalize_text(text + line.begin, line.size, options, group.buffer, failure):
                return True
            if not group.end():
                with gil:
                    raise MemoryError
        if group.count == 0:
            return False
        if group.has_payloads():
            group.sign()
        if not _write_lines(group, form, out):
            with gil:
                raise MemoryError
        group.clear()


cdef Form _line_form(object form) except *:
    check_line_form(form)
    return form_of(form)


cdef size_t _line_size(Form form, size_t size) noexcept nogil:
    if form == Form.STRAND:
        return kStrandSize + 1
    if form == Form.TEXT:
        return kTextSize + 1
    return kTextSize + 1 + base64url_size(size - kHeaderSize) + 1


cdef bint _write_lines(Group group, Form form, ByteBuffer& out) noexcept nogil:
    """Append the group's results. False: no memory."""
    cdef Py_ssize_t i
    cdef Seal* seal
    cdef const uint8_t* start
    for i in range(group.count):
        seal = &group.seals[i]
        start = group.buffer.data() + seal.offset
        if seal.refusal_size:
            if not out.reserve(seal.refusal_size):
                return False
            memcpy(out.end(), start, seal.refusal_size)
            out.set_size(out.size() + seal.refusal_size)
        else:
            if not out.reserve(_line_size(form, seal.size)):
                return False
            out.set_end(_write_line(form, start, seal.size, out.end()))
    return True


cdef uint8_t* _write_line(Form form, const uint8_t* sealed, size_t size, uint8_t* out) noexcept nogil:
    cdef uint8_t seal[64]
    if form == Form.STRAND:
        memcpy(seal, sealed, kHeaderSize)
        memcpy(seal + kHeaderSize, sealed + size, kTagSize)
        out = spell_strand(seal, out)
    else:
        out = spell_text(sealed, sealed + size, out)
    if form == Form.TOKEN:
        out[0] = c"."
        out = spell_base64url(sealed + kHeaderSize, size - kHeaderSize, out + 1)
    out[0] = c"\n"
    return out + 1


cdef bytes json_line(dict members):
    import json  # here, because it would be a third of the time that importing the package takes

    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


cdef bytes _error_line(object error):
    return json_line(
        {"error": error.code, "message": str(error), "pointer": error.pointer, "offset": error.offset}
    )
