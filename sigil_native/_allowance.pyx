"""What a caller may ask for: tokens of several buckets at once, all of them or none."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.math cimport ceil
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from libcpp.vector cimport vector

from sigil_native._bucket cimport BucketVerdict, TokenBucket, cost_of
from sigil_native._written_bytes cimport bytes_of_size, bytes_start, written_bytes

from sigil_native._arguments import allowance_places


cdef extern from "<charconv>" namespace "std" nogil:
    cdef cppclass to_chars_result:
        char* ptr
    to_chars_result to_chars(char* first, char* last, int64_t value) noexcept

cdef enum:
    MOST_PLACES = 16  # as in _constants.py
    LONGEST_NUMBER = 20
    # Of the limit that binds most: its bucket's size, what remains, and when the bucket is full.
    NUMBERS_OF_ALL = 3

# As in _rate_headers.py.
cdef double TICK = 1e-9
cdef double NOISE = 1e-15


cdef struct Place:
    # What the key goes by in its bucket's table.
    uint64_t hash
    double seconds_a_token


@cython.final
@cython.auto_pickle(False)
cdef class Allowance:
    """Limits that requests of one caller must all keep.

    A request takes its tokens from the buckets of all limits, or from none of them. Another thread or process
    that uses the buckets may be refused in the moment between; none is ever granted more than a limit.

    Args:
        places: a ``TokenBucket`` and a key in it, for each limit; 16 at most.
        headers: a ``RateHeaders`` that tells about these limits, in their order; None: ``take`` is not needed.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: no place or too many, or not as many as the headers have policies.
    """

    cdef list buckets
    cdef vector[Place] places
    cdef tuple pieces

    def __cinit__(self, places, headers=None):
        cdef Place place
        pairs = allowance_places(places, headers, TokenBucket)
        self.buckets = [bucket for bucket, _ in pairs]
        for index, (bucket, key) in enumerate(pairs):
            place.hash = (<TokenBucket> bucket).hash_of(key)
            place.seconds_a_token = 0.0 if headers is None else headers.policies[index].seconds_a_token
            self.places.push_back(place)
        self.pieces = () if headers is None else headers.pieces

    def __reduce__(self):
        raise TypeError("Allowance cannot be pickled")

    def check(self, cost=1):
        """Take tokens, if all buckets have them, and tell how things stand after it. A cost of 0 only looks.

        Args:
            cost: tokens of each bucket.

        Returns:
            A ``Decision`` for each limit. One that would have allowed what another refused says so, and has
            its tokens back.

        Raises:
            TypeError, InvalidOptionError: no cost.
        """
        cdef BucketVerdict[MOST_PLACES] verdicts
        cdef int64_t tokens = cost_of(cost)
        if self.taken(tokens, verdicts):
            return self.decisions(verdicts)
        return self.given_back(tokens, verdicts)

    def take(self, cost=1):
        """As ``check``, but where all allow it: the header fields, as ``RateHeaders.lines`` writes them."""
        cdef BucketVerdict[MOST_PLACES] verdicts
        cdef int64_t tokens = cost_of(cost)
        if self.taken(tokens, verdicts):
            return self.lines(verdicts) if self.pieces else b""
        return self.given_back(tokens, verdicts)

    cdef bint taken(self, int64_t tokens, BucketVerdict* verdicts) except -1:
        """Ask all buckets; whether all have granted it."""
        cdef int64_t[MOST_PLACES] now
        cdef bint granted = True
        cdef Py_ssize_t i
        # All clocks first: where one fails, nothing is taken.
        for i in range(len(self.buckets)):
            now[i] = (<TokenBucket> self.buckets[i]).now()
        for i in range(len(self.buckets)):
            verdicts[i] = (<TokenBucket> self.buckets[i]).judged(self.places[i].hash, now[i], tokens)
            granted = granted and verdicts[i].granted
        return granted

    cdef list decisions(self, const BucketVerdict* verdicts):
        return [(<TokenBucket> self.buckets[i]).decision(verdicts[i]) for i in range(len(self.buckets))]

    cdef list given_back(self, int64_t tokens, BucketVerdict* verdicts):
        cdef TokenBucket bucket
        cdef Py_ssize_t i
        for i in range(len(self.buckets)):
            if verdicts[i].granted:
                bucket = self.buckets[i]
                bucket.give_back(self.places[i].hash, tokens)
                # It would allow the request; this is how it stands without it.
                verdicts[i] = bucket.judged(self.places[i].hash, bucket.now(), 0)
        return self.decisions(verdicts)

    cdef bytes lines(self, const BucketVerdict* verdicts):
        """What ``RateHeaders.lines`` makes of these decisions, by the same arithmetic."""
        cdef int64_t[NUMBERS_OF_ALL + 2 * MOST_PLACES] numbers
        cdef int64_t remaining, limit, least = 0
        cdef double reset, wait, longest = 0.0
        cdef TokenBucket bucket
        cdef Py_ssize_t i
        for i in range(len(self.buckets)):
            bucket = self.buckets[i]
            limit = bucket.time.burst()
            remaining = (bucket.time.most() - verdicts[i].debt) // bucket.time.token()
            reset = bucket.time.seconds(verdicts[i].debt)
            if i == 0 or remaining < least or (remaining == least and reset > longest):
                numbers[0], least, longest = limit, remaining, reset
            wait = reset - (limit - remaining - 1) * self.places[i].seconds_a_token
            numbers[NUMBERS_OF_ALL + 2 * i] = remaining
            numbers[NUMBERS_OF_ALL + 2 * i + 1] = 1 if wait <= 1 else whole_seconds(wait)
        numbers[1] = least
        numbers[2] = 1 if 0 < longest <= 1 else whole_seconds(longest)
        return written(self.pieces, numbers)


cdef int64_t whole_seconds(double seconds) noexcept nogil:
    return <int64_t> ceil(seconds - TICK - seconds * NOISE)


cdef bytes written(tuple pieces, const int64_t* numbers):
    """Texts, with a number between each and the next."""
    cdef Py_ssize_t size = LONGEST_NUMBER * len(pieces)
    cdef PyObject* text
    cdef char* out
    cdef Py_ssize_t i
    for piece in pieces:
        size += PyBytes_GET_SIZE(piece)
    text = bytes_of_size(NULL, size)
    out = bytes_start(text)
    for i in range(len(pieces)):
        if i:
            out = to_chars(out, out + LONGEST_NUMBER, numbers[i - 1]).ptr
        memcpy(out, PyBytes_AS_STRING(pieces[i]), PyBytes_GET_SIZE(pieces[i]))
        out += PyBytes_GET_SIZE(pieces[i])
    return written_bytes(text, out)
