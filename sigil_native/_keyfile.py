"""The key ring file: a strict reader and a careful writer, for both backends.

The file is JSON::

    {"version": 1, "keys": [
        {"secret": "<base64url without padding>", "state": "active",
         "not_before": null, "retire_at": null}
    ]}

``state``, ``not_before`` and ``retire_at`` may be left out; times are seconds
since the Unix epoch. A file has 1 MiB at most, which is thousands of keys. No
message ever holds a part of a secret.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from sigil_native._arguments import check_key_state, moment_ms
from sigil_native._constants import MIN_SECRET_SIZE
from sigil_native.errors import InvalidOptionError, KeyRingFormatError

_VERSION = 1
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_FILE_MODE = 0o600
_LARGEST_FILE = 1 << 20


class KeyEntry(NamedTuple):
    """A key as its file has it."""

    secret: bytes
    state: str = "active"
    not_before: float | None = None
    retire_at: float | None = None

    def __repr__(self) -> str:
        return f"<KeyEntry {self.state}>"


def read_key_ring_file(path: str | os.PathLike[str]) -> list[KeyEntry]:
    """Read and check a key ring file.

    Raises:
        KeyRingFormatError: the file does not follow the format; names the file
            and the key (counted from 1), never a secret.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like object will do
        return _checked(file.read(_LARGEST_FILE + 1), path)


def require_plain_file(path: str | os.PathLike[str]) -> None:
    """Refuse what is no plain file, before it is opened: a pipe is waited for even when nobody writes.

    For commands that change files, or must not wait. Reading takes a pipe, as shells make them of a command.

    Raises:
        KeyRingFormatError: the path leads to a pipe, a folder or a device.
        OSError: it leads nowhere.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - any path-like object will do
        raise KeyRingFormatError(f"key ring file {os.fspath(path)}: not a plain file")


def write_key_ring_file(
    path: str | os.PathLike[str], entries: Iterable[KeyEntry], *, replace: bool = False
) -> None:
    """Write a key ring file that only its owner can read; durable when this returns.

    Args:
        path: where.
        entries: the keys, in order.
        replace: put the new file in the place of an old one, in one step; it keeps
            the old one's owner and mode.

    Raises:
        KeyRingFormatError: the file could not be read again; nothing is written.
        FileExistsError: there is a file already and ``replace`` is false.
        OSError: the file cannot be written.
    """
    keys = [
        {
            "secret": _base64url(entry.secret),
            "state": entry.state,
            "not_before": entry.not_before,
            "retire_at": entry.retire_at,
        }
        for entry in entries
    ]
    import json  # noqa: PLC0415 - it is slow to import, and most programs read no such file

    data = (json.dumps({"version": _VERSION, "keys": keys}, indent=2) + "\n").encode()
    _checked(data, path)
    target = os.fspath(path)
    folder = os.path.dirname(target) or "."  # noqa: PTH120 - as above
    if replace:
        written = f"{target}.{os.urandom(6).hex()}.tmp"
        _write_new(written, data)
        try:
            _keep_access(target, written)
            os.replace(written, target)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(written)  # noqa: PTH108
            raise
    else:
        _write_new(target, data)
    _sync_folder(folder)


def _write_new(path: str, data: bytes) -> None:
    """Write a file that must not exist, mode 0600, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - half a file is of no use
        raise


def _keep_access(old: str, new: str) -> None:
    """Give a new file the owner, group and mode of the one that it replaces.

    Where the owner cannot be given, the mode is not either: it would open the
    file to another group than the one that was meant.
    """
    with contextlib.suppress(OSError):
        status = os.stat(old)  # noqa: PTH116
        if hasattr(os, "chown"):
            os.chown(new, status.st_uid, status.st_gid)
        os.chmod(new, stat.S_IMODE(status.st_mode))  # noqa: PTH101


def _sync_folder(folder: str) -> None:
    """Make the file's name durable too."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    text = b2a_base64(data, newline=False).decode()
    return text.rstrip("=").replace("+", "-").replace("/", "_")


class _ProblemError(Exception):
    """What is wrong with a file, in words that may be shown."""


def _refuse_constant(_: str) -> NoReturn:
    raise _ProblemError("not JSON")


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _ProblemError("an object has two members of one name")
    return members


def _checked(raw: bytes, path: str | os.PathLike[str]) -> list[KeyEntry]:
    """The keys of a file's content; raises KeyRingFormatError as the reader does."""
    problem = None
    entries: list[KeyEntry] = []
    try:
        entries = _entries(_parsed(raw))
    except _ProblemError as error:
        problem = str(error)
    # Raised outside the handler: a chained error would hold the text, and with it the secrets.
    if problem is not None:
        raise KeyRingFormatError(f"key ring file {os.fspath(path)}: {problem}")
    return entries


def _parsed(raw: bytes) -> object:
    import json  # noqa: PLC0415 - as above

    if len(raw) > _LARGEST_FILE:
        raise _ProblemError("larger than 1 MiB")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _ProblemError("not UTF-8") from None
    try:
        return json.loads(text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _ProblemError("not JSON") from None


def _entries(root: object) -> list[KeyEntry]:
    if not isinstance(root, dict) or set(root) != {"version", "keys"}:
        raise _ProblemError("must be an object with the members version and keys, and no others")
    if type(root["version"]) is not int or root["version"] != _VERSION:
        raise _ProblemError(f"version must be {_VERSION}")
    keys = root["keys"]
    if not isinstance(keys, list):
        raise _ProblemError("keys must be an array")
    entries: list[KeyEntry] = []
    for number, item in enumerate(keys, start=1):
        try:
            entry = _entry(item)
        except (_ProblemError, InvalidOptionError, TypeError) as error:
            raise _ProblemError(f"key {number}: {error}") from None
        for earlier, other in enumerate(entries, start=1):
            if other.secret == entry.secret:
                raise _ProblemError(f"key {number}: the same secret as key {earlier}")
        entries.append(entry)
    return entries


def _entry(item: object) -> KeyEntry:
    if not isinstance(item, dict):
        raise _ProblemError("must be an object")
    unknown = set(item) - set(KeyEntry._fields)
    if unknown:
        # The names are not shown: a secret may have slipped into the wrong place.
        raise _ProblemError("has a member other than secret, state, not_before and retire_at")
    if "secret" not in item:
        raise _ProblemError("has no secret")
    state = item.get("state", "active")
    check_key_state(state)
    for name in ("not_before", "retire_at"):
        moment_ms(item.get(name), name)
    return KeyEntry(_secret(item["secret"]), state, item.get("not_before"), item.get("retire_at"))


def _secret(text: object) -> bytes:
    if not isinstance(text, str):
        raise _ProblemError("secret must be a string")
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise _ProblemError("secret is not base64url without padding")
    secret = a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    if _base64url(secret) != text:
        raise _ProblemError("secret has unused bits that are not zero")
    if len(secret) < MIN_SECRET_SIZE:
        raise _ProblemError(f"a secret has at least {MIN_SECRET_SIZE} bytes, this one has {len(secret)}")
    return secret
