"""``sigil verify``: does a seal hold?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from sigil_native import SigilCodec, canonicalize_json
from sigil_native._constants import SIGIL_SIZE, TEXT_SIZE
from sigil_native.cli import exits
from sigil_native.cli.keys import load_ring
from sigil_native.cli.lines import Results, line_too_long, reasons, run_lines, split_lines
from sigil_native.cli.output import complain, json_line, open_output, printable, table
from sigil_native.cli.report import fields_for_people, fields_for_programs, refusal_fields
from sigil_native.cli.streams import DEFAULT_MAX_LINE, Source
from sigil_native.errors import CanonicalizationError, SigilError

if TYPE_CHECKING:
    from sigil_native import Sigil

_REFUSED: Final = b'{"valid":false'
_TOKEN_START: Final = b"sgl1_"
#: A token carries its payload; the same as for a line of tokens.
_LARGEST_SIGIL_FILE: Final = DEFAULT_MAX_LINE


class _VerifyLines:
    """Blocks of lines through ``verify_ndjson``, and bare tokens one by one."""

    def __init__(self, codec: SigilCodec, args: argparse.Namespace) -> None:
        self._codec = codec
        self._tenant: str = args.tenant
        self._now: float | None = args.now

    def process(self, data: memoryview) -> Results:
        """Results of a block of complete lines."""
        verdicts = self._with_tokens if _may_hold_token(data) else self._objects
        output = verdicts(data)
        lines, refused = output.count(b"\n"), output.count(_REFUSED)
        return Results(output, lines, refused, reasons(output, _REFUSED))

    def _objects(self, lines: bytes | memoryview) -> bytes:
        return self._codec.verify_ndjson(lines, tenant=self._tenant, now=self._now)

    def _with_tokens(self, data: memoryview) -> bytes:
        """Results of lines some of which may be bare tokens, in their order."""
        lines = split_lines(data)
        objects = b"".join(line + b"\n" for line in lines if not _is_bare_token(line))
        verdicts = iter(self._objects(objects).split(b"\n"))
        return b"".join(
            self._token(line) if _is_bare_token(line) else next(verdicts) + b"\n" for line in lines
        )

    def _token(self, line: bytes) -> bytes:
        token = line.rstrip(b"\r\t ")  # the white space of JSON
        try:
            found, _ = self._codec.verify_token(token, tenant=self._tenant, now=self._now)
        except SigilError as error:
            return json_line(refusal_fields(error))
        return json_line({"valid": True, **fields_for_programs(found)})

    def refuse(self, error: SigilError) -> Results:
        """The result of a line that is too long to be read."""
        return Results(json_line(refusal_fields(error)), 1, 1, [(0, str(error))])


def _may_hold_token(data: memoryview) -> bool:
    """A quick look: no line of an ordinary stream of objects begins so."""
    block = bytes(data)
    return block.startswith(_TOKEN_START) or b"\n" + _TOKEN_START in block


def _is_bare_token(line: bytes) -> bool:
    return line.startswith(_TOKEN_START) and b"." in line


def run(args: argparse.Namespace) -> int:
    """Verify one sigil, or every line of a stream."""
    sigil, args.file = _operands(args)
    codec = SigilCodec(
        load_ring(args.keyring),
        max_future_skew=args.max_future_skew,
        integers=args.integers,
        max_depth=args.max_depth,
    )
    # Nothing to verify: refuses a wrong tenant or moment before any input is read.
    codec.verify_ndjson(b"", tenant=args.tenant, now=args.now)
    if args.ndjson:
        return run_lines(args, _VerifyLines(codec, args), "verify")
    with open_output(args.output) as output:
        try:
            if sigil is None:
                sigil = read_sigil(args.sigil_file)
            found, canonical = _verify_one(codec, sigil, args)
        except SigilError as error:
            name = _payload_name(args) if sigil is not None else printable(args.sigil_file)
            place = f"{name}: " if isinstance(error, CanonicalizationError) else ""
            complain(f"refused: {place}{error}")
            if args.json:
                output.write(json_line(refusal_fields(error)))
            else:
                output.abandon()
            return exits.REFUSED
        if args.payload:
            output.write_document(canonical)
        elif args.json:
            output.write(json_line({"valid": True, **fields_for_programs(found)}))
        else:
            output.write(b"valid\n" + table(fields_for_people(found)))
    return exits.OK


def _operands(args: argparse.Namespace) -> tuple[str | bytes | None, str | None]:
    """Tell the sigil and the payload's file apart: [SIGIL] [FILE]."""
    operands: list[str] = list(args.operands)
    sigil: str | None = None
    if not args.ndjson and args.sigil_file is None:
        if not operands:
            raise exits.UsageError("verify: give the sigil, --sigil-file or --ndjson")
        sigil = operands.pop(0)
    if len(operands) > 1:
        raise exits.UsageError("verify: too many arguments")
    file = operands[0] if operands else None
    if args.ndjson:
        if args.sigil_file is not None or args.payload:
            raise exits.UsageError("verify: --ndjson goes with neither --sigil-file nor --payload")
    elif args.json and args.payload:
        raise exits.UsageError("verify: --json and --payload exclude each other")
    if args.sigil_file == "-" and file == "-":
        raise exits.UsageError("verify: sigil and payload cannot both come from standard input")
    return sigil, file


def read_sigil(path: str) -> str | bytes:
    """A sigil from a file: exactly 64 binary bytes, or one of the text forms.

    Raises:
        DocumentTooLargeError: the file is larger than any sigil that is taken.
    """
    with Source(path) as source:
        content = source.read_at_most(_LARGEST_SIGIL_FILE)
    if content is None:
        raise line_too_long(_LARGEST_SIGIL_FILE)
    if len(content) == SIGIL_SIZE:
        return content
    return content.strip()


def _payload_name(args: argparse.Namespace) -> str:
    return "standard input" if args.file in (None, "-") else printable(args.file)


def _is_token(sigil: str | bytes) -> bool:
    dot = "." if isinstance(sigil, str) else b"."
    return sigil[TEXT_SIZE : TEXT_SIZE + 1] == dot


def _verify_one(codec: SigilCodec, sigil: str | bytes, args: argparse.Namespace) -> tuple[Sigil, bytes]:
    """The verified sigil and the payload's canonical bytes, where wanted."""
    if _is_token(sigil) and args.file is None:
        return codec.verify_token(sigil, tenant=args.tenant, now=args.now)
    if args.sigil_file == "-" and args.file is None:
        raise exits.UsageError("verify: the payload needs a FILE, standard input gave the sigil")
    with Source(args.file) as source:
        text = source.read_all()
    found = codec.verify_json(sigil, text, tenant=args.tenant, now=args.now)
    if not args.payload:
        return found, b""
    return found, canonicalize_json(text, integers=args.integers, max_depth=args.max_depth)
