from libc.stdint cimport uint32_t

from sigil_native._json cimport ByteBuffer, JsonOptions

# Both append to `out`; on an error they raise and leave `out` as it was.
cdef int write_canonical(object value, ByteBuffer& out, const JsonOptions& options) except -1
cdef int write_stringified(object value, ByteBuffer& out, uint32_t max_depth) except -1
