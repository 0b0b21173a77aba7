"""The audit log's file: one chain of lines that all processes of a host write, a group at a time."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from core.audit.ending import Ending, cut_to_whole_lines, is_audit_log, last_line
from core.audit.interface import Member
from core.audit.position import Position, PositionFile
from core.errors import AuditUnavailableError
from core.timestamps import timestamp
from sigil_native import AuditChain

#: Not blocking: a pipe in the file's place must not hang the writer. It makes no difference to files.
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
#: The last: a limit on the size of files, or of this one.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Appended(NamedTuple):
    """What came of a group of lines.

    Attributes:
        position: the end of the chain with it.
        begun: why a begin line stands before the group: ``first`` (line of all), ``rotated`` (the file
            is new), ``emptied``, ``key_changed``, ``resumed`` (lines were there that nobody had
            noted), ``torn`` (a writer died in the middle of a line), ``tail_missing``, ``damaged``.
    """

    position: Position
    begun: str | None


class _Place(NamedTuple):
    """Where the next group goes.

    Attributes:
        chain: at its end.
        noted: the position as the last writer left it.
        size: of the file.
        beginning: what the begin line says, if one is due.
    """

    chain: AuditChain
    noted: Position | None
    size: int
    beginning: Mapping[str, Member] | None


class AuditFile:
    """One process's hold on the audit log. Belongs to one thread.

    Every group looks again at what the path names, and continues from the last line that is there:
    others write too, and files are rotated. Wherever things are not as the last writer left them, the
    chain goes on with a begin line that says why.
    """

    def __init__(self, path: Path, secret: str) -> None:
        self._path = path
        self._secret = secret
        self._positions = PositionFile(path.with_name(path.name + ".lock"))
        self._descriptor = -1
        #: Of the file that is open.
        self._device, self._inode = -1, -1
        #: As our last group left things; None and -1 where they must be looked at.
        self._chain: AuditChain | None = None
        self._position: Position | None = None
        self._size = -1

    def append(self, lines: Sequence[Mapping[str, Member]], *, sync: bool) -> Appended:
        """Write a group of lines, all or none; ``sync``: durably, and with them what was written without.

        Raises:
            AuditUnavailableError: none of them is in the file.
            ValueError, TypeError: one of them cannot be a line.
        """
        try:
            with self._positions.locked():
                return self._append(self._place(), lines, sync)
        except OSError as error:
            raise AuditUnavailableError("full" if error.errno in _NO_ROOM else "io") from error

    def close(self) -> None:
        """Close the files; the next group opens them again."""
        self._positions.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # -- with the lock held ----------------------------------------------------------------------

    def _append(self, place: _Place, lines: Sequence[Mapping[str, Member]], sync: bool) -> Appended:
        chain, _, size, beginning = place
        inode = self._inode
        try:
            if size == 0:
                # Should we die before the group is noted and the file be renamed, it is found by this.
                self._positions.write(Position(inode, chain.key_id, chain.sequence, chain.tag))
            text = b"" if beginning is None else chain.begin(beginning)
            text += chain.append_many(lines)
            _write_all(self._descriptor, text)
            if sync:
                os.fdatasync(self._descriptor)
            position = Position(inode, chain.key_id, chain.sequence, chain.tag)
            self._positions.write(position)
        except BaseException:
            self._undo(place)
            raise
        self._chain, self._position, self._size = chain, position, size + len(text)
        return Appended(position, None if beginning is None else str(beginning["reason"]))

    def _undo(self, place: _Place) -> None:
        """Take a group back. Where even that fails the next group cuts what is torn."""
        self._chain = None
        with suppress(OSError):
            os.ftruncate(self._descriptor, place.size)
            if place.noted is not None:
                self._positions.write(place.noted)

    def _place(self) -> _Place:
        noted = self._positions.read()
        size = self._size_if_in_place()
        if self._chain is not None and size == self._size and noted == self._position:
            return _Place(self._chain, noted, size, None)
        ended, torn = None, 0
        if size is None:
            ended, torn = self._end_of_last_file(noted)
            self._open()
        return self._look(noted, _latest(noted, self._position, ended), torn)

    def _size_if_in_place(self) -> int | None:
        """The size of the file that is open; None if the path names another, or none."""
        try:
            named = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - for each group of lines
        except FileNotFoundError:
            return None
        if self._descriptor < 0 or (named.st_dev, named.st_ino) != (self._device, self._inode):
            return None
        return named.st_size

    def _open(self) -> None:
        self._chain = None
        made = False
        try:
            descriptor = _open_log(self._path, _OPEN)
        except FileNotFoundError:
            descriptor, made = _open_log(self._path, _OPEN | os.O_CREAT), True
        if self._descriptor >= 0:
            with suppress(OSError):  # what nobody waited for may not be on disk yet
                os.fdatasync(self._descriptor)
            os.close(self._descriptor)
        opened = os.fstat(descriptor)
        self._descriptor, self._device, self._inode = descriptor, opened.st_dev, opened.st_ino
        if made:
            _sync_folder(self._path.parent)

    def _end_of_last_file(self, noted: Position | None) -> tuple[Position | None, int]:
        """The last line of the file that was rotated away, which may be later than what was noted.

        And how many bytes were torn behind it. It is somebody else's file by now: what is wrong with
        it must not keep the new one from being written.
        """
        descriptor = self._found(noted)
        if descriptor < 0:
            return None, 0
        try:
            ending = cut_to_whole_lines(descriptor)
            line = last_line(descriptor, ending.size)
            inode = os.fstat(descriptor).st_ino
        except (OSError, AuditUnavailableError):
            return None, 0
        finally:
            if descriptor != self._descriptor:
                os.close(descriptor)
        return None if line is None else Position(inode, 0, line.sequence, line.tag), ending.torn

    def _found(self, noted: Position | None) -> int:
        """The file with the noted last line: ours, or one that was renamed within its folder, opened.

        If there is none, ours, or -1 if there is none either.
        """
        ours = self._descriptor
        if noted is None or (ours >= 0 and self._inode == noted.inode):
            return ours
        with os.scandir(self._path.parent) as entries:
            others = [entry for entry in entries if entry.name != self._path.name]
        for entry in others:
            if entry.inode() == noted.inode:
                with suppress(OSError, AuditUnavailableError):
                    return _open_log(Path(entry.path), _OPEN)
        return ours

    def _look(self, noted: Position | None, known: Position | None, torn: int) -> _Place:
        """Find the chain's end in the file, and compare it with what is known of it."""
        ending = cut_to_whole_lines(self._descriptor)
        reason, end = self._judged(ending, known)
        sequence, tag = (0, bytes(32)) if end is None else (end.sequence, end.tag)
        try:
            chain = AuditChain(self._secret, sequence=sequence, previous=tag)
        except ValueError as error:
            raise AuditUnavailableError("damaged", retry_after=30) from error
        if reason is None and (end is None or end.key_id != chain.key_id):
            reason = "key_changed"
        beginning: dict[str, Member] = {
            "time": timestamp(time.time_ns() // 1_000_000),
            "event": "audit.begun",
            "reason": reason,
            "torn_bytes": ending.torn + torn,
        }
        return _Place(chain, noted, ending.size, None if reason is None else beginning)

    def _judged(self, ending: Ending, known: Position | None) -> tuple[str | None, Position | None]:
        """Why a begin line is due, if one is, and the position that the chain goes on from."""
        inode = self._inode
        if ending.size == 0:
            if known is None:
                return "first", None
            emptied = known.inode == inode and not ending.torn
            return "emptied" if emptied else "rotated", known
        line = last_line(self._descriptor, ending.size)
        if line is None:
            if known is None:
                raise AuditUnavailableError("damaged", retry_after=30)
            return "damaged", known
        if known is None or line.sequence > known.sequence:
            return "torn" if ending.torn else "resumed", Position(inode, 0, line.sequence, line.tag)
        if (line.sequence, line.tag) != (known.sequence, known.tag):
            return "tail_missing", known
        return "torn" if ending.torn else None, known


def _latest(*positions: Position | None) -> Position | None:
    """The furthest that anything is known of; a file that nothing was written to yet has number 0."""
    known = [position for position in positions if position is not None and position.sequence > 0]
    return max(known, key=lambda position: position.sequence, default=None)


def _open_log(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not is_audit_log(descriptor):
            raise AuditUnavailableError("foreign", retry_after=30)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_all(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
