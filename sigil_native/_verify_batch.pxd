"""Many sigils a call, for the codec."""

from libc.stdint cimport int64_t

from sigil_native._json cimport JsonOptions
from sigil_native._keyring cimport KeyRing


# Each raises what is wrong with an argument; a sigil that does not hold is none. The options are the codec's.

# A Sigil or a SigilError for each pair. The lists are as long as each other, and nobody else's.
cdef list verify_values(
    KeyRing ring, const JsonOptions& options, list sigils, list payloads, object tenant,
    int64_t now_ms, int64_t skew_ms,
)
# A line for each line.
cdef bytes verify_lines(
    KeyRing ring, const JsonOptions& options, object lines, object tenant, int64_t now_ms, int64_t skew_ms
)
