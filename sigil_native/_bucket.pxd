from cpython.buffer cimport Py_buffer
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.atomic cimport atomic


cdef extern from "siphash.h" namespace "sigil" nogil:
    cppclass SipKey:
        uint64_t low
        uint64_t high
    uint64_t siphash(const SipKey& key, const uint8_t* data, size_t size) noexcept

cdef extern from "token_time.h" namespace "sigil" nogil:
    cppclass TokenTime:
        TokenTime()
        TokenTime(uint64_t multiplier, int64_t token, int64_t burst)
        int64_t token()
        int64_t burst()
        int64_t most()
        int64_t grains(int64_t nanoseconds)
        double seconds(int64_t grains)

cdef extern from "bucket_table.h" namespace "sigil" nogil:
    cppclass Pair:
        pass
    cppclass BucketVerdict:
        cbool granted
        cbool has_room
        int64_t debt
        int64_t wait
    cppclass BucketTable:
        BucketTable()
        BucketTable(
            Pair* entries,
            size_t count,
            atomic[uint64_t]* stamps,
            const TokenTime& time,
            int64_t epoch,
            cbool system_clock,
        )
        void prefetch(uint64_t hash)
        BucketVerdict take(uint64_t hash, int64_t now, int64_t tokens)
        void refund(uint64_t hash, int64_t tokens)
        size_t live(int64_t now)
    const bint kSharedPairs
    size_t entries_for "sigil::BucketTable::entries_for"(size_t capacity)


# The text of a key, which lives as long as the key.
cdef struct Text:
    const uint8_t* data
    size_t size


cdef class TokenBucket:
    cdef BucketTable table
    cdef TokenTime time
    cdef SipKey hash_key
    cdef int64_t epoch
    cdef bint allows_when_full
    cdef object clock, own_rate, own_capacity
    cdef Py_buffer memory
    cdef atomic[uint64_t] full_count

    # Now, in this bucket's token time.
    cdef int64_t now(self) except? -1
    cdef int64_t read_clock(self) except? -1
    # What a key goes by in the table.
    cdef uint64_t hash_of(self, object key) except? 0
    cdef int take(self, object key, object cost, BucketVerdict* verdict) except -1
    cdef BucketVerdict judged(self, uint64_t hash, int64_t now, int64_t tokens) noexcept nogil
    cdef void give_back(self, uint64_t hash, int64_t tokens) noexcept nogil
    cdef object decision(self, const BucketVerdict& verdict)
    cdef void take_group(
        self, const Text* texts, Py_ssize_t count, int64_t now, int64_t tokens, cbool* granted
    ) noexcept nogil


cdef int64_t cost_of(object cost) except -1
