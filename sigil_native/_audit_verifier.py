"""The checker of audit logs: cuts files into lines and gives the judge those that are not simply right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from sigil_native._arguments import audit_position, readable_bytes
from sigil_native._audit_judge import Judge
from sigil_native._audit_records import Faults
from sigil_native._constants import MAX_AUDIT_LINE
from sigil_native.errors import AuditFormatError, DuplicateKeyError, InvalidOptionError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from sigil_native._audit_records import AuditFault, AuditLine, Key

BytesLike = bytes | bytearray | memoryview

_WORTH_TWO_THREADS = 1 << 20


def _position(place: object, what: str) -> tuple[int, bytes] | None:
    if place is None:
        return None
    if not isinstance(place, tuple) or len(place) != 2:
        raise TypeError(f"{what} must be a tuple of a sequence number and a tag")
    return audit_position(*place)


def _limit(faults: object) -> int | None:
    if faults is None:
        return None
    if not isinstance(faults, int) or isinstance(faults, bool):
        raise TypeError(f"max_faults must be int, not {type(faults).__name__}")
    if faults < 0:
        raise InvalidOptionError("max_faults must not be negative")
    return faults


class Verifier(ABC):
    """Checks that nobody changed an audit log, in any number of blocks and files.

    Blocks may be cut anywhere. Memory does not grow with the log. A verifier holds
    secrets: it cannot be copied or pickled. It serves one thread at a time.
    """

    def __init__(
        self,
        secrets: Iterable[str | BytesLike],
        *,
        last: tuple[int, BytesLike] | None = None,
        after: tuple[int, BytesLike] | None = None,
        threads: int = 1,
        max_faults: int | None = None,
    ) -> None:
        """Take the secrets under which the log was written.

        Args:
            secrets: at least one, each of at least 32 bytes. Whoever has one of them can
                forge: give those alone that were in use.
            last: number and tag of a line that the log must reach, from elsewhere.
            after: number and tag of the line that the log must follow; 0 and zeros: it must
                start at its very beginning. Without it, the first begin line is believed.
            threads: 1, or 2 for blocks of a MiB or more, whose halves are then checked side by side.
            max_faults: so many are returned; all are counted. Without it a block of nothing but
                newlines gives as many faults as it has bytes.

        Raises:
            WeakSecretError: a secret is too short.
            DuplicateKeyError: two secrets have one key id.
            InvalidOptionError: no secret, a number or tag that cannot be, other threads, or
                fewer faults than none.
            TypeError: an argument has a wrong type.
        """
        if isinstance(secrets, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"secrets must be an iterable of secrets, not {type(secrets).__name__}")
        keys = [self._make_key(secret) for secret in secrets]
        if not keys:
            raise InvalidOptionError("there must be at least one secret")
        if len({key.key_id for key in keys}) != len(keys):
            raise DuplicateKeyError("two secrets have the same key id")
        if threads not in (1, 2):
            raise InvalidOptionError("threads must be 1 or 2")
        self._faults = Faults(_limit(max_faults))
        self._judge = Judge(keys, _position(last, "last"), _position(after, "after"), self._faults)
        self._threads = threads
        self._helper: ThreadPoolExecutor | None = None
        self._lines = 0
        self._number = 0  # of the line last read, within its file
        self._offset = 0  # where the next line begins in its file
        self._start = 0  # where the line last read began
        self._begun = b""  # the beginning of a line whose end is still to come
        self._skipped = 0  # bytes of a line that is too long, read past

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if Verifier not in cls.__bases__:
            raise TypeError("AuditVerifier is final")

    @property
    def lines(self) -> int:
        """How many lines were read, whatever was wrong with them."""
        return self._lines

    @property
    def fault_count(self) -> int:
        """How many faults were found, those beyond ``max_faults`` included."""
        return self._faults.count

    @property
    def first_sequence(self) -> int | None:
        """The sequence number of the first line; None: there was none yet."""
        return self._judge.first_sequence

    @property
    def sequence(self) -> int:
        """The sequence number of the last line that was found to follow; 0: none."""
        return self._judge.reached[0]

    @property
    def tag(self) -> bytes:
        """The tag of that line; zeros: none. With ``sequence``, the ``last`` of another check."""
        return self._judge.reached[1]

    def feed(self, block: BytesLike) -> list[AuditFault]:
        """Check the next bytes of a file; returns what is found wrong.

        A fault may be known only when the line after it is read.

        Raises:
            TypeError: not bytes-like.
        """
        data = block if isinstance(block, (bytes, bytearray)) else readable_bytes(block, "block").tobytes()
        start = 0
        if self._begun or self._skipped:
            start = self._feed_begun(data)
        end = data.rfind(b"\n", start) + 1
        if start < end:
            self._check(data, start, end)
        if len(data) > max(start, end):
            self._keep(data[max(start, end) :])
        return self._faults.take()

    def next_file(self) -> list[AuditFault]:
        """The file ends here and another follows; returns what is found wrong with its end."""
        self._end_of_file()
        self._judge.end_file()
        self._number = self._offset = self._start = 0
        return self._faults.take()

    def finish(self) -> list[AuditFault]:
        """The log ends here; returns what is found wrong with its end."""
        self._end_of_file()
        self._judge.end(self._number, self._start)
        return self._faults.take()

    # -- of the backend ------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def _make_key(secret: str | BytesLike) -> Key:
        """The key of a secret."""

    @staticmethod
    @abstractmethod
    def _read(line: bytes) -> AuditLine:
        """``read_audit_line``."""

    # -- lines -------------------------------------------------------------------

    def _check(self, data: bytes | bytearray, start: int, end: int) -> None:
        """Check complete lines."""
        judge = self._judge
        # Where something is wrong, more may be: a second thread would go over the rest again and again.
        threads = self._threads if end - start >= _WORTH_TWO_THREADS else 1
        while start < end:
            if judge.is_clean and judge.key is not None and judge.tag is not None:
                run = judge.key.clean_run if threads == 1 else partial(self._run_halves, judge.key)
                lines, stop, tag = run(data, start, end, judge.sequence, judge.tag, judge.stop)
                threads = 1
                if lines:
                    judge.passed(lines, tag)
                    self._lines += lines
                    self._number += lines
                    last = max(start, data.rfind(b"\n", start, stop - 1) + 1)
                    self._start = self._offset + last - start
                    self._offset += stop - start
                    start = stop
                    if start == end:
                        break
            newline = data.index(b"\n", start)
            self._judge_line(data, start, newline)
            start = newline + 1

    def _run_halves(
        self, key: Key, data: bytes | bytearray, start: int, end: int, sequence: int, tag: bytes, stop: int
    ) -> tuple[int, int, bytes]:
        """``clean_run`` over two halves at the same time."""
        middle = data.rfind(b"\n", start, (start + end) // 2) + 1
        before = data.rfind(b"\n", start, max(start, middle - 1)) + 1
        try:
            line = self._read(bytes(data[max(start, before) : middle]))
        except AuditFormatError:
            return key.clean_run(data, start, end, sequence, tag, stop)
        if self._helper is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few want it

            self._helper = ThreadPoolExecutor(1)
        # What this line says of itself is believed here only until the first half has reached it.
        second = self._helper.submit(key.clean_run, data, middle, end, line.sequence, line.tag, stop)
        try:
            first = key.clean_run(data, start, middle, sequence, tag, stop)
        finally:
            lines, reached, last_tag = second.result()
        return (first[0] + lines, reached, last_tag) if first[1] == middle else first

    def _judge_line(self, data: bytes | bytearray, start: int, newline: int) -> None:
        self._count_line(newline + 1 - start)
        if newline - start >= MAX_AUDIT_LINE:
            self._malformed("too_large")
            return
        text = bytes(data[start:newline])
        try:
            line = self._read(text)
        except AuditFormatError as error:
            self._malformed(error.problem)
        else:
            self._judge.line(line, text, self._number, self._start)

    def _count_line(self, size: int) -> None:
        self._lines += 1
        self._number += 1
        self._start = self._offset
        self._offset += size

    def _malformed(self, problem: str) -> None:
        self._judge.malformed(str(AuditFormatError(problem)), self._number, self._start)

    # -- lines that come in pieces ---------------------------------------------------

    def _feed_begun(self, data: bytes | bytearray) -> int:
        """Go on with the line whose beginning came before; returns where the next one begins."""
        newline = data.find(b"\n")
        if newline < 0:
            return 0
        end = newline + 1
        if self._skipped:
            self._count_line(self._skipped + end)
            self._skipped = 0
            self._malformed("too_large")
        else:
            whole = self._begun + data[:end]
            self._begun = b""
            self._check(whole, 0, len(whole))
        return end

    def _keep(self, rest: bytes | bytearray) -> None:
        """Keep the beginning of a line, if it can be one."""
        if not self._skipped and len(self._begun) + len(rest) < MAX_AUDIT_LINE:
            self._begun += bytes(rest)
        else:
            self._skipped += len(self._begun) + len(rest)
            self._begun = b""

    def _end_of_file(self) -> None:
        size = len(self._begun) + self._skipped
        self._begun, self._skipped = b"", 0
        if size:
            self._judge.torn(self._number + 1, self._offset)

    def __repr__(self) -> str:
        return f"<AuditVerifier after {self._lines} lines>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("AuditVerifier holds secrets and cannot be copied or pickled")

    def __copy__(self) -> NoReturn:
        self.__reduce_ex__(4)

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce_ex__(4)
