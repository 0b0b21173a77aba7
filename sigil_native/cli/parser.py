"""The arguments of every command; what the commands do is imported only when they run."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from sigil_native import __version__, backend
from sigil_native._constants import DEFAULT_FUTURE_SKEW, DEFAULT_MAX_DEPTH, FORMS, INTEGER_MODES, SIGNED_TEXTS
from sigil_native.cli import exits, values
from sigil_native.cli.output import open_output

_SECRETS = """\
secrets, the first that is given:
  --keyring FILE, SIGIL_KEYRING  a key ring file, made by sigil keygen
  SPIRAL_EVENT_SECRET            the secret itself, at least 32 bytes
  SPIRAL_EVENT_SECRET_FILE       a file that holds it, without its last newline
Beside the last two, SPIRAL_EVENT_SECRET_PREVIOUS (or _FILE) holds secrets that still
verify, a line each.
"""

_AUDIT_SECRETS = """\
secrets, the first that is given:
  --secret-file FILE        a file that holds one, without its last newline; once for each
                            secret that the log was written under
  SIGIL_AUDIT_SECRET        the secret itself, at least 32 bytes
  SIGIL_AUDIT_SECRET_FILE   a file that holds it
"""
_AUDIT_FAULTS = 100


class Parser(argparse.ArgumentParser):
    """Complains in one line, as the rest of the command does."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """End with the status for wrong usage."""
        command = self.prog.partition(" ")[2]
        where = f"{command}: " if command else ""
        raise exits.UsageError(f"{where}{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: object = None) -> None:
        """Help and version; unlike argparse's own, a failed write is an error."""
        del file  # always standard output: complaints are raised
        with open_output(None) as output:
            output.write(message.encode())


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="sigil",
        description="Tamper-evident seals for JSON: encode, verify, decode; canonical JSON; keys; logs.",
        epilog=f"{_SECRETS}\n{exits.HELP}",
    )
    parser.add_argument("--version", action="version", version=f"sigil {__version__} ({backend} backend)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_keygen, _canon, _encode, _verify, _decode, _sign, _strand, _audit):
        add(commands)
    return parser


def _add(
    commands: Any, name: str, run: str, text: str, *, secrets: bool = False, secrets_help: str = ""
) -> Parser:
    """A command; ``run`` is the function that does it, as module:function."""
    secrets_help = _SECRETS if secrets else secrets_help
    epilog = f"{secrets_help}\n{exits.HELP}" if secrets_help else exits.HELP
    command: Parser = commands.add_parser(name, help=text.partition("\n")[0], description=text, epilog=epilog)
    command.set_defaults(run=run)
    if secrets:
        command.add_argument("--keyring", metavar="FILE", help="key ring file")
    return command


def _file(command: Parser) -> None:
    command.add_argument("file", nargs="?", metavar="FILE", help="input; standard input if absent or -")


def _output(command: Parser) -> None:
    command.add_argument(
        "-o", "--output", metavar="FILE", help="write here, whole or not at all, instead of standard output"
    )


def _json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="results as JSON, an object on a line")


def _json_options(command: Parser) -> None:
    command.add_argument(
        "--integers",
        choices=INTEGER_MODES,
        default="safe",
        help="exact: integers beyond 2^53-1 digit for digit, instead of refusing them",
    )
    command.add_argument(
        "--max-depth",
        type=int,
        default=DEFAULT_MAX_DEPTH,
        metavar="N",
        help=f"deepest nesting of arrays and objects (default {DEFAULT_MAX_DEPTH})",
    )


def _stream_options(command: Parser, lines: str) -> None:
    command.add_argument(
        "--ndjson", action="store_true", help=f"{lines}; a bad line stops no other; memory stays constant"
    )
    command.add_argument(
        "--max-line-bytes",
        type=values.size,
        metavar="SIZE",
        help="with --ndjson, refuse longer lines (default 64MiB)",
    )
    _no_progress(command)


def _no_progress(command: Parser) -> None:
    command.add_argument("--no-progress", dest="progress", action="store_false", help="no progress bar")


def _tenant(command: Parser) -> None:
    command.add_argument("--tenant", required=True, help="whose seal it is, 1 to 128 bytes of UTF-8")


def _keygen(commands: Any) -> None:
    command = _add(
        commands,
        "keygen",
        "sigil_native.cli.keygen:run",
        "make a key ring file with a fresh key, or add one to it\n\n"
        "Prints the key's id, never the secret. The file is readable by its owner alone.",
    )
    command.add_argument("--keyring", metavar="FILE", help="the key ring file (or SIGIL_KEYRING)")
    command.add_argument(
        "--rotate",
        action="store_true",
        help="add a key that signs from now on to an existing file; the others only verify",
    )
    command.add_argument(
        "--retire-previous-in",
        type=values.duration,
        metavar="DURATION",
        help="with --rotate: the keys that signed so far stop verifying after this long",
    )
    command.add_argument(
        "--raw", action="store_true", help="print a fresh secret, fit for SPIRAL_EVENT_SECRET; no file"
    )
    _json(command)


def _canon(commands: Any) -> None:
    command = _add(
        commands,
        "canon",
        "sigil_native.cli.canon:run",
        "write the RFC 8785 form of JSON\n\n"
        "One document, its bytes exactly, without a newline (but on a terminal); or with --ndjson a\n"
        "line for each line (an empty one for a bad line).",
    )
    _file(command)
    _output(command)
    _json(command)
    _json_options(command)
    _stream_options(command, "each line of the input is a document")


def _encode(commands: Any) -> None:
    command = _add(
        commands,
        "encode",
        "sigil_native.cli.encode:run",
        "seal JSON: one document, or each line with --ndjson\n\n"
        'A bad line\'s result is an object {"error":...,"message":...,"pointer":...,"offset":...}.',
        secrets=True,
    )
    _file(command)
    _tenant(command)
    command.add_argument(
        "--expires-in", type=values.duration, metavar="DURATION", help="3600, 90s, 15m, 2h, 30d or 4w"
    )
    command.add_argument("--form", choices=FORMS, default="text", help="form of the sigils (default text)")
    _output(command)
    _json(command)
    _json_options(command)
    _stream_options(command, "each line of the input is a document")


def _verify(commands: Any) -> None:
    command = _add(
        commands,
        "verify",
        "sigil_native.cli.verify:run",
        "check a sigil against its payload\n\n"
        "The payload comes from FILE or standard input; a token carries its own. With --ndjson each\n"
        'line is {"sigil":...,"data":...} or a token, and the result {"valid":true,...} or\n'
        '{"valid":false,"error":...}.',
        secrets=True,
    )
    command.add_argument("operands", nargs="*", metavar="[SIGIL] [FILE]", help="the sigil, then the payload")
    command.add_argument("--sigil-file", metavar="FILE", help="read the sigil here, in any form")
    _tenant(command)
    command.add_argument(
        "--now", type=values.moment, metavar="TIME", help="judge expiry at this time: seconds or RFC 3339"
    )
    command.add_argument(
        "--max-future-skew",
        type=float,
        default=DEFAULT_FUTURE_SKEW,
        metavar="SECONDS",
        help="how far the signer's clock may be ahead (default 60)",
    )
    command.add_argument(
        "--payload", action="store_true", help="when it holds, print the payload's canonical bytes instead"
    )
    _output(command)
    _json(command)
    _json_options(command)
    _stream_options(command, "each line of the input is a sigil and its data, or a token")


def _decode(commands: Any) -> None:
    command = _add(
        commands,
        "decode",
        "sigil_native.cli.sigils:decode",
        "show the fields of sigils; nothing is verified\n\n"
        "Takes any form, from the arguments or a line each from standard input (or 64-byte records).",
    )
    _sigils(command)


def _strand(commands: Any) -> None:
    command = _add(
        commands,
        "strand",
        "sigil_native.cli.sigils:strand",
        "convert sigils to the DNA form and back\n\n"
        "Takes any form, from the arguments or a line each from standard input (or 64-byte records);\n"
        "a token loses its payload.",
    )
    command.add_argument(
        "--to",
        choices=("text", "strand", "binary"),
        help="form of the result (default: strand, or text for what is a strand)",
    )
    _sigils(command)


def _sigils(command: Parser) -> None:
    command.add_argument("operands", nargs="*", metavar="SIGIL", help="standard input if absent or -")
    _output(command)
    _json(command)


def _sign(commands: Any) -> None:
    command = _add(
        commands,
        "sign",
        "sigil_native.cli.sign:run",
        "sign an event, or check its signature\n\n"
        "Lower-case hex of HMAC-SHA-256 over the payload's text: its RFC 8785 form, or exactly what\n"
        "ECMAScript's JSON.stringify writes.",
        secrets=True,
    )
    _file(command)
    command.add_argument("--text", choices=SIGNED_TEXTS, default="jcs", help="what is signed (default jcs)")
    command.add_argument("--verify", metavar="SIGNATURE", help="check this signature instead")
    _output(command)
    _json(command)
    _json_options(command)


def _audit(commands: Any) -> None:
    text = "check audit logs"
    group: Parser = commands.add_parser("audit", help=text, description=text, epilog=exits.HELP)
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    command = _add(
        actions,
        "verify",
        "sigil_native.cli.audit:verify",
        "check that nobody changed an audit log\n\n"
        "The files are parts of one log, the oldest first. Each fault is named with its file, line and\n"
        "sequence number. A tail that was cut off is found with --last alone.",
        secrets_help=_AUDIT_SECRETS,
    )
    # As complaints name it.
    command.set_defaults(command="audit verify")
    command.add_argument("operands", nargs="*", metavar="FILE", help="standard input if absent or -")
    command.add_argument(
        "--secret-file",
        action="append",
        default=[],
        metavar="FILE",
        help="a secret of the log; may be repeated",
    )
    command.add_argument(
        "--last",
        type=values.audit_place,
        metavar="SEQ:TAG",
        help="a line that the log must reach, as known from elsewhere",
    )
    command.add_argument(
        "--after",
        type=values.audit_place,
        metavar="SEQ:TAG",
        help="the line that the log must follow: the last of an earlier check",
    )
    command.add_argument(
        "--max-faults",
        type=values.count,
        default=_AUDIT_FAULTS,
        metavar="N",
        help=f"name so many faults, and count the others (default {_AUDIT_FAULTS})",
    )
    _output(command)
    _json(command)
    _no_progress(command)
