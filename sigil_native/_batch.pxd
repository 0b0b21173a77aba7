from sigil_native._json cimport JsonOptions
from sigil_native._keyring cimport KeyRing


cdef list encode_values(
    KeyRing ring, const JsonOptions& options, object payloads, object tenant, object expires_in, object form
)
cdef bytes encode_lines(
    KeyRing ring, const JsonOptions& options, object lines, object tenant, object expires_in, object form
)
# A line of compact JSON.
cdef bytes json_line(dict members)
