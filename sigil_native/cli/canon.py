"""``sigil canon``: the RFC 8785 form of JSON."""

from __future__ import annotations

import argparse
from functools import partial

from sigil_native import canonicalize_json
from sigil_native.cli import exits
from sigil_native.cli.lines import EachLine, error_fields, refuse_document, run_lines
from sigil_native.cli.output import json_line, open_output
from sigil_native.cli.streams import Source
from sigil_native.errors import CanonicalizationError


def run(args: argparse.Namespace) -> int:
    """Write canonical bytes; in single mode exactly those, without a newline but on a terminal."""
    convert = partial(canonicalize_json, integers=args.integers, max_depth=args.max_depth)
    convert(b"0")  # refuses wrong options before any input is read
    if args.ndjson:
        if args.json:
            job = EachLine(
                lambda line: json_line({"canonical": convert(line).decode()}),
                lambda error: json_line(error_fields(error)),
            )
        else:
            # An empty line is never canonical JSON: results stay line for line with the input.
            job = EachLine(lambda line: convert(line) + b"\n", lambda _: b"\n")
        return run_lines(args, job, "canon")
    with Source(args.file) as source, open_output(args.output) as output:
        text = source.read_all()
        try:
            canonical = convert(text)
        except CanonicalizationError as error:
            return refuse_document(source.name, error, output, as_json=args.json)
        if args.json:
            output.write(json_line({"canonical": canonical.decode()}))
        else:
            output.write_document(canonical)
    return exits.OK
