# distutils: language = c++
"""The keys that lines name which ask for verdicts, found once for many of them.

Most lines name the same few keys. Whether these are still as they were found is told without the GIL, by the ring's
count of its changes.
"""

cimport cython
from libc.stddef cimport size_t

from sigil_native._keyring cimport Key, KeyState, TenantKey
from sigil_native._request_lines cimport READ
from sigil_native._sealing cimport check_tenant
from sigil_native._sigil cimport key_id_of
from sigil_native._verify_lines cimport (
    FORMAT,
    HOLDS,
    KEY_NOT_YET_VALID,
    RETIRED_KEY,
    REVOKED_KEY,
    UNKNOWN_KEY,
)


@cython.final
@cython.auto_pickle(False)
cdef class KnownKeys:
    """Keys of a ring that may have made seals, for one tenant and by one clock.

    What it tells lines of must not outlive it: it owns the keys.
    """

    cdef bint note(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) noexcept nogil:
        cdef RequestLine* line
        cdef const KnownKey* key = NULL
        cdef uint32_t key_id
        cdef Py_ssize_t i
        if self.changes != self.ring.changes.load():
            return False
        for i in range(first, last):
            line = &lines[i]
            if line.state != READ or line.cause == FORMAT:
                continue
            key_id = key_id_of(buffer.data() + line.place)
            if key == NULL or key.key_id != key_id:
                key = self._known(key_id)
                if key == NULL:
                    return False
            line.cause, line.key = key.cause, key.place
        return True

    cdef int find(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) except -1:
        cdef RequestLine* line
        cdef const KnownKey* key = NULL
        cdef uint32_t key_id
        cdef Py_ssize_t i
        if self.changes != self.ring.changes.load():
            # The states of other groups are not looked at any more.
            self.known.clear()
            self.states.clear()
            self.owners = []
            self.changes = self.ring.changes.load()
        for i in range(first, last):
            line = &lines[i]
            if line.state != READ or line.cause == FORMAT:
                continue
            key_id = key_id_of(buffer.data() + line.place)
            if key == NULL or key.key_id != key_id:
                key = self._known(key_id)
                if key == NULL:
                    key = self._find_key(key_id)
            if key == NULL:
                line.cause = UNKNOWN_KEY
            else:
                line.cause, line.key = key.cause, key.place
        return 0

    cdef const KnownKey* _known(self, uint32_t key_id) noexcept nogil:
        cdef size_t i
        for i in range(self.known.size()):
            if self.known[i].key_id == key_id:
                return &self.known[i]
        return NULL

    cdef const KnownKey* _find_key(self, uint32_t key_id) except? NULL:
        """NULL: the ring has none. Others name whatever they like, so that it is not noted."""
        cdef Key key = self.ring.find(key_id)
        cdef TenantKey tenant_key
        cdef KnownKey found
        if key is None:
            return NULL
        found.key_id, found.place, found.cause = key_id, 0, _usability(key, self.now_ms)
        if found.cause == HOLDS:
            tenant_key = key.for_tenant(self.tenant)
            found.place = <uint32_t> self.states.size()
            self.owners.append(tenant_key)
            self.states.push_back(&tenant_key.state)
        self.known.push_back(found)
        return &self.known.back()


cdef KnownKeys keys_for(KeyRing ring, object tenant, int64_t now_ms):
    cdef KnownKeys keys = KnownKeys.__new__(KnownKeys)
    check_tenant(tenant)
    keys.ring = ring
    keys.tenant = tenant
    keys.now_ms = now_ms
    keys.owners = []
    keys.changes = ring.changes.load()
    return keys


cdef Cause _usability(Key key, int64_t now_ms) noexcept:
    if key.state == KeyState.REVOKED:
        return REVOKED_KEY
    if now_ms < key.not_before_ms:
        return KEY_NOT_YET_VALID
    if now_ms >= key.retire_at_ms:
        return RETIRED_KEY
    return HOLDS
