"""``sigil keygen``: make and rotate secrets."""

from __future__ import annotations

import argparse
import base64
import time

from sigil_native._constants import MAX_EXPIRY_MS
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from sigil_native._keyfile_changes import (
    activated,
    change_key_ring_file,
    fresh_secret,
    id_of,
    with_fresh_key,
)
from sigil_native.cli import exits
from sigil_native.cli.keys import RING, read_ring_file, ring_path
from sigil_native.cli.output import json_line, open_output, printable


def run(args: argparse.Namespace) -> int:
    """Make a key ring file, add a key to one, or print a bare secret."""
    if args.raw:
        if args.rotate or args.keyring or args.json:
            raise exits.UsageError("keygen: --raw goes with no other option")
        secret = base64.urlsafe_b64encode(fresh_secret()).rstrip(b"=")
        with open_output(None) as output:
            output.write(secret + b"\n")
        return exits.OK
    if args.retire_previous_in is not None and not args.rotate:
        raise exits.UsageError("keygen: --retire-previous-in goes with --rotate")
    path = ring_path(args.keyring)
    if path is None:
        raise exits.UsageError(f"keygen: give --keyring FILE, set {RING}, or ask for --raw")
    key_id = _rotate(path, args.retire_previous_in) if args.rotate else _create(path)
    text = f"{key_id:08x}"
    with open_output(None) as output:
        output.write(json_line({"key_id": text}) if args.json else text.encode() + b"\n")
    return exits.OK


def _create(path: str) -> int:
    entry = KeyEntry(fresh_secret())
    try:
        write_key_ring_file(path, [entry])
    except FileExistsError:
        raise exits.InputOutputError(
            f"{printable(path)} exists and is left as it is; --rotate adds a key to it"
        ) from None
    return id_of(entry)


def _rotate(path: str, retire_previous_in: float | None) -> int:
    """Add a key that signs from now on; those that signed before only verify.

    Like ``KeyRing.rotate``, on the file.
    """
    retire_at = None if retire_previous_in is None else round(time.time() + retire_previous_in, 3)
    if retire_at is not None and retire_at > MAX_EXPIRY_MS // 1000:
        raise exits.UsageError("keygen: --retire-previous-in is out of range: beyond the year 9999")
    key_id = 0

    def rotated(entries: list[KeyEntry]) -> list[KeyEntry]:
        nonlocal key_id
        entries, key_id = with_fresh_key(entries)
        return activated(entries, key_id, retire_previous_at=retire_at)

    read_ring_file(path, plain=True)  # for its complaints: what goes wrong afterwards is about writing
    change_key_ring_file(path, rotated)
    return key_id
