"""What every command goes through: arguments in, an exit status out."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from sigil_native import errors
from sigil_native.cli import exits
from sigil_native.cli.output import complain, printable
from sigil_native.cli.parser import build_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_USAGE: Final = (errors.InvalidOptionError, errors.InvalidTenantError, errors.InvalidExpiryError)
_CONFIGURATION: Final = (
    errors.WeakSecretError,
    errors.DuplicateKeyError,
    errors.NoActiveKeyError,
    errors.KeyRingFormatError,
)


def run(arguments: Sequence[str] | None) -> int:
    """Run a command; returns its exit status. Ctrl-C passes through."""
    try:
        with _raising_on_sigterm():
            args = _parse(sys.argv[1:] if arguments is None else arguments)
            module, _, function = args.run.partition(":")
            work: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), function)
            return work(args)
    except SystemExit:  # argparse, after help or version
        return exits.OK
    except (exits.CommandError, errors.SigilError, OSError, MemoryError) as error:
        status, message = _verdict(error)
        if message:
            complain(message)
        return status
    except exits.Terminated:
        return exits.TERMINATED


def _verdict(error: Exception) -> tuple[int, str]:
    """The exit status that an error leads to, and what to say; nothing if nobody reads."""
    if isinstance(error, exits.CommandError):
        return error.status, str(error)
    if isinstance(error, errors.SigilError):
        for kinds, status in ((_USAGE, exits.USAGE), (_CONFIGURATION, exits.CONFIGURATION)):
            if isinstance(error, kinds):
                return status, str(error)
        return exits.REFUSED, str(error)
    if isinstance(error, BrokenPipeError):
        return exits.BROKEN_PIPE, ""
    if isinstance(error, OSError):
        named = isinstance(error.filename, (str, bytes))
        name = f"{printable(os.fsdecode(error.filename))}: " if named else ""
        return exits.IO_ERROR, f"{name}{error.strerror or error}"
    return exits.IO_ERROR, "out of memory"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse, and take operands that stand after options.

    What is not understood may be a secret typed in the wrong place: only the
    names of unknown options are shown.
    """
    parser = build_parser()
    args, extra = parser.parse_known_args(arguments)
    for item in extra:
        if item.startswith("-") and item != "-":
            name = re.match(r"--[a-z]+(-[a-z]+)*(?![^=])|-[A-Za-z0-9]", item)
            shown = f" {name[0]}" if name else ""
            hint = "" if shown.startswith(" --") else "; a file whose name begins with - is written ./-NAME"
            raise exits.UsageError(f"{args.command}: unknown option{shown}{hint}")
    if getattr(args, "max_line_bytes", None) is not None and not args.ndjson:
        raise exits.UsageError(f"{args.command}: --max-line-bytes goes with --ndjson")
    if extra:
        if "operands" not in args:
            raise exits.UsageError(f"{args.command}: too many arguments")
        args.operands += extra
    return args


@contextlib.contextmanager
def _raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that no temporary file stays behind."""

    def terminate(*_: object) -> NoReturn:
        raise exits.Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
