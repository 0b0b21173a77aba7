"""Event signatures: the hex of an HMAC over the event's text, without a header.

Those of Node programs, ``createHmac("sha256", secret).update(JSON.stringify(event))``,
are the ones with ``text="json-stringify"``.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from sigil_native._canonical_values cimport write_canonical, write_stringified
from sigil_native._hashing cimport HmacKey, HmacState, equal_bytes, hmac_digest_with_gil, hmac_init, wipe
from sigil_native._json cimport ByteBuffer, JsonOptions

from sigil_native._arguments import check_signed_text, secret_bytes
from sigil_native._constants import DEFAULT_MAX_DEPTH, SIGNED_TEXTS

cdef extern from "record_text.h" namespace "sigil" nogil:
    uint8_t* write_hex(const uint8_t* data, size_t size, uint8_t* out) noexcept

cdef extern from "value_scratch.h" namespace "sigil" nogil:
    cdef cppclass ValueScratch:
        ByteBuffer text
        void trim()
    ValueScratch& value_scratch()

cdef object JCS = SIGNED_TEXTS[0]
cdef object DEPTH = DEFAULT_MAX_DEPTH
cdef size_t TAG_SIZE = 32
cdef size_t HEX_SIZE = 64


def sign_event(payload, key, *, text=JCS):
    """Sign an event.

    Args:
        payload: a value that ``canonicalize`` accepts.
        key: an ``HmacKey``, or a secret of at least 32 bytes as it takes one.
        text: ``"jcs"`` signs the RFC 8785 form; ``"json-stringify"`` the bytes of
            ECMAScript's ``JSON.stringify(payload)``.

    Returns:
        HMAC-SHA-256 as 64 lower-case hex characters.

    Raises:
        CanonicalizationError: the payload has no such text.
        WeakSecretError: the secret is too short.
        InvalidOptionError: ``text`` is unknown.
        TypeError: an argument has a wrong type.
    """
    cdef uint8_t signature[64]
    sign(payload, key, text, signature)
    return (<char*> signature)[:HEX_SIZE].decode("ascii")


def verify_event(payload, signature, key, *, text=JCS):
    """Whether an event's signature is right; compared in constant time.

    A signature that is not 64 lower-case hex characters is wrong.

    Raises:
        SigilError: as for ``sign_event``.
        TypeError: an argument has a wrong type.
    """
    cdef uint8_t actual[64]
    cdef bytes claimed = signature_bytes(signature)
    sign(payload, key, text, actual)
    # The signature is 64 lower-case hex characters, so what equals it is too.
    return PyBytes_GET_SIZE(claimed) == <Py_ssize_t> HEX_SIZE and equal_bytes(
        actual, <const uint8_t*> PyBytes_AS_STRING(claimed), HEX_SIZE
    )


cdef bytes signature_bytes(object signature):
    if isinstance(signature, str):
        return str.encode(signature, "utf-8", "surrogatepass")
    try:
        return memoryview(signature).tobytes()
    except TypeError:
        raise TypeError(f"signature must be str or bytes-like, not {type(signature).__name__}") from None


cdef int sign(object payload, object key, object text, uint8_t* signature) except -1:
    cdef HmacState state
    cdef bytes secret
    if text is not JCS:
        check_signed_text(text)
    if isinstance(key, HmacKey):
        return sign_with(&(<HmacKey> key).state, payload, text, signature)
    secret = secret_bytes(key)
    hmac_init(&state, <const uint8_t*> PyBytes_AS_STRING(secret), <size_t> PyBytes_GET_SIZE(secret))
    # A copy made for us alone: nobody else holds it.
    wipe(PyBytes_AS_STRING(secret), <size_t> PyBytes_GET_SIZE(secret))
    try:
        return sign_with(&state, payload, text, signature)
    finally:
        wipe(&state, sizeof(HmacState))


cdef int sign_with(const HmacState* state, object payload, object text, uint8_t* signature) except -1:
    cdef ValueScratch* scratch = &value_scratch()
    cdef JsonOptions options
    cdef uint8_t tag[32]
    # Asked first: a subclass of str compares by Python code, which could sign as well.
    cdef bint is_canonical = text is JCS or text == JCS
    scratch.text.clear()
    try:
        if is_canonical:
            write_canonical(payload, scratch.text, options)
        else:
            write_stringified(payload, scratch.text, DEPTH)
        hmac_digest_with_gil(state, scratch.text.data(), scratch.text.size(), tag)
    finally:
        scratch.trim()
    write_hex(tag, TAG_SIZE, signature)
    return 0
