"""``sigil sign``: event signatures, the older form without a header."""

from __future__ import annotations

import argparse
import hmac
import json
import re
from collections import Counter
from typing import NoReturn

from sigil_native import HmacKey, canonicalize_json, sign_event
from sigil_native._constants import DEFAULT_MAX_DEPTH
from sigil_native._problems import canonicalization_error
from sigil_native.cli import exits
from sigil_native.cli.keys import signing_secret, verifying_secrets
from sigil_native.cli.lines import refuse_document
from sigil_native.cli.output import complain, json_line, open_output
from sigil_native.cli.streams import Source
from sigil_native.errors import CanonicalizationError, JsonSyntaxError


def run(args: argparse.Namespace) -> int:
    """Print the signature of a payload, or check one."""
    if args.text != "jcs" and (args.integers, args.max_depth) != ("safe", DEFAULT_MAX_DEPTH):
        raise exits.UsageError("sign: --integers and --max-depth go with --text jcs only")
    # The secret comes first: without one there is nothing to read a payload for.
    verify = args.verify is not None
    secrets = verifying_secrets(args.keyring) if verify else [signing_secret(args.keyring)]
    with Source(args.file) as source, open_output(args.output) as output:
        text = source.read_all()
        try:
            signatures = _signatures(text, secrets, args)
        except CanonicalizationError as error:
            return refuse_document(source.name, error, output, as_json=args.json)
        if not verify:
            signature = signatures[0]
            output.write(
                json_line({"signature": signature, "text": args.text})
                if args.json
                else signature.encode() + b"\n"
            )
            return exits.OK
        given = args.verify.encode("ascii", "replace")
        # Every key is compared, so the time does not tell which one matched.
        matches = [hmac.compare_digest(given, signature.encode()) for signature in signatures]
        valid = any(matches) and re.fullmatch(rb"[0-9a-f]{64}", given) is not None
        if args.json:
            output.write(json_line({"valid": valid}))
        elif valid:
            output.write(b"valid\n")
        else:
            output.abandon()
        if not valid:
            complain("refused: the signature does not match")
    return exits.OK if valid else exits.REFUSED


def _signatures(text: bytes, secrets: list[bytes], args: argparse.Namespace) -> list[str]:
    if args.text == "jcs":
        canonical = canonicalize_json(text, integers=args.integers, max_depth=args.max_depth)
        return [HmacKey(secret).hexdigest(canonical) for secret in secrets]
    value = parse_strictly(text)
    return [sign_event(value, secret, text=args.text) for secret in secrets]


def parse_strictly(text: bytes) -> object:
    """The Python value of JSON text; member order is kept, doubt is refused.

    ``JSON.stringify`` speaks of values, in the order of their members and with lone
    surrogates, which canonical text has lost; hence this parser beside the other.

    Raises:
        CanonicalizationError: not JSON, not UTF-8, a byte order mark, a name
            twice, NaN or an infinity, an endless integer, too deep.
    """
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise canonicalization_error("invalid_utf8", offset=error.start) from None
    if decoded.startswith("\ufeff"):
        raise canonicalization_error("byte_order_mark", offset=0)
    try:
        return json.loads(decoded, object_pairs_hook=_members, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        offset = len(decoded[: error.pos].encode())
        raise JsonSyntaxError(error.msg[:1].lower() + error.msg[1:], offset=offset) from None
    except RecursionError:
        raise canonicalization_error("nesting_too_deep") from None
    except CanonicalizationError:
        raise
    except ValueError:  # Python's own limit on the digits of an integer
        raise canonicalization_error("integer_range") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise canonicalization_error("duplicate_name", detail=json.dumps(twice))
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise canonicalization_error("non_finite_number", detail=name)
