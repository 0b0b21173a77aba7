# distutils: language = c++
"""The 64 bytes of a sigil as a Python value, and reading and writing its forms."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check, PyUnicode_DATA, PyUnicode_GET_LENGTH
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy
from libcpp cimport bool as cbool

from sigil_native._identifiers cimport uuid_text
from sigil_native._json cimport ByteBuffer

from sigil_native.errors import SigilFormatError


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)

cdef extern from "sigil_format.h" namespace "sigil" nogil:
    cdef enum class FormatProblem(unsigned char):
        none
    cdef cppclass ParsedSigil:
        uint8_t* bytes
        const uint8_t* payload
        size_t payload_size
    const char* format_problem_name(FormatProblem problem)
    FormatProblem parse_sigil(const uint8_t* data, size_t size, cbool binary_allowed, ParsedSigil& out)
    cbool read_base64url(const uint8_t* text, size_t size, uint8_t* out)
    cbool has_unused_bits(const uint8_t* text, size_t size)
    cbool is_base64url_of(const uint8_t* text, size_t size, const uint8_t* bytes, size_t count)
    size_t base64url_decoded_size(size_t characters)
    uint8_t* write_base64url(const uint8_t* bytes, size_t size, uint8_t* out)
    uint8_t* write_text(const uint8_t* header, const uint8_t* tag, uint8_t* out)
    uint8_t* write_strand(const uint8_t* sigil, uint8_t* out)


@cython.final
@cython.freelist(64)
cdef class Sigil:
    """A decoded sigil: 64 bytes, immutable. Made by ``SigilCodec``; ``decode`` reads one.

    The fields are what the sigil claims; only ``SigilCodec.verify`` and its
    relatives say whether they hold.
    """

    def __init__(self):
        raise TypeError("use SigilCodec.decode to read a sigil")

    @property
    def id(self) -> str:
        """The sigil's id, a UUIDv7 in its usual text form."""
        return uuid_text(self.raw + kIdentifierOffset)

    @property
    def key_id(self) -> int:
        """The id of the key that signed, 32 bits."""
        return key_id_of(self.raw)

    @property
    def issued_at(self) -> float:
        """When it was issued, by the signer's clock; seconds since the Unix epoch."""
        return issued_ms_of(self.raw) / 1000

    @property
    def issued_at_ms(self) -> int:
        """When it was issued, in milliseconds since the Unix epoch."""
        return issued_ms_of(self.raw)

    @property
    def expires_at(self) -> float | None:
        """When it expires, in seconds since the Unix epoch; ``None``: never."""
        cdef uint64_t expires = expires_ms_of(self.raw)
        return expires / 1000 if expires else None

    @property
    def expires_at_ms(self) -> int:
        """When it expires, in milliseconds since the Unix epoch; 0: never."""
        return expires_ms_of(self.raw)

    @property
    def header(self) -> bytes:
        """The 32 bytes that the tag covers besides the payload."""
        return self.raw[:32]

    @property
    def tag(self) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return self.raw[32:64]

    @property
    def text(self) -> str:
        """``sgl1_`` and 86 characters of base64url."""
        text = PyUnicode_New(kTextSize, 127)
        write_text(self.raw, self.raw + kHeaderSize, <uint8_t*> PyUnicode_DATA(text))
        return text

    @property
    def strand(self) -> str:
        """256 letters of ``ACGT``, two bits each."""
        text = PyUnicode_New(kStrandSize, 127)
        write_strand(self.raw, <uint8_t*> PyUnicode_DATA(text))
        return text

    def __bytes__(self) -> bytes:
        return self.raw[:64]

    def __eq__(self, other):
        if not isinstance(other, Sigil):
            return NotImplemented
        return memcmp(self.raw, (<Sigil> other).raw, 64) == 0

    def __hash__(self) -> int:
        return hash(self.raw[:64])

    def __repr__(self) -> str:
        return f"<Sigil {self.id} key {self.key_id:08x}>"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return _restore, (self.raw[:64],)


cdef Sigil sigil_of(const uint8_t* raw):
    cdef Sigil sigil = Sigil.__new__(Sigil)
    memcpy(sigil.raw, raw, 64)
    return sigil


def _restore(raw):
    return parse(raw)[0]


def parse(value):
    """Read any form of a sigil: (the sigil, a token's payload or None).

    Raises:
        TypeError: not a Sigil, str or bytes-like.
        SigilFormatError: not a sigil in its canonical spelling.
    """
    cdef ByteBuffer payload
    cdef cbool has_payload = False
    sigil = read_sigil(value, payload, &has_payload)
    if not has_payload:
        return sigil, None
    return sigil, PyBytes_FromStringAndSize(<char*> payload.data(), payload.size())


cdef Sigil read_sigil(object value, ByteBuffer& payload, cbool* has_payload):
    cdef Py_buffer view
    has_payload[0] = False
    if type(value) is Sigil:
        return <Sigil> value
    if PyUnicode_Check(value):
        if PyUnicode_IS_ASCII(value):
            return _read(
                <const uint8_t*> PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value), False, payload, has_payload
            )
        # One byte for each character, so that the length still tells the shape.
        value = str.encode(value, "ascii", "replace")
        return _read(
            <const uint8_t*> PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), False, payload, has_payload
        )
    if PyBytes_CheckExact(value):
        return _read(
            <const uint8_t*> PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), True, payload, has_payload
        )
    try:
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    except (TypeError, BufferError):
        raise TypeError(f"sigil must be Sigil, str or bytes-like, not {type(value).__name__}") from None
    try:
        return _read(<const uint8_t*> view.buf, view.len, True, payload, has_payload)
    finally:
        PyBuffer_Release(&view)


cdef Sigil _read(const uint8_t* data, size_t size, bint binary_allowed, ByteBuffer& payload, cbool* has_payload):
    cdef ParsedSigil parsed
    cdef Carried carried
    cdef FormatProblem problem = parse_sigil(data, size, binary_allowed, parsed)
    if problem != FormatProblem.none:
        raise SigilFormatError(format_problem_name(problem).decode())
    if parsed.payload != NULL:
        carried.text, carried.size = parsed.payload, parsed.payload_size
        if not unspell_payload(&carried, payload):
            raise MemoryError
        has_payload[0] = True
    return sigil_of(parsed.bytes)


cdef bint unspell_sigil(const uint8_t* text, size_t size, uint8_t* out, Carried* carried) noexcept nogil:
    cdef ParsedSigil parsed
    if parse_sigil(text, size, False, parsed) != FormatProblem.none:
        return False
    memcpy(out, parsed.bytes, 64)
    carried.text, carried.size = parsed.payload, parsed.payload_size
    return True


cdef bint unspell_payload(const Carried* carried, ByteBuffer& payload) noexcept nogil:
    payload.clear()
    if not payload.reserve(base64url_decoded_size(carried.size)):
        return False
    read_base64url(carried.text, carried.size, payload.data())
    payload.set_size(base64url_decoded_size(carried.size))
    return True


cdef bint is_payload(const Carried* carried, const uint8_t* payload, size_t size) noexcept nogil:
    return is_base64url_of(carried.text, carried.size, payload, size)


cdef uint8_t* spell_text(const uint8_t* header, const uint8_t* tag, uint8_t* out) noexcept nogil:
    return write_text(header, tag, out)


cdef uint8_t* spell_strand(const uint8_t* sigil, uint8_t* out) noexcept nogil:
    return write_strand(sigil, out)


cdef uint8_t* spell_base64url(const uint8_t* data, size_t size, uint8_t* out) noexcept nogil:
    return write_base64url(data, size, out)


cdef bint unspell_base64url(const uint8_t* text, size_t size, uint8_t* out) noexcept nogil:
    return read_base64url(text, size, out) and not has_unused_bits(text, size)
