"""Keys and writers of audit logs, for other compiled modules."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from sigil_native._hashing cimport HmacState


cdef class AuditKey:
    # Set once, before anybody else can see the object; read by any thread.
    cdef HmacState state
    cdef readonly uint32_t key_id


cdef class AuditChain:
    cdef AuditKey key
    # The place: number and tag of the last line. They change together, while the GIL is held.
    cdef uint64_t last_sequence
    cdef uint8_t last_tag[32]

    cdef bytes _lines(self, list batch, bint begin, bint numbered)
