from libc.stdint cimport uint32_t

from sigil_native._hashing cimport HmacState


cdef class AuditKey:
    # Set once, before anybody else can see the object; read by any thread.
    cdef HmacState state
    cdef readonly uint32_t key_id
