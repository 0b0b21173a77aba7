# distutils: language = c++
"""Secrets, their states and lifetimes, and the tenant keys derived from them."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t

from sigil_native._hashing cimport HmacState, hmac_digest, hmac_init, wipe

from sigil_native._arguments import (
    cache_size,
    check_key_state,
    key_id_number,
    moment_ms,
    secret_bytes,
    tenant_bytes,
)
from sigil_native._constants import (
    DEFAULT_TENANT_CACHE_SIZE,
    HKDF_KEY_ID_INFO,
    HKDF_SALT,
    HKDF_TENANT_PREFIX,
    KEY_STATES,
)
from sigil_native.errors import DuplicateKeyError, NoSuchKeyError


cdef extern from "clock.h" namespace "sigil" nogil:
    int64_t wall_clock_ms()


cdef int _extract(HmacState* expander, bytes secret) except -1:
    """HKDF-Extract (RFC 5869 §2.2): the pseudorandom key is HMAC(salt, secret)."""
    cdef HmacState extractor
    cdef uint8_t extracted[32]
    cdef bytes salt = HKDF_SALT
    hmac_init(&extractor, <const uint8_t*> PyBytes_AS_STRING(salt), PyBytes_GET_SIZE(salt))
    hmac_digest(&extractor, <const uint8_t*> PyBytes_AS_STRING(secret), PyBytes_GET_SIZE(secret), extracted)
    hmac_init(expander, extracted, 32)
    wipe(extracted, 32)
    return 0


cdef int _expand(const HmacState* expander, bytes info, uint8_t* okm) except -1:
    """HKDF-Expand for one block of output (RFC 5869 §2.3)."""
    block = info + b"\x01"
    hmac_digest(expander, <const uint8_t*> PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block), okm)
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class TenantKey:

    def __dealloc__(self):
        wipe(&self.state, sizeof(HmacState))


@cython.final
@cython.auto_pickle(False)
cdef class Key:

    def __cinit__(self):
        self.young = {}
        self.old = {}

    def __dealloc__(self):
        wipe(&self.expander, sizeof(HmacState))

    cdef TenantKey for_tenant(self, object tenant):
        """The tenant's key; raises TypeError or InvalidTenantError."""
        cdef PyObject* found
        if tenant is self.latest_name and tenant is not None:
            return self.latest_key
        if type(tenant) is str:
            found = PyDict_GetItem(self.young, tenant)
            if found != NULL:
                self.latest_key = <TenantKey> found
                self.latest_name = tenant
                return self.latest_key
        return self._derive(tenant)

    cdef TenantKey _derive(self, object tenant):
        cdef uint8_t derived[32]
        cdef TenantKey key
        name = tenant_bytes(tenant)
        key = self.old.get(name.decode())
        if key is None:
            key = TenantKey.__new__(TenantKey)
            _expand(&self.expander, HKDF_TENANT_PREFIX + name, derived)
            hmac_init(&key.state, derived, 32)
            wipe(derived, 32)
        if len(self.young) >= self.generation_size:
            self.old = self.young
            self.young = {}
        self.young[name.decode()] = key
        return key

    def info(self):
        from sigil_native._keyinfo import KeyInfo

        return KeyInfo(
            self.key_id,
            KEY_STATES[<int> self.state],
            self.not_before_ms / 1000 if self.not_before_ms >= 0 else None,
            self.retire_at_ms / 1000 if self.retire_at_ms != INT64_MAX else None,
        )


cdef Key _make_key(object secret, object state, object not_before, object retire_at, Py_ssize_t cached):
    cdef Key key = Key.__new__(Key)
    cdef uint8_t identifier[32]
    cdef bytes raw = secret_bytes(secret)
    try:
        check_key_state(state)
        start = moment_ms(not_before, "not_before")
        end = moment_ms(retire_at, "retire_at")
        _extract(&key.expander, raw)
    finally:
        # A copy made for us alone: nobody else holds it.
        wipe(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
    _expand(&key.expander, HKDF_KEY_ID_INFO, identifier)
    key.key_id = (
        <uint32_t> identifier[0] << 24 | <uint32_t> identifier[1] << 16
        | <uint32_t> identifier[2] << 8 | <uint32_t> identifier[3]
    )
    key.state = <KeyState> <int> KEY_STATES.index(state)
    key.not_before_ms = -1 if start is None else start
    key.retire_at_ms = INT64_MAX if end is None else end
    key.generation_size = max(1, cached // 2)
    return key


@cython.final
@cython.auto_pickle(False)
cdef class KeyRing:
    """The secrets of a signer or verifier, with their states and lifetimes.

    A key is ``"active"`` (signs and verifies), ``"verify-only"`` or
    ``"revoked"``; it is good from ``not_before`` until ``retire_at``, judged by
    the clock of whoever uses the ring. Of several keys that may sign, the one
    with the latest ``not_before`` does, and of equals the one added last.
    Secrets cannot be read back, copied or pickled.

    Args:
        tenant_cache_size: derived tenant keys kept for each key, at most.
    """

    def __cinit__(self):
        # Here, so that a ring that was never initialised is an empty one.
        self._keys = []
        self._by_id = {}
        self._note_change()

    def __init__(self, *, tenant_cache_size=DEFAULT_TENANT_CACHE_SIZE):
        self._tenant_cache_size = cache_size(tenant_cache_size)

    @classmethod
    def load(cls, path):
        """Read a key ring file.

        Raises:
            KeyRingFormatError: the file does not follow its format; the message
                names the entry, never its secret.
            OSError: the file cannot be read.
        """
        from sigil_native import _keyfile  # here, because few programs load a file and all import this

        ring = cls()
        for entry in _keyfile.read_key_ring_file(path):
            ring.add(entry.secret, entry.state, entry.not_before, entry.retire_at)
        return ring

    def add(self, secret, state="active", not_before=None, retire_at=None) -> int:
        """Add a secret and return its key id.

        Args:
            secret: at least 32 bytes, or a str of at least 32 bytes of UTF-8.
            state: ``"active"``, ``"verify-only"`` or ``"revoked"``.
            not_before: from when the key is good; seconds since the Unix epoch.
            retire_at: until when the key is good; seconds since the Unix epoch.

        Raises:
            TypeError: an argument of a wrong type.
            WeakSecretError: fewer than 32 bytes.
            InvalidOptionError: unknown state, or a time out of range.
            DuplicateKeyError: the ring already holds a key with this id.
        """
        cdef Key key = _make_key(secret, state, not_before, retire_at, self._tenant_cache_size)
        self._append(key)
        return key.key_id

    def rotate(self, secret, *, retire_previous_at=None) -> int:
        """Add a secret as the active key; keys active so far only verify from now on.

        To change over at a time to come, ``add`` the next key with that time as
        its ``not_before`` instead.

        Args:
            secret: as for ``add``.
            retire_previous_at: until when the keys active so far verify; seconds
                since the Unix epoch, ``None`` leaves their own time.

        Raises:
            The errors of ``add``; the ring is then unchanged.
        """
        cdef Key key, previous
        key = _make_key(secret, "active", None, None, self._tenant_cache_size)
        end = moment_ms(retire_previous_at, "retire_previous_at")
        demoted = [one for one in self._keys if (<Key> one).state == KeyState.ACTIVE]
        self._append(key)
        for previous in demoted:
            previous.state = KeyState.VERIFY_ONLY
            if end is not None:
                previous.retire_at_ms = end
        self._note_change()
        return key.key_id

    def revoke(self, key_id) -> None:
        """Refuse everything that the key signed, from now on.

        Raises:
            NoSuchKeyError: the ring holds no such key.
        """
        key = self._by_id.get(key_id_number(key_id))
        if key is None:
            raise NoSuchKeyError(f"the ring holds no key {key_id:08x}")
        (<Key> key).state = KeyState.REVOKED
        self._note_change()

    def keys(self) -> list:
        """The keys in the order in which they were added, without their secrets."""
        return [key.info() for key in self._keys]

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        count = len(self._keys)
        return f"<KeyRing of {count} key{'' if count == 1 else 's'}>"

    def __reduce_ex__(self, protocol):
        raise TypeError("KeyRing holds secrets and cannot be copied or pickled")

    def __copy__(self):
        raise TypeError("KeyRing holds secrets and cannot be copied or pickled")

    def __deepcopy__(self, memo):
        raise TypeError("KeyRing holds secrets and cannot be copied or pickled")

    def _append(self, Key key):
        if key.key_id in self._by_id:
            raise DuplicateKeyError(f"the ring already holds key {key.key_id:08x}")
        self._keys.append(key)
        self._by_id[key.key_id] = key
        self._note_change()

    def _note_change(self):
        self.changes.fetch_add(1)
        self._signing = None
        self._signing_from_ms = INT64_MAX
        self._signing_until_ms = 0

    cdef Key signing_key(self):
        cdef Key key, best = None
        cdef int64_t now, edge
        # A key without bounds, alone, is known for all time: no clock needed.
        if self._signing_from_ms == 0 and self._signing_until_ms == INT64_MAX:
            return self._signing
        now = wall_clock_ms()
        if self._signing_from_ms <= now < self._signing_until_ms:
            return self._signing
        self._signing_from_ms = 0
        self._signing_until_ms = INT64_MAX
        for key in self._keys:
            if key.state != KeyState.ACTIVE:
                continue
            for edge in (key.not_before_ms, key.retire_at_ms):
                if edge <= now:
                    self._signing_from_ms = max(self._signing_from_ms, edge)
                else:
                    self._signing_until_ms = min(self._signing_until_ms, edge)
            if key.not_before_ms <= now < key.retire_at_ms and (
                best is None or max(key.not_before_ms, 0) >= max(best.not_before_ms, 0)
            ):
                best = key
        self._signing = best
        return best

    cdef Key find(self, uint32_t key_id):
        if self._signing is not None and self._signing.key_id == key_id:
            return self._signing
        return self._by_id.get(key_id)
