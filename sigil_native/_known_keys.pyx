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
        return self._is_current() and self._note_known(lines, buffer, first, last) == last

    cdef int find(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) except -1:
        if not self._is_current():
            # The states of other groups are not looked at any more.
            self.known.clear()
            self.states.clear()
            self.owners = []
            self.changes = self.ring.changes.load()
        first = self._note_known(lines, buffer, first, last)
        while first < last:
            if not self._learn(key_id_of(buffer.data() + lines[first].place)):
                lines[first].cause = UNKNOWN_KEY
                first += 1
            first = self._note_known(lines, buffer, first, last)
        return 0

    cdef bint _is_current(self) noexcept nogil:
        return self.changes == self.ring.changes.load()

    cdef Py_ssize_t _note_known(
        self, vector[RequestLine]& lines, ByteBuffer& buffer, Py_ssize_t first, Py_ssize_t last
    ) noexcept nogil:
        """Note keys up to a line whose key is not known: its place, or the end."""
        cdef RequestLine* line
        cdef const KnownKey* key = NULL
        cdef uint32_t key_id
        cdef Py_ssize_t i
        for i in range(first, last):
            line = &lines[i]
            if line.state != READ or line.cause == FORMAT:
                continue
            key_id = key_id_of(buffer.data() + line.place)
            if key == NULL or key.key_id != key_id:
                key = self._known(key_id)
                if key == NULL:
                    return i
            line.cause, line.key = key.cause, key.place
        return last

    cdef const KnownKey* _known(self, uint32_t key_id) noexcept nogil:
        cdef size_t i
        for i in range(self.known.size()):
            if self.known[i].key_id == key_id:
                return &self.known[i]
        return NULL

    cdef bint _learn(self, uint32_t key_id) except -1:
        """False: the ring has no such key. Others name whatever they like, so that it is not kept."""
        cdef Key key = self.ring.find(key_id)
        cdef TenantKey tenant_key
        cdef KnownKey found
        if key is None:
            return False
        found.key_id, found.place, found.cause = key_id, 0, _usability(key, self.now_ms)
        if found.cause == HOLDS:
            tenant_key = key.for_tenant(self.tenant)
            found.place = <uint32_t> self.states.size()
            self.owners.append(tenant_key)
            self.states.push_back(&tenant_key.state)
        self.known.push_back(found)
        return True


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
