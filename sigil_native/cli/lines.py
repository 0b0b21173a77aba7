"""The frame around every command that works line by line."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sigil_native._problems import canonicalization_error
from sigil_native.cli import exits
from sigil_native.cli.output import Output, complain, json_line, open_output, printable
from sigil_native.cli.progress import Progress
from sigil_native.cli.streams import DEFAULT_MAX_LINE, LongLine, Source, line_blocks
from sigil_native.errors import CanonicalizationError, SigilError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Refused lines that are named on standard error; all are counted.
_NAMED: Final = 10


class Results(NamedTuple):
    """What came of a block of lines.

    ``reasons`` gives the place in the block (from 0) and the cause of each
    refused line; it is asked only while there is interest.
    """

    output: bytes
    lines: int
    refused: int = 0
    reasons: Iterable[tuple[int, str]] = ()


class LineJob(Protocol):
    """Turns lines into results, one for one."""

    def process(self, data: memoryview) -> Results:
        """Results of a block of complete lines."""

    def refuse(self, error: SigilError) -> Results:
        """The result of a line that ``process`` never gets to see."""


class EachLine(NamedTuple):
    """A job done by a Python function, a line at a time.

    ``convert`` gives a line's result and raises a SigilError if there is none;
    ``render_error`` gives what stands in its place.
    """

    convert: Callable[[bytes], bytes]
    render_error: Callable[[SigilError], bytes]

    def process(self, data: memoryview) -> Results:
        """Results of a block of complete lines."""
        lines = split_lines(data)
        results = []
        reasons = []
        for index, line in enumerate(lines):
            try:
                results.append(self.convert(line))
            except SigilError as error:
                results.append(self.render_error(error))
                reasons.append((index, str(error)))
        return Results(b"".join(results), len(lines), len(reasons), reasons)

    def refuse(self, error: SigilError) -> Results:
        """The result of a line that ``convert`` never gets to see."""
        return Results(self.render_error(error), 1, 1, [(0, str(error))])


def run_lines(args: argparse.Namespace, job: LineJob, label: str) -> int:
    """Feed the lines of ``args.file`` to a job and write its results to ``args.output``.

    Refused lines stop no other. Memory depends on ``args.max_line_bytes``, not on the
    size of the input.
    """
    limit: int = args.max_line_bytes or DEFAULT_MAX_LINE
    lines = refused = named = 0
    with Source(args.file) as source, open_output(args.output) as output:
        to_stdout = args.output in (None, "-")
        progress = Progress(label, source.remaining(), wanted=args.progress, to_stdout=to_stdout)
        try:
            for block in line_blocks(source, limit):
                if isinstance(block, LongLine):
                    results, consumed = job.refuse(line_too_long(limit)), block.consumed
                else:
                    results, consumed = job.process(block), len(block)
                output.write(results.output)
                if results.refused and named < _NAMED:
                    progress.clear()
                    for index, reason in results.reasons:
                        complain(f"{printable(source.name)}, line {lines + index + 1}: {reason}")
                        named += 1
                        if named == _NAMED:
                            break
                lines += results.lines
                refused += results.refused
                progress.advance(consumed)
        finally:
            progress.clear()
    if refused:
        complain(f"{refused} of {lines} {'line' if lines == 1 else 'lines'} refused")
    return exits.REFUSED if refused else exits.OK


def split_lines(data: memoryview) -> list[bytes]:
    """The lines of a block, without LF or CR LF, which the last may lack."""
    *ended, last = bytes(data).split(b"\n")
    lines = [line.removesuffix(b"\r") for line in ended]
    return [*lines, last] if last else lines


def reasons(results: bytes, refused: bytes) -> Iterator[tuple[int, str]]:
    """Place and cause of the result lines that begin with ``refused``."""
    for index, line in enumerate(results.split(b"\n")):
        if line.startswith(refused):
            yield index, json.loads(line)["message"]


def line_too_long(limit: int) -> CanonicalizationError:
    """The error of a line that is longer than the limit."""
    return canonicalization_error("document_too_large", offset=limit)


def refuse_document(name: str, error: CanonicalizationError, output: Output, *, as_json: bool) -> int:
    """Say what is wrong with a single document; the command's status."""
    complain(f"{printable(name)}: {error}")
    if as_json:
        output.write(json_line(error_fields(error)))
    else:
        output.abandon()
    return exits.REFUSED


def error_fields(error: SigilError) -> dict[str, object]:
    """A refused payload's error, as ``encode_ndjson`` words it."""
    fields: dict[str, object] = {"error": error.code, "message": str(error)}
    if isinstance(error, CanonicalizationError):
        fields |= {"pointer": error.pointer, "offset": error.offset}
    return fields
