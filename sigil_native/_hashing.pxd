"""What other compiled modules may use of ``_hashing``, without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    # Messages that are worth hashing together: at most so many, and no more once they have so many bytes. They are
    # enough to find some of equal length among, and stay in cache.
    GROUP_SIZE = 128
    GROUP_BYTES = 262144
    # From here on a message is worth the cost of giving up the GIL.
    WITHOUT_GIL = 2048

# Only types: the functions behind them are linked into _hashing alone.
cdef extern from "hmac.h" namespace "sigil" nogil:
    # The midstates of a key: as secret as the key itself. wipe() it after use.
    cdef struct HmacState:
        uint32_t[8] inner
        uint32_t[8] outer

    cdef struct HmacMessage:
        const uint8_t* data
        size_t size
        uint8_t* tag  # room for 32 bytes

cdef extern from "sha256.h" namespace "sigil" nogil:
    cdef struct DigestMessage:
        const uint8_t* data
        size_t size
        uint8_t* digest  # room for 32 bytes


cdef void sha256_digest(const uint8_t* data, size_t size, uint8_t* digest) noexcept nogil
# Quicker than one at a time; the order of the messages does not matter.
cdef void sha256_digest_many(const DigestMessage* messages, size_t count) noexcept nogil
# A key of any length (RFC 2104); the 32-byte minimum is HmacKey's.
cdef void hmac_init(HmacState* state, const uint8_t* key, size_t size) noexcept nogil
cdef void hmac_digest(
    const HmacState* state, const uint8_t* data, size_t size, uint8_t* tag
) noexcept nogil
# The same for who holds the GIL: others may have it while a long message is hashed.
cdef inline void hmac_digest_with_gil(
    const HmacState* state, const uint8_t* data, size_t size, uint8_t* tag
) noexcept:
    if size < WITHOUT_GIL:
        hmac_digest(state, data, size, tag)
    else:
        with nogil:
            hmac_digest(state, data, size, tag)
# Quicker than one at a time; the order of the messages does not matter.
cdef void hmac_digest_many(
    const HmacState* state, const HmacMessage* messages, size_t count
) noexcept nogil
# RFC 5869; `length` is at most 8160.
cdef void hkdf(
    const uint8_t* secret, size_t secret_size,
    const uint8_t* salt, size_t salt_size,
    const uint8_t* info, size_t info_size,
    uint8_t* out, size_t length,
) noexcept nogil
# In constant time.
cdef bint equal_bytes(const uint8_t* left, const uint8_t* right, size_t size) noexcept nogil
cdef void wipe(void* memory, size_t size) noexcept nogil


cdef class HmacKey:
    # Set once, before anybody else can see the object; read by any thread.
    cdef HmacState state
