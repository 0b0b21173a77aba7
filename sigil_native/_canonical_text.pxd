"""JSON text to canonical bytes, for other compiled modules."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from sigil_native._json cimport ByteBuffer, Failure, JsonOptions


# Appends the canonical form to `out`. False: `failure` tells why, and `out` is as it was.
cdef bint canonicalize_text(
    const uint8_t* text, size_t size, const JsonOptions& options, ByteBuffer& out, Failure& failure
) noexcept nogil

# Raises what json_options() of _arguments.py raises.
cdef JsonOptions options_of(object integers, object max_depth, object max_bytes) except *

# Builds, but does not raise, the Python error for a failure. `from_str`: the text was a str, so what is
# not UTF-8 in it is a surrogate.
cdef object text_error(const Failure& failure, bint from_str)

# Appends the canonical form of a str or bytes-like to `out`; on an error raises and leaves `out` as it
# was. Releases the GIL on large input. Runs no Python code if `text` is exactly bytes or str.
cdef int write_canonical_text(object text, const JsonOptions& options, ByteBuffer& out) except -1
