"""Where the service's records are kept: the store that the settings describe."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from app.outages import Outages
from app.server.certificates import Certificates
from core.dnastore.client_settings import CLIENT_NAMES
from core.idempotency import KeyLimits
from core.seals import Seals
from core.settings import Settings
from core.settings_loading import SettingsError
from core.spool.opening import forgotten, open_spool
from core.spool.spooled_store import SpooledStore
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.observation import StoreObserver
from core.store.sql_store import SqlStore
from core.store.verifying import VerifyingStore
from core.tls import TlsFileError
from core.tls_settings import tls_problem

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing

#: What canonical JSON and the members around a payload may add to the body that it came in.
_GROWTH: Final = 6
_LEAST_RECORD_BYTES: Final = 16 << 20

_log = structlog.get_logger("app.stores")


def store_from(
    settings: Settings,
    certificates: Certificates | None,
    observer: StoreObserver,
    tracing: Tracing | None = None,
) -> Store:
    """The store that the settings describe, open.

    Args:
        settings: complete and checked.
        certificates: see ``dnastore_certificates``.
        observer: is told what happens to it.
        tracing: traces requests to a DNAStore.

    Raises:
        DomainError, OSError: it cannot be opened.
    """
    if settings.dnastore_url is None or certificates is None:
        key_limits = KeyLimits(settings.idempotency_seconds, settings.idempotency_keys)
        return SqlStore.open(settings.store_url, key_limits=key_limits)
    # 180 ms, for aiohttp.
    from core.dnastore.client import DnaStoreClient  # noqa: PLC0415

    host, port = urlsplit(settings.dnastore_url).hostname, urlsplit(settings.dnastore_url).port
    return DnaStoreClient(
        settings.dnastore_url,
        lambda: certificates.context,
        timeout=settings.dnastore_timeout,
        connections=settings.dnastore_connections,
        max_waiting=settings.dnastore_max_waiting,
        breaker_failures=settings.dnastore_breaker_failures,
        breaker_pause=settings.dnastore_breaker_pause,
        largest_record=max(_GROWTH * settings.max_body_bytes, _LEAST_RECORD_BYTES),
        observer=observer,
        tracer=None if tracing is None else tracing.requests_to(host or "", port or 443),
    )


def checked(store: Store, settings: Settings, seals: Seals) -> Store:
    """The store; what comes back from a DNAStore is checked."""
    return store if settings.dnastore_url is None else VerifyingStore(store, seals)


def with_spool(store: Store, settings: Settings, outages: Outages) -> SpooledStore | None:
    """The store with a spool in front of it; None where the settings want none.

    Raises:
        SettingsError, SpoolUnusableError: the spool cannot be opened.
    """
    path = settings.spool_file(settings.data_dir)
    _warn_of_another(settings.data_dir / "spool.db", path)
    if path is None or settings.dnastore_url is None:
        return None
    key_limits = KeyLimits(settings.idempotency_seconds, settings.idempotency_keys)
    spool = open_spool(path, settings.spool_bounds, data_dir=settings.data_dir)
    spooled = SpooledStore(store, spool, outages, key_limits=key_limits)
    spooled.on_change = outages.spooling
    outages.on_back = spooled.forward
    return spooled


def _warn_of_another(usual: Path, used: Path | None) -> None:
    """Warn of acknowledged writes in a spool at the usual place that the settings do not name any more."""
    if used is not None and used.absolute() == usual.absolute():
        return
    writes = forgotten(usual)
    if writes != 0:
        _log.error(
            "a spool is not in use, and acknowledged writes wait in it",
            path=str(usual),
            writes="unknown" if writes is None else writes,
            remedy=f"set DNASTORE_URL and DNASTORE_SPOOL={usual}, and wait for an empty spool at /readyz",
            pid=os.getpid(),
        )


def with_history(store: Store, settings: Settings, seals: Seals) -> Store:
    """The store, with a history of what is done to it if the settings want one."""
    return ChainedStore(store, seals) if settings.history == "on" else store


def dnastore_certificates(settings: Settings) -> Certificates | None:
    """What connections to the DNAStore are made with; None where there is no DNAStore.

    Raises:
        SettingsError: a file has changed for the worse since the settings were checked.
    """
    if settings.dnastore_files is None:
        return None
    try:
        return Certificates.of_client(settings.dnastore_files)
    except TlsFileError as error:
        raise SettingsError([tls_problem(error, CLIENT_NAMES)]) from None


def try_dnastore(settings: Settings, certificates: Certificates | None) -> None:
    """Try once whether the DNAStore answers, before there is an event loop. One that is away is warned about.

    Raises:
        SettingsError: it will not, unless the settings or the files change.
    """
    if settings.dnastore_url is None or certificates is None:
        return
    from core.dnastore.connection_test import trouble_with  # noqa: PLC0415

    url = settings.dnastore_url
    trouble = asyncio.run(trouble_with(url, lambda: certificates.context, seconds=settings.dnastore_timeout))
    if trouble is None:
        _log.info("dnastore answers", url=url, pid=os.getpid())
    elif trouble.lasting:
        raise SettingsError([trouble.line])
    else:
        _log.warning("dnastore away", url=url, pid=os.getpid(), reason=trouble.reason, cause=trouble.line)
