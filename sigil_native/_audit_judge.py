"""What is wrong with a line of an audit log that does not simply follow the one before it.

A tag depends on the line's own text and on the tag that stands in the line before. So one
changed line breaks one link, and the line after it still fits the tag that it left; a line that
was taken out or put in breaks the links around that place and no others. The judge follows the
lines one at a time and keeps a little of what it saw:

* the tag in the line physically before, and the one that this line ought to have had;
* tags of lines before a break and of lines out of place, by sequence number, so that the chain is
  found again where it goes on;
* one *suspect*: a line that follows from nothing known. The next line decides about it. If that
  one follows from the suspect's tag, the tag is genuine, and only the suspect's text cannot be
  right or cannot be checked; if not, the suspect does not belong there.

Nothing is accepted without a fault unless its tag is right under a known key and its number is
the next one.
"""

from __future__ import annotations

from typing import NamedTuple

from sigil_native._audit_records import AuditFault, AuditLine, Faults, Key
from sigil_native._audit_sightings import Expectation, Sightings
from sigil_native._constants import AUDIT_CHAIN_SIZE, TAG_SIZE


class _Suspect(NamedTuple):
    line: AuditLine
    number: int
    offset: int
    after_loss: bool  # the line before it is known not to be what it was
    holes: int  # bad lines directly before it that took no sequence number


# How a line was found to follow: from the line physically before; from the tag which that one ought
# to have had; from a line seen elsewhere.
_BEFORE, _REPAIRED, _ELSEWHERE = range(3)

# Lines of a section under an unknown key that are tried with the known ones.
_PROBES = 8


def _numbers(first: int, last: int) -> str:
    return f"seq {first} is" if first == last else f"seq {first} to {last} are"


class Judge:
    """Follows the lines of one chain through its files and says what is wrong.

    The caller may go over lines that simply follow by itself while ``is_clean``, and tells
    of them by ``passed``.
    """

    def __init__(
        self, keys: list[Key], last: tuple[int, bytes] | None, after: tuple[int, bytes] | None, faults: Faults
    ) -> None:
        self._faults = faults
        self.key: Key | None = None
        self.started = after is not None
        self.sequence = after[0] if after else 0
        self.tag: bytes | None = after[1] if after else None
        self.later_file = False
        self._keys = {key.key_id: key for key in keys}
        self._repaired: bytes | None = None
        self._suspect: _Suspect | None = None
        self._lost = False
        self._holes = 0
        # Where the chain was left by a begin line that did not follow; it may go on from there.
        self._left: tuple[int, int] | None = None
        self._seen = Sightings()
        self._seen.top = self.sequence
        self._unknown_at: int | None = None  # in a section under an unknown key: the number last seen
        self._probes = 0
        self._wanted = Expectation(last)
        if after is not None:
            self._wanted.see(*after)
        #: Number and tag of the last line that was found to follow; 0 and zeros: none.
        self.reached = after or (0, bytes(TAG_SIZE))

    # -- what the caller tells ---------------------------------------------------

    @property
    def first_sequence(self) -> int | None:
        """The number of the first line; None: there was none yet."""
        return self._seen.first

    @property
    def is_clean(self) -> bool:
        """Whether the next line need only follow from ``sequence`` and ``tag`` under ``key``."""
        return (
            self.started
            and self.key is not None
            and self.tag is not None
            and self._suspect is None
            and self._unknown_at is None
            and self._repaired is None
            and not self._lost
        )

    @property
    def stop(self) -> int:
        """The number of a line that the judge wants to see itself; 0: none."""
        return self._wanted.sequence

    def passed(self, lines: int, tag: bytes) -> None:
        """The caller went over so many lines that follow; the last one's tag."""
        self._advance(self.sequence + lines)
        self.tag = tag
        self.reached = self.sequence, tag

    def malformed(self, reason: str, number: int, offset: int) -> None:
        """There is a line that is none."""
        self._settle()
        self._remember_place()
        self._fault("malformed", number, None, offset, reason)
        self.tag = self._repaired = None
        self._lost = True
        self._holes += 1
        if self._unknown_at is not None:
            self._unknown_at += 1

    def torn(self, number: int, offset: int) -> None:
        """The file ends within a line."""
        self._settle(at_end=True)
        self._fault("torn", number, None, offset, "the last line has no newline: it was not written whole")

    def line(self, line: AuditLine, text: bytes, number: int, offset: int) -> None:
        """There is a line; ``text`` is all of it but the newline."""
        message = text[:-AUDIT_CHAIN_SIZE]
        if line.key_id is not None:
            self._begin(line, message, number, offset)
        elif not self.started:
            problem = "lines are missing before this one, which is no begin line and cannot be checked"
            self._fault("not_begun", number, line.sequence, offset, problem)
            self._accept(line)
        else:
            self._ordinary(line, message, number, offset)

    def end_file(self) -> None:
        """The file ends here."""
        self._settle(at_end=True)
        self.later_file = True

    def end(self, number: int, offset: int) -> None:
        """The log ends here; ``number`` and ``offset`` of the last line."""
        self.end_file()
        if self.first_sequence is None:
            self._fault("not_begun", number, None, offset, "there is no line that could be checked")
        if wanted := self._wanted.sequence:
            found = self.sequence if self._unknown_at is None else self._unknown_at
            problem = f"seq {wanted} with the expected tag is not there: the log ends with seq {found}"
            self._fault("tail_missing", number, wanted, offset, problem)

    # -- lines -------------------------------------------------------------------

    def _ordinary(self, line: AuditLine, message: bytes, number: int, offset: int) -> None:
        found = self._origin(line, message)
        if found is None:
            if self._unknown_at is None:
                self._suspect_line(line, message, number, offset, self.key, self.tag)
            else:
                self._pass_unknown(line, number, offset)
            return
        key, how = found
        is_other = self.key is not None and key is not self.key
        if is_other and how == _BEFORE and self._suspect is None and not self._lost:
            problem = f"this line is of key {key.key_id:08x}, which no begin line introduced"
            self._fault("not_begun", number, line.sequence, offset, problem)
        self._take(line, how, number, offset)
        self.key = key

    def _origin(self, line: AuditLine, message: bytes) -> tuple[Key, int] | None:
        """The key under which a line's tag is right, and what it follows from."""
        places: list[tuple[int, bytes | None]] = [
            (_ELSEWHERE, tag) for tag in self._seen.tags(line.sequence - 1)
        ]
        if self._unknown_at is None or self._probes > 0:
            places = [(_BEFORE, self.tag), (_REPAIRED, self._repaired), *places]
        keys = sorted(self._keys.values(), key=lambda key: key is not self.key)  # the present one first
        for key in keys if places else ():
            for how, previous in places:
                if previous is not None and key.matches(previous, message, line.tag):
                    return key, how
        return None

    def _begin(self, line: AuditLine, message: bytes, number: int, offset: int) -> None:
        key = self._keys.get(line.key_id or 0)
        if key is None:
            self._begin_unknown(line, number, offset)
            return
        assert line.previous is not None  # noqa: S101 - of a begin line
        if not key.matches(line.previous, message, line.tag):
            if self.started:
                self._leave_unknown()
                self._suspect_line(line, message, number, offset, key, line.previous)
            else:
                self._fault(
                    "changed", number, line.sequence, offset, "the begin line is not what was written"
                )
                self._accept(line)
                self._repaired = key.tag(line.previous, message)
                self.key = key
            return
        if not self.started:
            self._wanted.see_before(line)
            self._accept(line)
        elif line.previous == self.tag:
            self._take(line, _BEFORE, number, offset)
        elif line.previous == self._repaired:
            self._take(line, _REPAIRED, number, offset)
        elif line.previous in self._seen.tags(line.sequence - 1):
            self._take(line, _ELSEWHERE, number, offset)
        else:
            self._break(line, number, offset)
        self.key = key
        self._unknown_at = None

    def _begin_unknown(self, line: AuditLine, number: int, offset: int) -> None:
        self._settle()
        problem = f"key {line.key_id:08x} is not among the secrets: what follows is not checked"
        self._fault("unknown_key", number, line.sequence, offset, problem)
        if self.started:
            self._remember_place()
            self._wanted.see(line.sequence, line.tag)
        else:
            self._wanted.see_before(line)
            self._accept(line)
        self.tag, self._repaired = line.tag, None
        self._unknown_at = line.sequence
        self._probes = _PROBES

    def _pass_unknown(self, line: AuditLine, number: int, offset: int) -> None:
        """A line that cannot be checked; only its number may tell something."""
        expected = (self._unknown_at or 0) + 1
        if line.sequence > expected:
            self._missing(expected, line.sequence - 1, number, offset)
        elif line.sequence < expected:
            self._fault("misplaced", number, line.sequence, offset, f"seq {expected} should stand here")
        self._unknown_at = line.sequence
        self._probes -= 1
        self.tag = line.tag
        self._wanted.see(line.sequence, line.tag)

    def _leave_unknown(self) -> None:
        if self._unknown_at is not None:
            self._advance(self._unknown_at)
            self._unknown_at = None

    def _break(self, line: AuditLine, number: int, offset: int) -> None:
        """A genuine begin line that follows from nothing here: another chain, or another part of this one."""
        self._settle()
        self._remember_place()
        problem = f"this begin line follows seq {line.sequence - 1}"
        problem += (
            " of another log" if line.sequence == self.sequence + 1 else f", and not seq {self.sequence}"
        )
        self._fault("discontinuity", number, line.sequence, offset, problem)
        # What follows a file that is out of order is so too; what follows a line put in is not.
        self._left = None if number == 1 else (self.sequence, self._seen.top)
        if number == 1:
            self._seen.restart(line.sequence)
        self._accept(line)

    def _suspect_line(
        self,
        line: AuditLine,
        message: bytes,
        number: int,
        offset: int,
        key: Key | None,
        previous: bytes | None,
    ) -> None:
        self._settle()
        self._remember_place()
        self._suspect = _Suspect(line, number, offset, self._lost, self._holes)
        self._repaired = key.tag(previous, message) if key is not None and previous is not None else None
        self.tag = line.tag

    def _take(self, line: AuditLine, how: int, number: int, offset: int) -> None:
        """A line whose tag is right; whether its place is too is seen here."""
        if how == _BEFORE:
            self._leave_unknown()
        elif how == _ELSEWHERE:
            self._remember_place()
        self._unknown_at = None
        self._settle(line.sequence, how)
        if how == _ELSEWHERE and self._left is not None and line.sequence == self._left[0] + 1:
            self.sequence, self._seen.top = self._left
        sequence, top = line.sequence, self._seen.top
        if sequence not in (self.sequence + 1, top + 1):
            if sequence <= top:
                self._again(sequence, number, offset)
            else:
                # What a line out of place precedes was seen: that line itself.
                last = sequence - 1 if how == _BEFORE else sequence - 2
                if top < last:
                    self._missing(top + 1, last, number, offset)
        self._accept(line)

    def _accept(self, line: AuditLine) -> None:
        """Go on from this line."""
        self.started = True
        self._advance(line.sequence)
        self.tag, self._repaired = line.tag, None
        self.reached = line.sequence, line.tag
        self._lost, self._holes = False, 0
        self._wanted.see(line.sequence, line.tag)

    # -- the suspect -------------------------------------------------------------

    def _settle(self, following: int | None = None, how: int | None = None, *, at_end: bool = False) -> None:
        """Decide about the suspect by the line after it: its number, and what it follows from."""
        suspect, self._suspect = self._suspect, None
        if suspect is None:
            return
        if following is not None and how == _BEFORE:
            self._settle_genuine(suspect, following - 1)
        elif following is not None and how == _REPAIRED:
            self._suspect_fault("changed", suspect, "its chain was altered, its members were not")
            self._advance(following - 1)
            if self._repaired is not None:
                self._wanted.see(following - 1, self._repaired)
        else:
            self._settle_foreign(suspect, following, at_end=at_end)

    def _settle_genuine(self, suspect: _Suspect, true: int) -> None:
        """The next line follows from the suspect's tag: it is the tag of line ``true``."""
        missing = true - self._seen.top - 1
        if 0 < missing <= suspect.holes:
            self._seen.leave_gap(self._seen.top + 1, true - 1)
        if true in (self.sequence + 1, self._seen.top + 1) or 0 < missing <= suspect.holes:
            if suspect.after_loss:
                problem = "the line before it is not what was written, so nobody can tell whether this one is"
                self._suspect_fault("unchecked", suspect, problem)
            elif suspect.line.sequence != true:
                problem = f"it is not what was written: seq {true} stands here"
                self._suspect_fault("changed", suspect, problem)
            else:
                self._suspect_fault("changed", suspect, "it is not what was written")
            self._wanted.see(true, suspect.line.tag)
        elif missing > 0:
            self._missing(self._seen.top + 1, true - 1, suspect.number, suspect.offset, self_checked=False)
            self._wanted.see(true, suspect.line.tag)
        else:
            self._again(true, suspect.number, suspect.offset)
        self._advance(true)

    def _settle_foreign(self, suspect: _Suspect, following: int | None, *, at_end: bool) -> None:
        """Nothing follows from the suspect."""
        sequence = suspect.line.sequence
        self._seen.keep(sequence, suspect.line.tag)
        self._lost = True
        if following != self.sequence + 1 and sequence in (self.sequence + 1, self._seen.top + 1):
            self._suspect_fault("changed", suspect, "it is not what was written")
            self._advance(sequence)
            self._wanted.see(sequence, suspect.line.tag)
        elif at_end and sequence > self._seen.top + 1:
            self._missing(
                self._seen.top + 1, sequence - 1, suspect.number, suspect.offset, self_checked=False
            )
            self._advance(sequence)
            self._wanted.see(sequence, suspect.line.tag)
        else:
            self._holes += 1
            self._again(sequence, suspect.number, suspect.offset)

    # -- memory and faults ---------------------------------------------------------

    def _advance(self, sequence: int) -> None:
        self.sequence = sequence
        self._seen.reach(sequence)

    def _remember_place(self) -> None:
        """Keep the tag that the chain goes on from, before something else stands there."""
        if self.started and self.tag is not None and self._suspect is None and not self._lost:
            self._seen.keep(self.sequence, self.tag)

    def _again(self, sequence: int, number: int, offset: int) -> None:
        if self._seen.has(sequence):
            problem = f"seq {sequence} was there already; it stands again after seq {self.sequence}"
            self._fault("duplicate", number, sequence, offset, problem)
        else:
            problem = f"seq {sequence} stands after seq {self.sequence}: inserted, moved or changed"
            self._fault("misplaced", number, sequence, offset, problem)

    def _missing(self, first: int, last: int, number: int, offset: int, *, self_checked: bool = True) -> None:
        problem = f"{_numbers(first, last)} missing before this line"
        if not self_checked:
            problem += ", which cannot be checked itself"
        kind = "discontinuity" if number == 1 and self.later_file else "missing"
        self._fault(kind, number, first, offset, problem)
        self._seen.leave_gap(first, last)

    def _suspect_fault(self, kind: str, suspect: _Suspect, problem: str) -> None:
        self._fault(kind, suspect.number, suspect.line.sequence, suspect.offset, problem)

    def _fault(self, kind: str, number: int, sequence: int | None, offset: int, message: str) -> None:
        self._faults.add(AuditFault(kind, number, sequence, offset, message))
