from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.atomic cimport atomic

from sigil_native._hashing cimport HmacState


cdef enum KeyState:
    ACTIVE
    VERIFY_ONLY
    REVOKED


cdef class TenantKey:
    """A key derived for one tenant; its bytes live in the midstates alone."""
    cdef HmacState state


cdef class Key:
    """One secret of a ring, kept as the HKDF key that the tenants' keys are expanded from."""
    cdef HmacState expander
    cdef readonly uint32_t key_id
    cdef KeyState state
    cdef int64_t not_before_ms, retire_at_ms  # -1 and INT64_MAX: no bound
    # Two generations: the young one fills up, then becomes the old one.
    cdef dict young, old
    # The tenant looked up last, and its key: callers keep to one object for a name, and it is known at a glance.
    cdef object latest_name
    cdef TenantKey latest_key
    cdef Py_ssize_t generation_size

    cdef TenantKey for_tenant(self, object tenant)
    cdef TenantKey _derive(self, object tenant)


cdef class KeyRing:
    cdef list _keys                  # of Key, in order of addition
    cdef dict _by_id                 # key id -> Key
    cdef Py_ssize_t _tenant_cache_size
    # The key that signs, and the span of time for which that is known.
    cdef Key _signing
    cdef int64_t _signing_from_ms, _signing_until_ms
    # Counts the changes, for those who look without the GIL whether what they know of the keys is still so.
    cdef atomic[uint64_t] changes

    cdef Key signing_key(self)       # None: no key may sign now
    cdef Key find(self, uint32_t key_id)  # None when unknown
