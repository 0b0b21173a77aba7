"""``sigil encode``: seal JSON documents."""

from __future__ import annotations

import argparse
from typing import Final

from sigil_native import SigilCodec
from sigil_native._constants import STRAND_SIZE, TEXT_SIZE
from sigil_native.cli import exits
from sigil_native.cli.keys import load_ring
from sigil_native.cli.lines import Results, error_fields, reasons, refuse_document, run_lines
from sigil_native.cli.output import json_line, open_output
from sigil_native.cli.report import fields_for_programs
from sigil_native.cli.streams import Source
from sigil_native.errors import CanonicalizationError, InvalidExpiryError, SigilError

#: How ``encode_ndjson`` begins the result of a refused line; no sigil has a brace.
_REFUSED: Final = b'{"error":'
_LINE_SIZES: Final = {"text": TEXT_SIZE + 1, "strand": STRAND_SIZE + 1}


class _EncodeLines:
    """Blocks of lines through ``encode_ndjson``."""

    def __init__(self, codec: SigilCodec, args: argparse.Namespace) -> None:
        self._codec = codec
        self._tenant: str = args.tenant
        self._expires_in: float | None = args.expires_in
        self._form: str = args.form
        self._json: bool = args.json

    def process(self, data: memoryview) -> Results:
        """Results of a block of complete lines."""
        output = self._codec.encode_ndjson(
            data, tenant=self._tenant, expires_in=self._expires_in, form=self._form
        )
        # Only results of refused lines have a brace, and the others mostly one length:
        # looking for one brace is many times faster than counting.
        if b"{" not in output:
            size = _LINE_SIZES.get(self._form)
            lines = len(output) // size if size else output.count(b"\n")
            return Results(_as_objects(output) if self._json else output, lines)
        lines, refused = output.count(b"\n"), output.count(_REFUSED)
        named = reasons(output, _REFUSED)
        return Results(_as_objects(output) if self._json else output, lines, refused, named)

    def refuse(self, error: SigilError) -> Results:
        """The result of a line that is too long to be read."""
        return Results(json_line(error_fields(error)), 1, 1, [(0, str(error))])


def _as_objects(results: bytes) -> bytes:
    """Every sigil wrapped in an object; refused lines are objects already."""
    lines = results.split(b"\n")[:-1]
    return b"".join(
        line + b"\n" if line.startswith(_REFUSED) else b'{"sigil":"' + line + b'"}\n' for line in lines
    )


def run(args: argparse.Namespace) -> int:
    """Seal one document, or every line of a stream."""
    if args.form == "binary" and (args.ndjson or args.json):
        raise exits.UsageError("encode: the binary form goes with neither --ndjson nor --json")
    codec = SigilCodec(load_ring(args.keyring), integers=args.integers, max_depth=args.max_depth)
    # Wrong options, and a ring without a key that may sign, show before any input is read.
    try:
        codec.encode_json(b"0", tenant=args.tenant, expires_in=args.expires_in, form=args.form)
    except InvalidExpiryError:
        raise exits.UsageError(
            "encode: --expires-in is out of range: under a millisecond, or beyond the year 9999"
        ) from None
    if args.ndjson:
        return run_lines(args, _EncodeLines(codec, args), "encode")
    with Source(args.file) as source, open_output(args.output) as output:
        text = source.read_all()
        try:
            sigil = codec.encode_json(text, tenant=args.tenant, expires_in=args.expires_in, form=args.form)
        except CanonicalizationError as error:
            return refuse_document(source.name, error, output, as_json=args.json)
        if isinstance(sigil, bytes):
            output.write(sigil)
        elif args.json:
            output.write(json_line({"sigil": sigil, **fields_for_programs(codec.decode(sigil))}))
        else:
            output.write(sigil.encode() + b"\n")
    return exits.OK
