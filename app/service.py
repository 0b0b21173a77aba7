"""Putting the service together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

from starlette.types import ASGIApp

from app.api.batches import BatchRoutes
from app.api.pages import ServiceRoutes
from app.api.prompt_handlers import prompt_handlers
from app.api.sigils import SigilRoutes
from app.authentication.access import Access
from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.development import DevelopmentIssuer, audit_secret, event_secret
from app.authentication.key_download import KeySetDownload
from app.authentication.key_sources import KeySource
from app.authentication.remote_keys import Pace, RemoteKeys
from app.documentation.routes import DocumentationRoutes
from app.http.bodies import BodyLimits
from app.http.guard import DEFAULT_LIMITS, Guard, RequestLimits
from app.http.observation import RouteNames, all_of
from app.http.resource import Nowhere
from app.http.routing import Paths
from app.limits.limits import RateLimits, no_rate_limits, rate_limits_from
from app.metrics.observers import Observers
from app.metrics.service import (
    watch_audit,
    watch_authorities,
    watch_certificates,
    watch_keys,
    watch_limits,
    watch_overload,
    watch_serving,
    watch_spool,
    watch_store,
    watch_tokens,
)
from app.metrics.tenant_classes import TenantClasses
from app.outages import Outages
from app.server.certificates import Certificates
from app.server.connections import Connections
from app.server.reloading import Reloadable, Reloader
from app.server.ring_reloading import RingReloading
from app.stores import checked, dnastore_certificates, store_from, try_dnastore, with_history, with_spool
from core.audit.interface import Audit, NoAudit
from core.audit.log import AuditLog
from core.engine import Engine
from core.issuers import RemoteIssuer
from core.keys import ring_from
from core.seals import Seals
from core.settings import Settings
from core.settings_loading import SettingsError
from core.spool.spooled_store import SpooledStore
from core.store.interface import Store
from core.store.observed import observed_store
from core.store.retention import Retention
from sigil_native import __version__


def build_app(
    engine: Engine,
    authenticator: Authenticator,
    audit: Audit,
    body_limits: BodyLimits,
    reloader: Reloader,
    *,
    rate_limits: RateLimits | None = None,
    request_limits: RequestLimits = DEFAULT_LIMITS,
    is_stopping: Callable[[], bool] = lambda: False,
    retention: Retention | None = None,
    spool: SpooledStore | None = None,
    observers: Observers = Observers(),  # noqa: B008 - immutable
) -> Guard:
    """The ASGI application.

    While the server runs, so do the reloader and the retention. Engine, authenticator and limits are closed
    when it shuts down.
    """
    limits = rate_limits or no_rate_limits()

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        engine.start()
        authenticator.start()
        limits.start()
        sampling = observers.sampling.at_work() if observers.sampling else contextlib.nullcontext()
        kept = retention.at_work() if retention else contextlib.nullcontext()
        async with reloader.at_work(), kept, sampling:
            yield
        await engine.close()
        await guard.finish()
        await sigils.close()
        await batches.close()
        await authenticator.close()
        await limits.close()

    access = Access(authenticator, limits, audit)
    sigils = SigilRoutes(engine, access, limits, audit, body_limits)
    batches = BatchRoutes(engine, access, limits, audit, body_limits)
    service = ServiceRoutes(engine, authenticator, limits, audit, is_stopping, spool)
    documentation = DocumentationRoutes(limits.addresses)
    # A batch is no record: its paths come first.
    routes = [*batches.routes(), *sigils.routes(), *service.routes(), *documentation.routes()]
    router = Paths(routes, default=Nowhere(limits.addresses), lifespan=lifespan)
    watching = [one for one in (observers.requests, observers.tracing) if one is not None]
    for one in watching:
        one.route_of = RouteNames(routes).of
    on_done = all_of([one.ended for one in watching])
    guard = Guard(
        router,
        max_body_bytes=body_limits.size,
        limits=request_limits,
        on_done=on_done,
        prompt_handlers=prompt_handlers(engine, access, limits, audit),
    )
    return guard


def authenticator_from(settings: Settings) -> Authenticator:
    """Tokens of the configured issuers; in development, without one, of the service's own."""
    if settings.issuers:
        return Authenticator(TrustedIssuer(one, _keys_of(one, settings)) for one in settings.issuers)
    return Authenticator([DevelopmentIssuer(settings.data_dir).trusted])


def _keys_of(issuer: RemoteIssuer, settings: Settings) -> KeySource:
    download = KeySetDownload(
        issuer.jwks_uri, development=settings.is_development, ca_cert=settings.jwt_ca_cert
    )
    pace = Pace(
        refresh=settings.jwks_refresh, cooldown=settings.jwks_cooldown, max_stale=settings.jwks_max_stale
    )
    return RemoteKeys(download, issuer=issuer.issuer, pace=pace)


def audit_from(settings: Settings) -> Audit:
    """The audit log that the settings ask for, begun with a line about this process.

    Raises:
        AuditUnavailableError: it is required and cannot be written.
    """
    path = settings.audit_file
    if path is None:
        return NoAudit()
    secret = settings.audit_secret
    audit = AuditLog.open(
        path,
        audit_secret(settings.data_dir) if secret is None else secret.get_secret_value(),
        required=settings.audit_failure == "closed",
    )
    audit.note(
        "service.started",
        pid=os.getpid(),
        version=__version__,
        environment=settings.environment,
        settings_sha256=settings.digest(),
    )
    return audit


def observed(store: Store, innermost: Store, observers: Observers) -> Store:
    """The store; its calls are told of, if anybody wants to know."""
    if observers.storage is None or observers.sampling is None:
        return store
    watch_store(observers.sampling, innermost, observers.storage.committed)
    return observed_store(store, observers.storage)


def tenant_classes_from(settings: Settings, observers: Observers) -> Sequence[Reloadable]:
    """The classes of tenants that metrics tell apart, in use; to be reloaded.

    Raises:
        SettingsError: the file has changed for the worse since it was checked.
    """
    if settings.tenant_classes is None or observers.requests is None:
        return ()
    try:
        classes = TenantClasses(settings.tenant_classes)
    except ValueError as error:
        raise SettingsError([f"SIGIL_TENANT_CLASSES: {error}"]) from None
    observers.requests.class_of = classes.of
    return (classes,)


def _prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, if anything will lie in it."""
    folder = settings.data_dir
    spool, audit = settings.spool_file(folder), settings.audit_file
    own_store = settings.dnastore_url is None and settings.store_url_setting is None
    files = [file for file in (spool, audit) if file is not None and file.parent == folder]
    if not (files or own_store or settings.is_development):
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"SIGIL_DATA_DIR: {error.filename}: {error.strerror}"
        raise SettingsError([message]) from None


@contextlib.contextmanager
def service_from(
    settings: Settings,
    reloadables: Sequence[Reloadable] = (),
    is_stopping: Callable[[], bool] = lambda: False,
    *,
    rate_folder: Path | None = None,
    observers: Observers = Observers(),  # noqa: B008 - immutable
    connections: Connections | None = None,
) -> Iterator[ASGIApp]:
    """The application that the settings describe, with all that it needs open.

    Args:
        settings: complete and checked.
        reloadables: what else is read again when its files change.
        is_stopping: whether the server has begun to stop.
        rate_folder: where the workers of this host share the tables of rate limits; None for one alone.
        observers: are told what happens.
        connections: of this process, for those who watch.

    Raises:
        SettingsError, SigilError: the data folder, the keys, or the way to the DNAStore, cannot be used.
        SpoolUnusableError: the spool cannot be opened.
        LimiterUnavailableError: the tables cannot be used.
        AuditUnavailableError: the audit log is required and cannot be written.
        PrivateFileError: a file of development mode is damaged, or open to others.
        DomainError, OSError: the store cannot be opened.
    """
    _prepare_data_dir(settings)
    fallback = event_secret(settings.data_dir) if settings.needs_development_secret else None
    ring = ring_from(settings, fallback)
    seals = Seals(ring)
    authenticator = authenticator_from(settings)
    certificates = dnastore_certificates(settings)
    try_dnastore(settings, certificates)
    outages = Outages(observers.stores, spool=settings.spool_file(settings.data_dir) is not None)
    innermost = store_from(settings, certificates, outages, observers.tracing)
    remote = checked(innermost, settings, seals)
    spool = with_spool(remote, settings, outages)
    if spool is not None and observers.sampling is not None:
        watch_spool(observers.sampling, spool)
    store = observed(with_history(spool or remote, settings, seals), innermost, observers)
    if observers.tracing is not None:
        store = observers.tracing.store(store)
    try:
        audit = outages.audit = audit_from(settings)
        try:
            engine = Engine(seals, store, revocation_unknown=settings.revocation_unknown)
            keys = RingReloading(ring, seals, fallback)
            rate_limits = rate_limits_from(settings, rate_folder, audit, observers.limits)
            ours = [] if certificates is None else [certificates]
            classes = tenant_classes_from(settings, observers)
            watched = [keys, *rate_limits.reloadables, *ours, *classes, *reloadables]
            reloader = Reloader(watched, audit, interval=settings.reload_seconds)
            limits = BodyLimits(settings.max_body_bytes, settings.body_timeout)
            app = build_app(
                engine,
                authenticator,
                audit,
                limits,
                reloader,
                rate_limits=rate_limits,
                request_limits=RequestLimits(settings.request_timeout, settings.max_requests),
                is_stopping=is_stopping,
                spool=spool,
                retention=Retention(store, settings.retention_days) if settings.retention_days else None,
                observers=observers,
            )
            if observers.sampling is not None and observers.requests is not None:
                watch_limits(observers.sampling, rate_limits)
                watch_serving(observers.sampling, app, connections)
                watch_audit(observers.sampling, audit)
                watch_keys(observers.sampling, seals)
                watch_tokens(observers.sampling, authenticator)
                with_files = [one for one in (*ours, *reloadables) if isinstance(one, Certificates)]
                watch_certificates(observers.sampling, with_files)
                if settings.jwt_ca_cert is not None and settings.issuers:
                    watch_authorities(observers.sampling, "jwt_ca", settings.jwt_ca_cert)
                if connections is not None:
                    watch_overload(observers.sampling, observers.requests, connections)
            yield app if observers.tracing is None else observers.tracing.around(app)
        finally:
            _close(store, audit)
    finally:
        asyncio.run(store.close())  # does nothing where that is done


def _close(store: Store, audit: Audit) -> None:
    """Close both, after an orderly shutdown and after a stop that waited for nothing."""
    try:
        # Before the log: what the store still does gets its line.
        asyncio.run(store.close())
    finally:
        audit.note("service.stopped", pid=os.getpid())
        asyncio.run(audit.close())
