"""Where secrets come from: a key ring file or the environment, never the command line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sigil_native import KeyRing
from sigil_native._keyfile import KeyEntry, read_key_ring_file, require_plain_file
from sigil_native.cli.exits import ConfigurationError
from sigil_native.cli.output import printable
from sigil_native.errors import DuplicateKeyError, KeyRingFormatError, NoActiveKeyError, WeakSecretError

if TYPE_CHECKING:
    from collections.abc import Iterator

RING: Final = "SIGIL_KEYRING"
SECRET: Final = "SPIRAL_EVENT_SECRET"  # noqa: S105 - a variable's name
PREVIOUS: Final = "SPIRAL_EVENT_SECRET_PREVIOUS"
AUDIT_SECRET: Final = "SIGIL_AUDIT_SECRET"  # noqa: S105 - likewise
_LARGEST_FILE: Final = 1 << 20


class _Key(NamedTuple):
    """A key, and the name by which to complain about it."""

    origin: str
    entry: KeyEntry


def ring_path(option: str | None) -> str | None:
    """The key ring file's path, if one is named."""
    return option or os.environ.get(RING) or None


def read_ring_file(path: str, *, plain: bool = False) -> list[KeyEntry]:
    """The keys of a key ring file.

    Args:
        path: where.
        plain: refuse a pipe or a device, which cannot be changed.

    Raises:
        ConfigurationError: it cannot be read, or breaks the format.
    """
    try:
        if plain:
            require_plain_file(path)
        return read_key_ring_file(path)
    except KeyRingFormatError as error:
        raise ConfigurationError(printable(str(error))) from None
    except OSError as error:
        raise ConfigurationError(f"key ring file {printable(path)}: {error.strerror}") from None


def ring_of(keys: Iterator[_Key] | list[_Key]) -> KeyRing:
    """A ring of keys.

    Raises:
        ConfigurationError: a weak secret, or two keys of one id.
    """
    ring = KeyRing()
    for origin, entry in keys:
        try:
            ring.add(entry.secret, state=entry.state, not_before=entry.not_before, retire_at=entry.retire_at)
        except (WeakSecretError, DuplicateKeyError) as error:
            raise ConfigurationError(f"{origin}: {error}") from None
    return ring


def load_ring(option: str | None) -> KeyRing:
    """The ring that the command line or the environment names.

    Raises:
        ConfigurationError: there is none, or it is unusable.
    """
    return ring_of(_configured_keys(option))


def signing_secret(option: str | None) -> bytes:
    """The secret that signs now; the ring's own rule.

    Raises:
        ConfigurationError: there is none, or it is unusable.
        NoActiveKeyError: no key of the ring may sign now.
    """
    now = time.time()
    candidates = [entry for entry in _usable_now(option, now) if entry.state == "active"]
    if not candidates:
        raise NoActiveKeyError
    # The latest not_before wins; max() keeps the first of equals, so look from the end.
    return max(reversed(candidates), key=lambda entry: entry.not_before or 0).secret


def verifying_secrets(option: str | None) -> list[bytes]:
    """The secrets that verify now.

    Raises:
        ConfigurationError: there is none, or one is unusable.
    """
    return [entry.secret for entry in _usable_now(option, time.time())]


def audit_secrets(files: list[str]) -> list[bytes]:
    """The secrets of an audit log: of the files that the command line names, or the environment's.

    Raises:
        ConfigurationError: there is none, or a file cannot be read.
    """
    if files:
        # A secret given twice is one: nothing is ambiguous.
        return list(dict.fromkeys(_read_secret(path, "--secret-file") for path in files))
    given = _variable(AUDIT_SECRET)
    if given is None:
        raise ConfigurationError(
            f"no secret: give --secret-file FILE, or set {AUDIT_SECRET} or {AUDIT_SECRET}_FILE"
        )
    return [given.value]


def _usable_now(option: str | None, now: float) -> list[KeyEntry]:
    keys = _configured_keys(option)
    ring_of(keys)  # for its checks
    return [
        entry
        for _, entry in keys
        if entry.state != "revoked"
        and (entry.not_before is None or entry.not_before <= now)
        and (entry.retire_at is None or now < entry.retire_at)
    ]


def _configured_keys(option: str | None) -> list[_Key]:
    path = ring_path(option)
    if path is not None:
        entries = read_ring_file(path)
        return [
            _Key(f"key ring file {printable(path)}: key {number}", entry)
            for number, entry in enumerate(entries, 1)
        ]
    current = _variable(SECRET)
    if current is None:
        raise ConfigurationError(f"no secret: give --keyring FILE, or set {RING}, {SECRET} or {SECRET}_FILE")
    keys = {current.value: _Key(current.origin, KeyEntry(current.value))}
    if previous := _variable(PREVIOUS):
        for line in previous.value.replace(b"\r\n", b"\n").split(b"\n"):
            # A secret named twice, or the current one among the earlier: nothing is ambiguous.
            if line and line not in keys:
                keys[line] = _Key(previous.origin, KeyEntry(line, "verify-only"))
    return list(keys.values())


class _Variable(NamedTuple):
    origin: str
    value: bytes


def _variable(name: str) -> _Variable | None:
    """The bytes of a variable, or of the file that ``name_FILE`` names; empty is unset."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and path:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; keep one")
    if value:
        return _Variable(name, os.fsencode(value))
    if not path:
        return None
    return _Variable(f"{name}_FILE", _read_secret(path, f"{name}_FILE"))


def _read_secret(path: str, origin: str) -> bytes:
    """What a file holds, without one newline at its end: editors put it there."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{origin}: {printable(path)}: {error.strerror}") from None
    if len(content) > _LARGEST_FILE:
        raise ConfigurationError(f"{origin}: {printable(path)}: larger than 1 MiB")
    return content.removesuffix(b"\n").removesuffix(b"\r")
