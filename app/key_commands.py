"""``python -m app keys``: look at a key ring file, and change it step by step."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

from core.keys import ring_digest, signing_key_id
from core.settings import load_key_settings
from core.settings_loading import EXIT_CODE, SettingsError
from core.timestamps import timestamp
from sigil_native._constants import MAX_EXPIRY_MS
from sigil_native._keyfile import KeyEntry, read_key_ring_file, require_plain_file, write_key_ring_file
from sigil_native._keyfile_changes import (
    activated,
    change_key_ring_file,
    id_of,
    replaced,
    ring_of,
    with_fresh_key,
)
from sigil_native.cli.values import duration
from sigil_native.errors import DuplicateKeyError, KeyRingFormatError, NoSuchKeyError

_REFUSED: Final = 1
#: sysexits.h: EX_IOERR.
_IO_ERROR: Final = 74

_Entries = Sequence[KeyEntry]


class _RefusedError(Exception):
    """The change would do harm; the file stays as it is."""


class _KeyId(click.ParamType[int]):
    """A key's id in its eight digits."""

    name = "key id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; or usage is complained about."""
        if not (len(value) == 8 and set(value) <= set("0123456789abcdef")):
            self.fail("a key id has eight digits from 0 to f, as `keys list` shows it", param, ctx)
        return int(value, 16)


class _Duration(click.ParamType[float]):
    """Seconds, as the `sigil` command takes them."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; or usage is complained about."""
        try:
            return duration(value)
        except argparse.ArgumentTypeError as error:
            self.fail(str(error), param, ctx)


@click.group()
@click.option("--keyring", envvar="SIGIL_KEYRING", metavar="FILE", help="Instead of SIGIL_KEYRING.")
@click.pass_context
def keys(context: click.Context, keyring: str | None) -> None:
    """Change the keys of a key ring file. `sigil keygen` makes one.

    To change keys without a sigil refused: add, wait until every process of the service has the new
    ring, activate; later retire the old key, and when its sigils matter no more, remove it.
    """
    if not keyring:
        click.echo("SIGIL_KEYRING: required: the key ring file to work on", err=True)
        sys.exit(EXIT_CODE)
    context.obj = keyring


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_keys(path: str, *, as_json: bool) -> None:
    """Show the keys, and the digest by which the service's log names the ring."""
    with _errors(path):
        require_plain_file(path)
        entries = read_key_ring_file(path)
        ring = ring_of(entries)
    signing, now = signing_key_id(ring), time.time()
    shown = [
        {
            "key_id": f"{id_of(entry):08x}",
            "state": _state(entry, now),
            "signs": id_of(entry) == signing,
            "not_before": _moment(entry.not_before),
            "retire_at": _moment(entry.retire_at),
        }
        for entry in entries
    ]
    if as_json:
        click.echo(json.dumps({"ring": ring_digest(ring), "keys": shown}))
        return
    for key in shown:
        times = [f"{word} {key[name]}" for word, name in _TIMES if key[name] is not None]
        signs = ["signs"] if key["signs"] else []
        click.echo("  ".join([f"{key['key_id']}  {key['state']:<13}", *signs, *times]).rstrip())
    click.echo(f"ring {ring_digest(ring)}")


@keys.command()
@click.pass_obj
def add(path: str) -> None:
    """Add a fresh key that only verifies for now, and print its id."""
    made = 0

    def change(entries: _Entries) -> _Entries:
        nonlocal made
        longer, made = with_fresh_key(entries)
        return longer

    _change(path, change)
    click.echo(f"{made:08x}")


@keys.command()
@click.argument("key_id", type=_KeyId())
@click.pass_obj
def activate(path: str, key_id: int) -> None:
    """Let this key sign from now on; the others only verify."""

    def change(entries: _Entries) -> _Entries:
        after = activated(entries, key_id)
        if any(id_of(entry) == key_id and entry.state == "revoked" for entry in entries):
            raise _RefusedError("the key is revoked")
        if signing_key_id(ring_of(after)) != key_id:
            raise _RefusedError("the key is outside of its times, and cannot sign")
        return after

    _change(path, change)


@keys.command()
@click.argument("key_id", type=_KeyId())
@click.option("--in", "seconds", type=_Duration(), help="Such as 12h or 30d; without it: now.")
@click.pass_obj
def retire(path: str, key_id: int, seconds: float | None) -> None:
    """Let this key verify no longer, from now or from a time to come.

    Records that it sealed are served still: keep it in the file for as long as there are any.
    """
    retire_at = round(time.time() + (seconds or 0), 3)
    if retire_at > MAX_EXPIRY_MS // 1000:
        raise click.BadParameter("out of range: beyond the year 9999", param_hint="'--in'")

    def change(entries: _Entries) -> _Entries:
        _check_another_signs(entries, key_id)
        return replaced(entries, key_id, lambda entry: entry._replace(retire_at=retire_at))

    _change(path, change)


@keys.command()
@click.argument("key_id", type=_KeyId())
@click.option("--force", is_flag=True, help="Even if no other key can sign: encode then answers 503.")
@click.pass_obj
def revoke(path: str, key_id: int, *, force: bool) -> None:
    """Trust this key no more: nothing that it sealed verifies, whenever it was."""

    def change(entries: _Entries) -> _Entries:
        if not force:
            _check_another_signs(entries, key_id, "; --force revokes it all the same")
        return replaced(entries, key_id, lambda entry: entry._replace(state="revoked"))

    _change(path, change)


@keys.command()
@click.argument("key_id", type=_KeyId())
@click.pass_obj
def remove(path: str, key_id: int) -> None:
    """Delete a key that is retired or revoked. Records that it sealed can be served no more."""

    def removed(entry: KeyEntry) -> None:
        if _state(entry, time.time()) not in {"retired", "revoked"}:
            raise _RefusedError("the key verifies still: retire it first")

    _change(path, lambda entries: replaced(entries, key_id, removed))


@keys.command("import")
@click.pass_obj
def import_secrets(path: str) -> None:
    """Make the file from the secrets of SPIRAL_EVENT_SECRET and its like, which it then replaces."""
    try:
        settings = load_key_settings()
        if settings.event_secret is None:
            raise SettingsError(["SPIRAL_EVENT_SECRET: required (or SPIRAL_EVENT_SECRET_FILE)"])
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_CODE)
    current = settings.event_secret.get_secret_value()
    # As ring_from has it: one that is named twice counts once, and the current one signs.
    earlier = [secret for secret in dict.fromkeys(settings.secrets_to_verify_with) if secret != current]
    entries = [KeyEntry(secret.encode(), "verify-only") for secret in earlier]
    with _errors(path, new=True):
        write_key_ring_file(path, [*entries, KeyEntry(current.encode())])


_TIMES: Final = (("from", "not_before"), ("until", "retire_at"))


def _state(entry: KeyEntry, now: float) -> str:
    """What a verdict would call the key's state."""
    if entry.state == "revoked":
        return "revoked"
    if entry.not_before is not None and now < entry.not_before:
        return "not_yet_valid"
    if entry.retire_at is not None and now >= entry.retire_at:
        return "retired"
    return entry.state


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(round(seconds * 1000))


def _check_another_signs(entries: _Entries, key_id: int, advice: str = "") -> None:
    """Refuse to take the only key that can sign away; one that does not sign may go."""
    others = replaced(entries, key_id, lambda _: None)
    if signing_key_id(ring_of(entries)) is not None and signing_key_id(ring_of(others)) is None:
        raise _RefusedError(f"no other key can sign: add one and activate it first{advice}")


def _change(path: str, change: Callable[[_Entries], _Entries]) -> None:
    with _errors(path):
        change_key_ring_file(path, change)


@contextlib.contextmanager
def _errors(path: str, *, new: bool = False) -> Iterator[None]:
    """End the process with one line that says what is wrong, and shows no secret.

    Args:
        path: the file that the command works on.
        new: the command makes it, so that not even a missing folder is a wrong setting.
    """
    try:
        yield
    except (_RefusedError, NoSuchKeyError) as error:
        message, code = str(error), _REFUSED
    except (KeyRingFormatError, DuplicateKeyError) as error:
        message, code = f"SIGIL_KEYRING: {error}", EXIT_CODE
    except OSError as error:
        # Changes write to another name first: what goes wrong there is no fault of the setting.
        unusable = error.filename == path
        message = f"SIGIL_KEYRING: {path}: {error.strerror}"
        code = EXIT_CODE if unusable and not new else _IO_ERROR
    else:
        return
    click.echo(message, err=True)
    sys.exit(code)
