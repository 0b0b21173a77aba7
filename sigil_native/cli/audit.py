"""``sigil audit verify``: was an audit log changed, and where?"""

from __future__ import annotations

import argparse
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from sigil_native import AuditVerifier
from sigil_native.cli import exits
from sigil_native.cli.keys import audit_secrets
from sigil_native.cli.output import Output, complain, json_line, open_output, printable, table
from sigil_native.cli.progress import Progress
from sigil_native.cli.streams import Source
from sigil_native.errors import DuplicateKeyError, WeakSecretError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sigil_native import AuditFault

#: Large, because the lines of a block are hashed side by side and its halves by two threads.
_BLOCK_SIZE: Final = 4 << 20


class _Faults:
    """Names faults as they are found."""

    def __init__(self, output: Output, progress: Progress, *, as_json: bool) -> None:
        self._output = output
        self._progress = progress
        self._as_json = as_json

    def add(self, name: str, faults: Iterable[AuditFault]) -> None:
        """Faults of a file."""
        for fault in faults:
            self._progress.clear()
            if self._as_json:
                self._output.write(json_line({"file": name, **fault._asdict()}))
            else:
                place = "" if fault.sequence is None else f", seq {fault.sequence}"
                complain(f"{printable(name)}, line {fault.line}{place}: {fault.kind}: {fault.message}")


def verify(args: argparse.Namespace) -> int:
    """Check files that follow each other, or standard input."""
    paths = args.operands or ["-"]
    if paths.count("-") > 1:
        raise exits.UsageError("audit verify: standard input can be given only once")
    try:
        secrets = audit_secrets(args.secret_file)
        verifier = AuditVerifier(
            secrets, last=args.last, after=args.after, threads=2, max_faults=args.max_faults
        )
    except (WeakSecretError, DuplicateKeyError) as error:
        raise exits.ConfigurationError(str(error)) from None
    with ExitStack() as opened, open_output(args.output) as output:
        # All are opened first: a name that is wrong shows before an hour's work.
        sources = [opened.enter_context(Source(path)) for path in paths]
        sizes = [source.remaining() for source in sources]
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        to_stdout = args.output in (None, "-")
        progress = Progress("audit verify", total, wanted=args.progress, to_stdout=to_stdout)
        faults = _Faults(output, progress, as_json=args.json)
        try:
            _read_all(sources, verifier, progress, faults)
        finally:
            progress.clear()
        if args.json:
            output.write(json_line(_summary(verifier, len(sources))))
        elif verifier.fault_count:
            output.abandon()
        else:
            output.write(b"valid\n" + table(_rows(verifier, len(sources), args.after is not None)))
    if found := verifier.fault_count:
        rest = found - args.max_faults
        more = f", {rest} of them not named" if rest > 0 else ""
        complain(f"{_counted(found, 'fault')} in {_counted(verifier.lines, 'line')}{more}")
    return exits.REFUSED if found else exits.OK


def _read_all(sources: list[Source], verifier: AuditVerifier, progress: Progress, faults: _Faults) -> None:
    buffer = bytearray(_BLOCK_SIZE)
    view = memoryview(buffer)
    for number, source in enumerate(sources, start=1):
        while count := source.read_into(view):
            faults.add(source.name, verifier.feed(buffer if count == len(buffer) else view[:count]))
            progress.advance(count)
        faults.add(source.name, verifier.next_file() if number < len(sources) else verifier.finish())


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _last(verifier: AuditVerifier) -> str:
    """The last line as --last and --after take it."""
    return f"{verifier.sequence}:{urlsafe_b64encode(verifier.tag).decode().rstrip('=')}"


def _rows(verifier: AuditVerifier, files: int, is_continued: bool) -> dict[str, object]:
    first = verifier.first_sequence or 1
    rows: dict[str, object] = {
        "files": files,
        "lines": verifier.lines,
        "seq": f"{first} to {verifier.sequence}",
        "last": _last(verifier),
    }
    if first > 1 and not is_continued:
        rows["not seen"] = f"seq 1 to {first - 1}"
    return rows


def _summary(verifier: AuditVerifier, files: int) -> dict[str, object]:
    return {
        "valid": verifier.fault_count == 0,
        "files": files,
        "lines": verifier.lines,
        "first_sequence": verifier.first_sequence,
        "last_sequence": verifier.sequence,
        "last": _last(verifier),
        "faults": verifier.fault_count,
    }
