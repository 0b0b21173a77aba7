"""``sigil decode`` and ``sigil strand``: read sigils, verify nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, NamedTuple

from sigil_native import KeyRing, Sigil, SigilCodec
from sigil_native._constants import SIGIL_SIZE, STRAND_SIZE, TEXT_SIZE
from sigil_native.cli import exits
from sigil_native.cli.lines import line_too_long, split_lines
from sigil_native.cli.output import complain, json_line, open_output, table
from sigil_native.cli.report import fields_for_people, fields_for_programs
from sigil_native.cli.streams import DEFAULT_MAX_LINE, LongLine, Source, line_blocks
from sigil_native.errors import SigilError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: No line of text begins like a version 1 sigil in binary.
_BINARY_START: Final = b"\x01"
_BATCH: Final = 4096


def decode(args: argparse.Namespace) -> int:
    """Show the fields of sigils, as claims: nothing is verified."""
    first = True

    def render(value: bytes, sigil: Sigil) -> bytes:
        nonlocal first
        if args.json:
            fields = {"form": _form(value), **fields_for_programs(sigil), "tag": sigil.tag.hex()}
            return json_line(fields)
        gap = b"" if first else b"\n"
        first = False
        return gap + table({"form": _form(value), **fields_for_people(sigil), "tag": sigil.tag.hex()})

    return _run(args, render, b"")


def strand(args: argparse.Namespace) -> int:
    """Convert sigils between their forms; without ``--to``, strand to text and others to strand."""
    if args.to == "binary" and args.json:
        raise exits.UsageError("strand: --json cannot hold the binary form")

    def render(value: bytes, sigil: Sigil) -> bytes:
        if args.to == "binary":
            return bytes(sigil)
        to_strand = args.to == "strand" if args.to else _form(value) != "strand"
        text = sigil.strand if to_strand else sigil.text
        return json_line({"sigil": text}) if args.json else text.encode() + b"\n"

    return _run(args, render, b"" if args.to == "binary" else b"\n")


def _run(args: argparse.Namespace, render: Callable[[bytes, Sigil], bytes], gap: bytes) -> int:
    """Render every sigil of the arguments, or of standard input.

    ``gap`` stands for a bad one read from standard input, where results are lines.
    """
    codec = SigilCodec(KeyRing())
    from_input = args.operands in ([], ["-"])
    bad = total = 0
    with open_output(args.output) as output:
        for batch in _from_input() if from_input else _from_arguments(args.operands):
            results = []
            for number, value in enumerate(batch.values, batch.first):
                total += 1
                try:
                    if isinstance(value, SigilError):
                        raise value
                    results.append(render(value, codec.decode(value)))
                except SigilError as error:
                    bad += 1
                    complain(f"{batch.place} {number}: {error}")
                    if args.json:
                        results.append(json_line({"error": error.code, "message": str(error)}))
                    elif from_input:
                        results.append(gap)
            output.write(b"".join(results))
    if bad and total > 1:
        complain(f"{bad} of {total} sigils refused")
    return exits.REFUSED if bad else exits.OK


class _Batch(NamedTuple):
    """Sigils as they came; ``place`` and ``first`` say how to name them in a complaint."""

    place: str
    first: int
    values: Sequence[bytes | SigilError]


def _from_arguments(sigils: list[str]) -> Iterator[_Batch]:
    yield _Batch("argument", 1, [sigil.encode("ascii", "replace") for sigil in sigils])


def _from_input() -> Iterator[_Batch]:
    """Lines of text forms, or 64-byte records of the binary form."""
    with Source(None) as source:
        if source.peek() == _BINARY_START:
            number = 1
            while data := source.read_up_to(SIGIL_SIZE * _BATCH):
                records = [data[at : at + SIGIL_SIZE] for at in range(0, len(data), SIGIL_SIZE)]
                yield _Batch("record", number, records)
                number += len(records)
            return
        place, number = f"{source.name}, line", 1
        for block in line_blocks(source):
            values: list[bytes | SigilError]
            if isinstance(block, LongLine):
                values = [line_too_long(DEFAULT_MAX_LINE)]
            else:
                values = [line.strip() for line in split_lines(block)]
            yield _Batch(place, number, values)
            number += len(values)


def _form(value: bytes) -> str:
    """The form of what was decoded: its shape tells."""
    by_size = {SIGIL_SIZE: "binary", TEXT_SIZE: "text", STRAND_SIZE: "strand"}
    return "token" if value[TEXT_SIZE : TEXT_SIZE + 1] == b"." else by_size[len(value)]
