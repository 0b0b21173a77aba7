# distutils: language = c++
"""The lines of a body that ask for verdicts, from its bytes to those of the answer.

A line that is plain is read, judged and told of without a Python object of its own; the GIL is
released meanwhile, and tags are computed side by side. Every other line is its caller's to read, and takes
its place among the others.
"""

cimport cython
from cpython.object cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from sigil_native._identifiers cimport uuid_text
from sigil_native._json cimport ByteBuffer
from sigil_native._keyring cimport KeyRing
from sigil_native._known_keys cimport KnownKeys, keys_for
from sigil_native._request_lines cimport (
    DONE,
    READ,
    REFUSED,
    Field,
    RequestLine,
    RequestLines,
    compile_parts,
    kMomentSize,
    kUuidTextSize,
    nearest_size,
    place_payload,
)
from sigil_native._sigil cimport (
    Sigil,
    kIdentifierOffset,
    kTextSize,
    key_id_of,
    read_sigil,
)
from sigil_native._verify_lines cimport (
    FORMAT,
    HOLDS,
    UNKNOWN_KEY,
    Kind,
    answer_lines,
    is_proven,
    judge_lines,
    place_nothing,
    place_sigil,
    read_lines,
)
from sigil_native._written_bytes cimport bytes_of_size, bytes_start, written_bytes

from sigil_native._request_arguments import VERDICT_CODES, check_bytes, check_text
from sigil_native.errors import SigilFormatError


# Those of VERDICT_FIELDS in _constants.py, each with the longest of what it comes to.
cdef dict FIELDS = {
    "id": (Field.ID, kUuidTextSize),
    "sigil": (Field.SIGIL, kTextSize),
    "key_id": (Field.KEY_ID, 8),
    "issued_at": (Field.ISSUED_AT, kMomentSize),
    "expires_at": (Field.EXPIRES_AT, kMomentSize + 2),
    "canonical_sha256": (Field.SHA256_OR_NULL, 66),
}


@cython.final
@cython.auto_pickle(False)
cdef class VerifyRequests(RequestLines):
    """The lines of a body, each of which asks for a verdict on a sigil, on their way to an answer.

    Blank lines are passed over. In this order: ``read`` what is plain; ``accept`` or ``refuse`` each line
    that ``read`` left; ``SigilCodec.judge_requests``; then ``findings``, ``issued``, ``claims`` and
    ``answers``. Each takes a range of lines, so that long bodies can be worked on a piece at a time.

    It belongs to one thread at a time.

    Args:
        body: JSON texts, a line each.
        most: lines that are not blank, at most; ``end`` tells where another one begins.
        number: of the first line.

    Attributes:
        end: how much of the body was looked at: all of it, or what is before the line that is too many.
        next_number: the number of the line that begins there, or would.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: ``most`` or ``number`` is less than 1.
    """

    def read(self, first, last):
        """Read those lines of a range that are plain.

        A plain line is an object of ``sigil``, a string of printable ASCII without escapes, and ``data``,
        which is an object; in either order. The payload is read as ``canonicalize_json`` does by default.
        Or it has ``sigil`` alone, a token that carries JSON: its payload, with ``integers="exact"``.

        Returns:
            The lines that are left, by their places: for ``accept`` or ``refuse``.

        Raises:
            IndexError: there is no such range.
        """
        return self._read(first, last, read_lines)

    def accept(self, index, sigil, payload):
        """Give the sigil and the payload of a line that was left.

        Args:
            index: the line's place.
            sigil: in any of its text forms. A token must carry this payload.
            payload: in its RFC 8785 form, which nobody checks again; None where a token holds none.

        Raises:
            IndexError: there is no such line.
            ValueError: it was read, or refused, before.
            TypeError: an argument of a wrong type.
        """
        cdef RequestLine* line
        cdef ByteBuffer carried
        cdef cbool is_token = False
        cdef Sigil found = None
        if type(sigil) is not str:
            check_text(sigil, "sigil")
        if payload is not None and type(payload) is not bytes:
            check_bytes(payload, "payload")
        line = self._unread(index)
        if payload is not None:
            try:
                found = read_sigil(sigil, carried, &is_token)
            except SigilFormatError:
                pass
        place_payload(line, self.buffer, payload)
        if found is None:
            place_nothing(line, self.buffer.data() + line.place)
        else:
            place_sigil(line, self.buffer, found.raw, is_token, carried)

    def findings(self, first, last):
        """What was found of a range of lines, one by one.

        Returns:
            The kinds of findings, each once: the ``code`` of the error that says why the seal does not
            hold, or None; and the id of its key, None where it has none that the ring holds. Then, for each
            line, the place of its kind; -1 where it is refused.
        """
        cdef Py_ssize_t begin, end, i
        cdef RequestLine* line
        cdef uint8_t cause = 255
        cdef uint32_t key_id = 0, found
        cdef dict places = {}
        cdef list kinds = [], chosen = []
        cdef object refused = -1, place = None
        self._range(first, last, &begin, &end)
        self._check_idle()
        self._check_states(begin, end, DONE)
        for i in range(begin, end):
            line = &self.lines[i]
            if line.state == REFUSED:
                chosen.append(refused)
                continue
            found = key_id_of(self.buffer.data() + line.place) if line.cause > UNKNOWN_KEY or line.cause == HOLDS else 0
            # Most are like the one before.
            if line.cause != cause or found != key_id:
                cause, key_id = line.cause, found
                kind = (VERDICT_CODES[cause], key_id if cause > UNKNOWN_KEY or cause == HOLDS else None)
                place = places.get(kind)
                if place is None:
                    place = places[kind] = len(kinds)
                    kinds.append(kind)
            chosen.append(place)
        return kinds, chosen

    def issued(self, first, last):
        """The ids of a range's sigils, as text; None where the tag does not hold."""
        cdef Py_ssize_t begin, end, i
        cdef RequestLine* line
        cdef list ids = []
        self._range(first, last, &begin, &end)
        self._check_idle()
        for i in range(begin, end):
            line = &self.lines[i]
            if line.state == DONE and is_proven(line):
                ids.append(uuid_text(self.buffer.data() + line.place + kIdentifierOffset))
            else:
                ids.append(None)
        return ids

    def claims(self, first, last):
        """The ids of a range's sigils, as text, and of their keys, proven or not; None where it is none."""
        cdef Py_ssize_t begin, end, i
        cdef RequestLine* line
        cdef const uint8_t* placed
        cdef list claims = []
        self._range(first, last, &begin, &end)
        self._check_idle()
        for i in range(begin, end):
            line = &self.lines[i]
            if line.state == DONE and line.cause != FORMAT:
                placed = self.buffer.data() + line.place
                claims.append((uuid_text(placed + kIdentifierOffset), key_id_of(placed)))
            else:
                claims.append(None)
        return claims

    def answers(self, kinds, chosen, first, last):
        """The answers to a range of lines that are judged or refused, in their order.

        Args:
            kinds: for each kind of answer what it is made of, its line feed included: bytes stand for
                themselves; ``"id"``, ``"sigil"``, ``"key_id"`` (eight hexadecimal digits), ``"issued_at"``
                (RFC 3339, UTC, to the millisecond), ``"expires_at"`` (the same in quotes, or null) and
                ``"canonical_sha256"`` (hexadecimal in quotes; null: no payload) for what they name.
            chosen: for each line the place of its kind; of lines that are refused it says nothing.
            first: the first line.
            last: the line behind the last one.

        Raises:
            IndexError: there is no such range, or kind.
            ValueError: a line is neither judged nor refused, or has not what its answer names; or ``chosen``
                is of another length.
            InvalidOptionError: more than 32 parts, or a name that is none of these.
            TypeError: a part is neither bytes nor str.
        """
        cdef vector[Kind] compiled
        cdef vector[uint32_t] places
        cdef Py_ssize_t begin, end
        cdef size_t size
        cdef PyObject* out
        cdef uint8_t* start
        cdef uint8_t* last_byte
        _kept = [compile_kind(parts, FIELDS, compiled) for parts in kinds]
        self._range(first, last, &begin, &end)
        self._check_states(begin, end, DONE)
        self._check_idle()
        size = self._choose(chosen, compiled, begin, end, places)
        out = bytes_of_size(NULL, size)
        self.busy = True
        start = <uint8_t*> bytes_start(out)
        if self._is_brief(begin, end):
            last_byte = answer_lines(self.lines, self.buffer, compiled, places, begin, end, start)
        else:
            with nogil:
                last_byte = answer_lines(self.lines, self.buffer, compiled, places, begin, end, start)
        self.busy = False
        return written_bytes(out, last_byte)

    cdef Py_ssize_t _choose(
        self, object chosen, vector[Kind]& kinds, Py_ssize_t begin, Py_ssize_t end, vector[uint32_t]& places
    ) except -1:
        """Find each line's kind, and check that the line has what that names: the longest that all come to."""
        cdef RequestLine* line
        cdef Kind* kind
        cdef Py_ssize_t size = 0, place, i = begin
        if len(chosen) != end - begin:
            raise ValueError("there must be a kind for each line")
        for one in chosen:
            line = &self.lines[i]
            i += 1
            if line.state == REFUSED:
                places.push_back(0)
                size += line.filled
                continue
            place = nearest_size(one, NULL)
            if not 0 <= place < <Py_ssize_t> kinds.size():
                raise IndexError("no such kind")
            kind = &kinds[place]
            if kind.tells_of_sigil and line.cause == FORMAT:
                raise ValueError(f"line {line.number} has no sigil")
            places.push_back(place)
            size += kind.longest
        return size

    cdef int judge(
        self, KeyRing ring, object tenant, Py_ssize_t first, Py_ssize_t last, int64_t now_ms, int64_t skew_ms
    ) except -1:
        """Judge those lines of a range that are read; see ``SigilCodec.judge_requests``."""
        cdef KnownKeys keys = keys_for(ring, tenant, now_ms)
        self._check_states(first, last, READ)
        self._check_idle()
        keys.find(self.lines, self.buffer, first, last)
        self.busy = True
        if self._is_brief(first, last):
            judge_lines(self.lines, self.buffer, keys.states, first, last, now_ms, skew_ms, True)
        else:
            with nogil:
                judge_lines(self.lines, self.buffer, keys.states, first, last, now_ms, skew_ms, True)
        self.busy = False
        return 0


cdef tuple compile_kind(object parts, dict fields, vector[Kind]& compiled):
    cdef Kind kind
    cdef Field field
    cdef Py_ssize_t i
    kind.longest = 0
    kind.tells_of_sigil = False
    kept = compile_parts(parts, fields, kind.parts, &kind.count)
    for i in range(kind.count):
        field = kind.parts[i].field
        kind.longest += kind.parts[i].size
        kind.tells_of_sigil |= field != Field.LITERAL and field != Field.SHA256_OR_NULL
    compiled.push_back(kind)
    return kept
