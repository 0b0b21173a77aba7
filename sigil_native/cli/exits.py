"""How the command ends: exit codes, and the errors that lead to them."""

from __future__ import annotations

from typing import ClassVar, Final

OK: Final = 0
#: A seal does not hold, a document or line is not what it must be, or an audit log was changed.
REFUSED: Final = 1
USAGE: Final = 2
#: The numbers of sysexits.h.
IO_ERROR: Final = 74
CONFIGURATION: Final = 78
#: 128 + the signal, as shells report it.
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
TERMINATED: Final = 143

HELP: Final = """\
exit status:
  0    all good
  1    something was refused: a seal that does not hold, a bad document or line, a changed log
  2    wrong usage
  74   input or output failed: unreadable file, disk full
  78   configuration: no secret, a bad key ring file, a wrong SIGIL_NATIVE_LEVEL
  130  interrupted (Ctrl-C); 141 the reader of the output went away; 143 terminated
"""


class CommandError(Exception):
    """Ends the command with ``status`` and one line on standard error."""

    status: ClassVar[int] = REFUSED


class UsageError(CommandError):
    """The arguments do not go together, or a value is out of its range."""

    status = USAGE


class ConfigurationError(CommandError):
    """There is no usable secret."""

    status = CONFIGURATION


class InputOutputError(CommandError):
    """A file cannot be read or written."""

    status = IO_ERROR


class Terminated(BaseException):
    """SIGTERM came; raised so that temporary files are removed on the way out."""
