"""``sigil keygen``: make and rotate secrets."""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sigil_native import KeyRing
from sigil_native._constants import MAX_EXPIRY_MS
from sigil_native._keyfile import KeyEntry, write_key_ring_file
from sigil_native.cli import exits
from sigil_native.cli.keys import RING, read_ring_file, ring_path
from sigil_native.cli.output import json_line, open_output, printable
from sigil_native.errors import DuplicateKeyError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET_SIZE: Final = 32


def run(args: argparse.Namespace) -> int:
    """Make a key ring file, add a key to one, or print a bare secret."""
    if args.raw:
        if args.rotate or args.keyring or args.json:
            raise exits.UsageError("keygen: --raw goes with no other option")
        secret = base64.urlsafe_b64encode(os.urandom(_SECRET_SIZE)).rstrip(b"=")
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
    entry = KeyEntry(os.urandom(_SECRET_SIZE))
    try:
        write_key_ring_file(path, [entry])
    except FileExistsError:
        raise exits.InputOutputError(
            f"{printable(path)} exists and is left as it is; --rotate adds a key to it"
        ) from None
    return KeyRing().add(entry.secret)


def _rotate(path: str, retire_previous_in: float | None) -> int:
    """Add a key that signs from now on; those that signed before only verify.

    Like ``KeyRing.rotate``, on the file.
    """
    retire_at = None if retire_previous_in is None else round(time.time() + retire_previous_in, 3)
    if retire_at is not None and retire_at > MAX_EXPIRY_MS // 1000:
        raise exits.UsageError("keygen: --retire-previous-in is out of range: beyond the year 9999")
    with _locked(path):
        entries = [_stand_down(entry, retire_at) for entry in read_ring_file(path)]
        ring = KeyRing()
        for entry in entries:
            ring.add(entry.secret, state=entry.state)
        while True:
            secret = os.urandom(_SECRET_SIZE)
            try:
                key_id = ring.add(secret)
                break
            except DuplicateKeyError:  # 32 bits of id can meet by chance
                continue
        target = os.path.realpath(path)  # a link stays a link
        write_key_ring_file(target, [*entries, KeyEntry(secret)], replace=True)
    return key_id


def _stand_down(entry: KeyEntry, retire_at: float | None) -> KeyEntry:
    if entry.state != "active":
        return entry
    if retire_at is None or (entry.retire_at is not None and entry.retire_at < retire_at):
        retire_at = entry.retire_at
    return entry._replace(state="verify-only", retire_at=retire_at)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep two rotations of one file apart; the second starts from the first one's result."""
    if fcntl is None:
        yield
        return
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise exits.ConfigurationError(f"key ring file {printable(path)}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The file may have been replaced while this waited for its lock.
            if os.fstat(descriptor).st_ino == Path(path).stat().st_ino:
                yield
                return
        finally:
            os.close(descriptor)
