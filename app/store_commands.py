"""``python -m app store``: check what a store has, delete what is old, copy it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click
import msgspec
import sqlalchemy as sa

from app.authentication.development import audit_secret, event_secret
from app.endings import fail
from app.server.certificates import Certificates
from app.server.failures import StartFailedError, explained
from app.spool_commands import spool
from app.store_display import Advance, Display, FindingsShown, display
from app.stores import dnastore_certificates, store_from, with_history
from core.errors import BackupError, DomainError
from core.history.acknowledged import Acknowledged
from core.history.audit_files import NewVerifier
from core.history.check import Checked, TenantCheck
from core.history.findings import Finding, Findings
from core.keys import ring_from
from core.records import id_of
from core.seals import Seals
from core.settings import Settings, load_settings
from core.settings_loading import EXIT_CODE, SettingsError
from core.store.interface import Store
from core.store.observation import NoStoreObserver
from core.store.retention import first_id_of
from core.store.sql_store import SqlStore
from core.store.unreadable import UNREADABLE
from core.tenants import is_tenant
from sigil_native import AuditVerifier, SigilError
from sigil_native.cli.output import printable

_T = TypeVar("_T")

_FOUND: Final = 1
#: sysexits.h: EX_UNAVAILABLE.
_UNAVAILABLE: Final = 69
_BLOCK: Final = 1 << 20
_PURGED_AT_ONCE: Final = 1000
#: Counting goes no further: it is for a person to decide by.
_MOST_COUNTED: Final = 100_000


class _Opened(NamedTuple):
    """What commands work on."""

    settings: Settings
    store: Store
    seals: Seals


def _tenant_names(_context: object, _parameter: object, names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(is_tenant, names)):
        raise click.BadParameter("a tenant has 1 to 128 bytes of UTF-8, without NUL")
    return tuple(dict.fromkeys(names))


def _number_of_days(_context: object, _parameter: object, days: float) -> float:
    if math.isnan(days):  # a range lets it through
        raise click.BadParameter("nan is no number of days")
    return days


_development = click.option("--development", is_flag=True, help="The same as SIGIL_ENVIRONMENT=development.")
_tenants = click.option(
    "--tenant",
    "tenants",
    multiple=True,
    callback=_tenant_names,
    help="Repeat for several; without it: all.",
)


@click.group()
def store() -> None:
    """Look after the store of the service. Settings come from the environment, as the service's do."""


store.add_command(spool)


@store.command()
@_development
@_tenants
@click.option(
    "--audit",
    "audit_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of an audit log, of each log the oldest first: is what it says was acknowledged there?",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, the last one a summary.")
def verify(
    tenants: tuple[str, ...], audit_files: tuple[Path, ...], *, as_json: bool, development: bool
) -> None:
    """Check every record's seal, and the histories.

    Exit status: 0 nothing is wrong, 1 something is, 69 the store cannot answer, 78 the settings cannot work.
    """
    with _opened(development=development) as opened, display("records") as shown:
        new_verifier = _new_audit_verifier(opened.settings) if audit_files else None
        findings_shown = FindingsShown(as_json=as_json)
        findings = Findings(findings_shown.tell)
        checking = _Checking(opened, findings, shown)
        _run(opened, checking.run(tenants, audit_files, new_verifier))
    findings_shown.finish()
    if as_json:
        click.echo(msgspec.json.encode(checking.summary()))
    else:
        click.echo(checking.told())
    sys.exit(_FOUND if findings.faults else 0)


class _Checking:
    """A check of some tenants, or all."""

    def __init__(self, opened: _Opened, findings: Findings, shown: Display) -> None:
        self._opened = opened
        self._findings = findings
        self._shown = shown
        self._by_tenant: dict[str, Checked] = {}
        self._acknowledged: int | None = None

    async def run(
        self, tenants: Sequence[str], audit_files: Sequence[Path], new_verifier: NewVerifier | None
    ) -> None:
        """Check all there is to check."""
        counts = await self._opened.store.count()
        for tenant in tenants or sorted(counts):
            if not is_tenant(tenant):
                detail = f"{counts[tenant]} records, or entries alone, are of a tenant that nobody can be"
                self._findings.add(Finding("tenant_unreadable", tenant.removeprefix(UNREADABLE), detail))
            else:
                await self._check(tenant, counts.get(tenant, 0))
        if new_verifier is not None:
            await self._check_audit(audit_files, new_verifier, tenants)

    async def _check(self, tenant: str, count: int) -> None:
        store, seals = self._opened.store, self._opened.seals
        with contextlib.ExitStack() as tasks:
            advance = {
                "entries": tasks.enter_context(self._shown.task(f"{tenant}: entries", count)),
                "records": tasks.enter_context(self._shown.task(f"{tenant}: records", count)),
            }
            check = TenantCheck(store, seals, tenant, self._findings, lambda what, done: advance[what](done))
            checked = await check.run()
        self._by_tenant[tenant] = checked
        if self._opened.settings.history == "on" and checked.records and not checked.entries:
            detail = "it has records and not one entry: none was kept yet, or somebody deleted them all"
            self._findings.add(Finding("no_history", tenant, detail))

    async def _check_audit(
        self, files: Sequence[Path], new_verifier: NewVerifier, tenants: Sequence[str]
    ) -> None:
        store, seals = self._opened.store, self._opened.seals
        with Acknowledged(store, seals, new_verifier, self._findings, tenants=tenants or None) as logs:
            for path in files:
                with self._shown.task(f"{path}: bytes", path.stat().st_size) as advance:
                    await logs.read(str(path), _blocks(path), advance)
            await logs.finish()
        self._acknowledged = logs.looked_up

    def summary(self) -> Mapping[str, object]:
        """What was checked, for programs."""
        checked = self._by_tenant.values()
        return {
            "valid": not self._findings.faults,
            "tenants": len(self._by_tenant),
            "records": sum(one.records for one in checked),
            "entries": sum(one.entries for one in checked),
            "chains": sum(one.chains for one in checked),
            "before_history": sum(one.before_history for one in checked),
            "purged": sum(one.purged for one in checked),
            "acknowledged": self._acknowledged,
            "findings": dict(self._findings.counts),
        }

    def told(self) -> str:
        """The same for people."""
        summary = dict(self.summary())
        lines = ["valid" if summary.pop("valid") else "NOT VALID"]
        del summary["findings"]
        rows = [*self._findings.counts.items(), *summary.items()]
        lines += [f"{name:<24} {count}" for name, count in rows if count is not None]
        return "\n".join(lines)


@store.command()
@_development
@_tenants
@click.option(
    "--older-than",
    "days",
    required=True,
    type=click.FloatRange(min=0, max=36_500),
    callback=_number_of_days,
    metavar="DAYS",
    help="Records that were sealed longer ago go, whatever their status.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(tenants: tuple[str, ...], days: float, *, yes: bool, development: bool) -> None:
    """Delete old records for good. Histories, where they are on, say so."""
    boundary = first_id_of(time.time_ns() // 1_000_000 - round(days * 86_400_000))
    with _opened(development=development) as opened, display("records") as shown:
        counts = _run(opened, _count_old(opened.store, tenants, boundary, shown))
    total = sum(counts.values())
    if not total:
        click.echo("no record is that old")
        return
    for tenant, count in counts.items():
        click.echo(f"{printable(tenant)}: {_counted(count)}", err=True)
    if not (yes or click.confirm(f"Delete {_counted(total)} for good?", err=True)):
        click.echo("nothing was deleted", err=True)
        sys.exit(_FOUND)
    with _opened(development=development) as opened, display("records") as shown:
        deleted = _run(opened, _purge(opened, counts, boundary, shown))
    click.echo(f"{deleted} records deleted")


async def _count_old(
    store: Store, tenants: Sequence[str], boundary: str, shown: Display
) -> Mapping[str, int]:
    """How many records each tenant has below an id, as far as they are counted; those that have some."""
    everywhere = await store.count()
    counts: dict[str, int] = {}
    for tenant in tenants or sorted(filter(is_tenant, everywhere)):
        count, before = 0, boundary
        with shown.task(f"{tenant}: counting", everywhere.get(tenant)) as advance:
            while count < _MOST_COUNTED:
                listing = await store.list(
                    tenant, limit=_PURGED_AT_ONCE, before=before, status=None, now_ms=0
                )
                count += len(listing.records)
                advance(len(listing.records))
                if len(listing.records) < _PURGED_AT_ONCE:
                    break
                before = id_of(listing.records[-1])
        if count:
            counts[tenant] = count
    return counts


async def _purge(opened: _Opened, counts: Mapping[str, int], boundary: str, shown: Display) -> int:
    """Delete these tenants' records below an id; how many it were."""
    store = with_history(opened.store, opened.settings, opened.seals)
    total = 0
    for tenant, count in counts.items():
        expected = count if count < _MOST_COUNTED else None
        with shown.task(f"{tenant}: deleting", expected) as advance:
            while deleted := await store.purge(tenant, before=boundary, limit=_PURGED_AT_ONCE):
                total += deleted
                advance(deleted)
    return total


def _counted(count: int) -> str:
    return f"{_MOST_COUNTED} records or more" if count >= _MOST_COUNTED else f"{count} records"


@store.command()
@_development
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path, *, development: bool) -> None:
    """Copy an SQLite database into a new FILE, while the service uses it."""
    with _opened(development=development) as opened, display("pages") as shown:
        if not isinstance(opened.store, SqlStore):
            raise BackupError("the records are in a DNAStore: back up its database there")
        with shown.task(f"{file.name}: pages", None) as advance:
            _run(opened, _back_up(opened.store, file, advance))
    click.echo(f"{printable(str(file))}: {file.stat().st_size} bytes")


async def _back_up(store: SqlStore, file: Path, advance: Advance) -> None:
    interrupted = threading.Event()
    seen = 0

    def progress(done: int, total: int) -> None:
        nonlocal seen
        if interrupted.is_set():
            raise KeyboardInterrupt
        advance(done - seen, total)
        seen = done

    try:
        await store.backup(file, progress)
    except asyncio.CancelledError:
        # The thread that copies ends itself, and takes what it has begun away.
        interrupted.set()
        raise


def _new_audit_verifier(settings: Settings) -> NewVerifier:
    if settings.audit_secret is not None:
        secret = settings.audit_secret.get_secret_value()
    elif settings.is_development:
        secret = audit_secret(settings.data_dir)
    else:
        raise SettingsError(["SIGIL_AUDIT_SECRET: required, to check the audit log"])
    return lambda after=None: AuditVerifier([secret], after=after)


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block


@contextlib.contextmanager
def _opened(*, development: bool) -> Iterator[_Opened]:
    """What commands work on; ends the process with a line that says what is wrong, and with what."""
    place = "the store"
    try:
        with explained():
            settings = load_settings("development" if development else None)
            _see_that_it_is_there(settings)
            fallback = event_secret(settings.data_dir) if settings.needs_development_secret else None
            seals = Seals(ring_from(settings, fallback))
            certificates = dnastore_certificates(settings)
            _see_that_it_answers(settings, certificates)
            place = _place_of(settings)
            try:
                store = store_from(settings, certificates, NoStoreObserver())
            except (DomainError, OSError) as error:
                raise StartFailedError(f"{place}: cannot be opened: {error}", _UNAVAILABLE) from None
        yield _Opened(settings, store, seals)
    except StartFailedError as error:
        fail(str(error), error.exit_code)
    except SettingsError as error:
        fail(str(error), EXIT_CODE)
    except SigilError as error:
        fail(f"the keys cannot be used: {error}", EXIT_CODE)
    except DomainError as error:
        fail(f"{place}: could not be finished: {error}", _UNAVAILABLE)
    except OSError as error:
        fail(f"{error.filename or place}: could not be finished: {error.strerror or error}", _UNAVAILABLE)


def _place_of(settings: Settings) -> str:
    """Where the records are, as messages name it; without a password."""
    if settings.dnastore_url is not None:
        return f"DNASTORE_URL: {settings.dnastore_url}"
    url = sa.make_url(settings.store_url)
    is_file = url.get_backend_name() == "sqlite"
    return f"SIGIL_STORE_URL: {printable(url.database or '') if is_file else url.render_as_string()}"


def _see_that_it_is_there(settings: Settings) -> None:
    """A store that is opened is made: here that would be a slip of the hand."""
    url = sa.make_url(settings.store_url)
    if settings.dnastore_url is None and url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.exists():
            raise StartFailedError(f"SIGIL_STORE_URL: {path}: there is no such database", _UNAVAILABLE)


def _see_that_it_answers(settings: Settings, certificates: Certificates | None) -> None:
    """Try the DNAStore, to be able to say more than that it is away."""
    if settings.dnastore_url is None or certificates is None:
        return
    from core.dnastore.connection_test import trouble_with  # noqa: PLC0415 - 180 ms, for aiohttp

    seconds = settings.dnastore_timeout
    trouble = asyncio.run(trouble_with(settings.dnastore_url, lambda: certificates.context, seconds=seconds))
    if trouble is not None and trouble.lasting:
        raise SettingsError([trouble.line])
    if trouble is not None:
        raise StartFailedError(f"DNASTORE_URL: the DNAStore is away: {trouble.line}", _UNAVAILABLE)


def _run(opened: _Opened, work: Coroutine[Any, Any, _T]) -> _T:
    async def run() -> _T:
        opened.store.start()
        try:
            return await work
        finally:
            await opened.store.close()

    return asyncio.run(run())
