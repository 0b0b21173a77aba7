from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

from sigil_native._json cimport ByteBuffer


cdef extern from "sigil_format.h" namespace "sigil" nogil:
    # The inline part of the header: what a module may use without linking sigil_format.cpp.
    const size_t kSigilSize
    const size_t kHeaderSize
    const size_t kTagSize
    const size_t kIdentifierOffset
    const size_t kTextSize
    const size_t kStrandSize
    uint32_t key_id_of(const uint8_t* sigil)
    uint64_t expires_ms_of(const uint8_t* sigil)
    uint64_t issued_ms_of(const uint8_t* sigil)
    void write_header(uint8_t* header, uint32_t key_id)
    void write_expiry(uint8_t* header, uint64_t expires_ms)
    size_t base64url_size(size_t count)


cdef class Sigil:
    cdef uint8_t raw[64]


cdef Sigil sigil_of(const uint8_t* raw)

# Reads a Sigil, str or bytes-like. A token's payload is decoded into `payload`
# and `has_payload` set; raises TypeError, SigilFormatError or MemoryError.
cdef Sigil read_sigil(object value, ByteBuffer& payload, cbool* has_payload)

# What a token carries, as it is spelled; NULL: there is no token.
cdef struct Carried:
    const uint8_t* text
    size_t size

# Reads text, a strand or a token into 64 bytes. False: it is none of them.
cdef bint unspell_sigil(const uint8_t* text, size_t size, uint8_t* out, Carried* carried) noexcept nogil
# Reads what such a token carries, in the place of what was in a buffer. False: no memory.
cdef bint unspell_payload(const Carried* carried, ByteBuffer& payload) noexcept nogil
# Whether what a token carries is this very payload.
cdef bint is_payload(const Carried* carried, const uint8_t* payload, size_t size) noexcept nogil
cdef uint8_t* spell_text(const uint8_t* header, const uint8_t* tag, uint8_t* out) noexcept nogil
cdef uint8_t* spell_strand(const uint8_t* sigil, uint8_t* out) noexcept nogil
cdef uint8_t* spell_base64url(const uint8_t* data, size_t size, uint8_t* out) noexcept nogil
# False: the text is not of the alphabet, or not the one spelling of its bytes, and `out` means nothing.
cdef bint unspell_base64url(const uint8_t* text, size_t size, uint8_t* out) noexcept nogil
