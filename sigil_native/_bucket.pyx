"""Token buckets in a table without locks, in memory of this process or shared by several."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.atomic cimport atomic

from sigil_native._python_objects cimport (
    PyUnicode_CheckExact,
    PyUnicode_GET_LENGTH,
    PyUnicode_IS_COMPACT_ASCII,
    sigil_ascii_data,
)

from sigil_native._arguments import (
    bucket_capacity,
    bucket_clock,
    bucket_cost,
    bucket_key,
    bucket_keys,
    check_full_policy,
)
from sigil_native._decision import Decision
from sigil_native._token_time import TokenTime as Units
from sigil_native.errors import BucketFileError


cdef extern from "clock.h" namespace "sigil" nogil:
    int64_t monotonic_ns() noexcept

#: Keys that are hashed, and their lines of memory asked for, before the first is looked at.
cdef enum:
    GROUP = 32
    ENTRY_SIZE = 16

cdef double NEVER = float("inf")


@cython.final
@cython.auto_pickle(False)
cdef class TokenBucket:
    """Token buckets for any number of keys, each full at first.

    See ``docs/library.md``. All methods may be called from any thread. The memory lives as long as the object.

    Args:
        rate: tokens a second that come back; at most 10^9.
        burst: tokens that a full bucket holds.
        capacity: keys for which there is room at once, 32 bytes each.
        path: of a file that processes share, best in ``/dev/shm``; None for memory of this process.
        fresh: whether to begin with full buckets although the file has others.
        when_full: what becomes of new keys while there is no room, "refuse" or "allow".
        clock: nanoseconds from any moment on; the system's monotonic clock by default.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: an argument out of range.
        BucketFileError: the file holds something else, or others can use it.
        OSError: the file cannot be made, or there is no memory.
    """

    def __cinit__(
        self,
        rate,
        burst,
        *,
        capacity=1 << 20,
        path=None,
        fresh=False,
        when_full="refuse",
        clock=None,
    ):
        # Here, because most programs that import the library make no buckets.
        from sigil_native._bucket_memory import HEADER_SIZE, STAMPS_OFFSET, Layout, process_memory, shared_memory

        units = Units(rate, burst)
        self.own_rate = rate
        self.own_capacity = bucket_capacity(capacity)
        self.allows_when_full = check_full_policy(when_full)
        self.clock = bucket_clock(clock)
        self.time = TokenTime(units.multiplier, units.token, units.burst)
        cdef size_t count = entries_for(self.own_capacity)
        layout = Layout(
            self.own_capacity,
            units.multiplier,
            units.token,
            units.burst,
            self.allows_when_full,
            HEADER_SIZE + count * ENTRY_SIZE,
        )
        now = self.read_clock()
        if path is None:
            memory = process_memory(layout, now)
        elif kSharedPairs:
            memory = shared_memory(path, layout, now, fresh=bool(fresh))
        else:
            raise BucketFileError("unsupported")
        self.epoch = memory.epoch
        self.hash_key.low = int.from_bytes(memory.hash_key[:8], "little")
        self.hash_key.high = int.from_bytes(memory.hash_key[8:], "little")
        # The buffer keeps the mapping, and is given back when the object goes.
        PyObject_GetBuffer(memory.map, &self.memory, PyBUF_WRITABLE)
        cdef uint8_t* start = <uint8_t*> self.memory.buf
        cdef size_t entries = HEADER_SIZE, stamps = STAMPS_OFFSET
        self.table = BucketTable(
            <Pair*> (start + entries),
            count,
            <atomic[uint64_t]*> (start + stamps),
            self.time,
            self.epoch,
            self.clock is None,
        )

    def __dealloc__(self):
        if self.memory.buf != NULL:
            PyBuffer_Release(&self.memory)

    def __repr__(self):
        return f"TokenBucket(rate={self.own_rate!r}, burst={self.burst})"

    def __reduce__(self):
        raise TypeError("TokenBucket cannot be pickled")

    @property
    def rate(self):
        """Tokens a second that come back."""
        return self.own_rate

    @property
    def burst(self):
        """Tokens that a full bucket holds."""
        return self.time.burst()

    @property
    def capacity(self):
        """Keys for which there is room at once."""
        return self.own_capacity

    @property
    def full(self):
        """How often a new key of this object found no room."""
        return self.full_count.load()

    def acquire(self, key, cost=1):
        """Take tokens if they are there; whether they were."""
        cdef BucketVerdict verdict
        self.take(key, cost, &verdict)
        return verdict.granted

    def check(self, key, cost=1):
        """Take tokens if they are there, and tell how things stand after it. A cost of 0 only looks."""
        cdef BucketVerdict verdict
        self.take(key, cost, &verdict)
        return self.decision(verdict)

    def acquire_many(self, keys, cost=1):
        """Take tokens from the bucket of each key, one after the other, all at one moment."""
        cdef list items = bucket_keys(keys)
        cdef list granted = []
        cdef int64_t tokens = cost_of(cost)
        cdef int64_t now = self.now()
        cdef Text[GROUP] texts
        cdef cbool[GROUP] verdicts
        cdef Py_ssize_t start, i, count
        for item in items:
            find_text(item, &texts[0])  # nothing is taken if one is no key
        for start in range(0, len(items), GROUP):
            count = min(<Py_ssize_t> GROUP, len(items) - start)
            for i in range(count):
                find_text(items[start + i], &texts[i])
            with nogil:
                self.take_group(texts, count, now, tokens, verdicts)
            for i in range(count):
                granted.append(<bint> verdicts[i])
        return granted

    def refund(self, key, cost=1):
        """Give back tokens that were taken and not used; a bucket gets no fuller than full."""
        self.give_back(self.hash_of(key), cost_of(cost))

    def live_keys(self):
        """Keys whose buckets are not full now. Looks at the whole table: a millisecond for a million."""
        cdef int64_t now = self.now()
        cdef size_t count
        with nogil:
            count = self.table.live(now)
        return count

    cdef int64_t now(self) except? -1:
        return self.time.grains(self.read_clock() - self.epoch)

    cdef int64_t read_clock(self) except? -1:
        if self.clock is None:
            return monotonic_ns()
        return self.clock()

    cdef uint64_t hash_of(self, object key) except? 0:
        cdef Text text
        find_text(key, &text)
        return siphash(self.hash_key, text.data, text.size)

    cdef int take(self, object key, object cost, BucketVerdict* verdict) except -1:
        cdef Text text
        find_text(key, &text)
        cdef int64_t tokens = 1 if cost is ONE else cost_of(cost)
        cdef int64_t now = self.now()
        verdict[0] = judge(self, siphash(self.hash_key, text.data, text.size), now, tokens)
        return 0

    cdef void give_back(self, uint64_t hash, int64_t tokens) noexcept nogil:
        self.table.refund(hash, min(tokens, self.time.burst()))

    cdef object decision(self, const BucketVerdict& verdict):
        return Decision(
            verdict.granted,
            self.time.burst(),
            (self.time.most() - verdict.debt) // self.time.token(),
            NEVER if verdict.wait < 0 else self.time.seconds(verdict.wait),
            self.time.seconds(verdict.debt),
        )

    cdef BucketVerdict judged(self, uint64_t hash, int64_t now, int64_t tokens) noexcept nogil:
        return judge(self, hash, now, tokens)

    cdef void take_group(
        self, const Text* texts, Py_ssize_t count, int64_t now, int64_t tokens, cbool* granted
    ) noexcept nogil:
        cdef uint64_t[GROUP] hashes
        cdef Py_ssize_t i
        for i in range(count):
            hashes[i] = siphash(self.hash_key, texts[i].data, texts[i].size)
            self.table.prefetch(hashes[i])
        for i in range(count):
            granted[i] = judge(self, hashes[i], now, tokens).granted


cdef object ONE = 1


def siphash13(key, data):
    """SipHash-1-3 of bytes under a key of 16 bytes; the tests compare it with Python's own."""
    cdef SipKey words
    cdef Text text
    find_text(data, &text)
    words.low = int.from_bytes(key[:8], "little")
    words.high = int.from_bytes(key[8:16], "little")
    return siphash(words, text.data, text.size)


# A function, which is inlined here, unlike a method.
cdef inline BucketVerdict judge(TokenBucket bucket, uint64_t hash, int64_t now, int64_t tokens) noexcept nogil:
    cdef BucketVerdict verdict
    if tokens > bucket.time.burst():
        verdict = bucket.table.take(hash, now, 0)
        verdict.granted = False
        verdict.wait = -1
        return verdict
    verdict = bucket.table.take(hash, now, tokens)
    if not verdict.has_room:
        bucket.full_count.fetch_add(1)
        if bucket.allows_when_full:
            verdict.granted = True
            verdict.debt = 0
            verdict.wait = 0
    return verdict


cdef int64_t cost_of(object cost) except -1:
    """A cost; one beyond every burst as the highest there is."""
    if cost is ONE:
        return 1
    value = bucket_cost(cost)
    return value if value < (1 << 62) else 1 << 62


cdef inline int find_text(object key, Text* text) except -1:
    """Find the text of a key. It lies in the key itself."""
    if PyUnicode_CheckExact(<PyObject*> key) and PyUnicode_IS_COMPACT_ASCII(<PyObject*> key):
        text.data = sigil_ascii_data(<PyObject*> key)
        text.size = <size_t> PyUnicode_GET_LENGTH(<PyObject*> key)
        return 0
    return find_unusual_text(key, text)


cdef int find_unusual_text(object key, Text* text) except -1:
    cdef const char* data
    cdef Py_ssize_t size
    if isinstance(key, bytes):
        text.data = <const uint8_t*> PyBytes_AS_STRING(key)
        text.size = <size_t> PyBytes_GET_SIZE(key)
        return 0
    if not isinstance(key, str):
        bucket_key(key)
    try:
        data = PyUnicode_AsUTF8AndSize(key, &size)
    except UnicodeEncodeError:
        bucket_key(key)
        raise
    text.data = <const uint8_t*> data
    text.size = <size_t> size
    return 0


cdef extern from "Python.h":
    # Kept with the str, and gone with it.
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
