"""Putting the DNAStore server together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from starlette.routing import Route
from starlette.types import ASGIApp

from app.dnastore.body_room import BodyRoom
from app.dnastore.clients import Allowed, Clients
from app.dnastore.observation import ServerObserver
from app.dnastore.pages import PageRoutes
from app.dnastore.records import RecordRoutes
from app.dnastore.writes import WriteRoute
from app.http.bodies import BodyLimits, BodyReader
from app.http.context import Context
from app.http.guard import DEFAULT_LIMITS, Guard, RequestLimits
from app.http.observation import RouteNames, all_of
from app.http.resource import Nowhere, Resource
from app.http.routing import Paths
from app.metrics.sampling import Sampling
from app.metrics.service import watch_certificates, watch_store
from app.server.certificates import Certificates
from app.server.reloading import Reloadable, Reloader
from core.audit.interface import NoAudit
from core.dnastore.server_settings import ALLOW, ServerSettings
from core.dnastore.wire import PREFIX
from core.settings_loading import SettingsError
from core.store.interface import Store
from core.store.observation import StorageObserver
from core.store.observed import ObservedStore
from core.store.retention import Retention
from core.store.sql_store import SqlStore

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing

_RECORDS: Final = f"{PREFIX}/records/"
_ONE_RECORD: Final = f"{_RECORDS}{{id}}"


def build_app(
    store: Store,
    clients: Clients,
    body_limits: BodyLimits,
    reloader: Reloader,
    *,
    observer: ServerObserver,
    sampling: Sampling | None = None,
    tracing: Tracing | None = None,
    retention: Retention | None = None,
    request_limits: RequestLimits = DEFAULT_LIMITS,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Guard:
    """The ASGI application.

    While the server runs, so do the reloader and the retention. The store is closed when it shuts down.
    """
    bodies = BodyReader(body_limits)
    records = RecordRoutes(store, bodies, observer)
    writes = WriteRoute(store, bodies, BodyRoom(body_limits.size), observer)
    pages = PageRoutes(records.probe_store, is_stopping)

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        store.start()
        kept = retention.at_work() if retention else contextlib.nullcontext()
        async with reloader.at_work(), kept, sampling.at_work() if sampling else contextlib.nullcontext():
            yield
        await writes.close()
        await records.close()
        await store.close()

    def get(path: str, handler: Allowed) -> Route:
        return Route(PREFIX + path, Resource(clients, get=handler))

    def post(path: str, handler: Allowed) -> Route:
        return Route(PREFIX + path, Resource(clients, post=handler))

    routes = [
        post("/writes", Allowed(clients, writes.write)),
        get("/records", Allowed(clients, records.list)),
        get("/records/{id}", Allowed(clients, records.get)),
        post("/lookups", Allowed(clients, records.look_up)),
        get("/entries", Allowed(clients, records.entries)),
        get("/counts", Allowed(clients, records.counts)),
        post("/purges", Allowed(clients, records.purge)),
        post("/probe", Allowed(clients, records.probe)),
        *pages.routes(clients),
    ]
    paths = frozenset(route.path for route in routes)

    def done(context: Context, seconds: float) -> None:
        observer.answered(_route(context.path, paths), context.status, seconds)

    told: list[Callable[[Context, float], None]] = [done]
    if tracing is not None:
        tracing.route_of = RouteNames(routes).of
        told.append(tracing.ended)
    router = Paths(routes, default=Nowhere(clients), lifespan=lifespan)
    return Guard(router, max_body_bytes=body_limits.size, limits=request_limits, on_done=all_of(told))


def _route(path: str, paths: Collection[str]) -> str:
    """The route that a path belongs to, for metrics: few, whatever is asked for."""
    if path in paths:
        return path
    return _ONE_RECORD if path.startswith(_RECORDS) else "other"


@contextlib.contextmanager
def server_from(
    settings: ServerSettings,
    reloadables: Sequence[Reloadable] = (),
    is_stopping: Callable[[], bool] = lambda: False,
    *,
    observer: ServerObserver,
    sampling: Sampling | None = None,
    storage: StorageObserver | None = None,
    tracing: Tracing | None = None,
) -> Iterator[ASGIApp]:
    """The application that the settings describe, with all that it needs open.

    Args:
        settings: complete and checked.
        reloadables: what else is read again when its files change.
        is_stopping: whether the server has begun to stop.
        observer: is told what happens.
        sampling: reads figures now and then.
        storage: is told of calls to the store.
        tracing: traces requests and calls to the store.

    Raises:
        SettingsError: the allow-list has changed, and cannot be used.
        DomainError, OSError: the store cannot be opened.
    """
    try:
        clients = Clients(settings.allow)
    except ValueError as error:
        raise SettingsError([f"{ALLOW}: {error}"]) from None
    innermost = SqlStore.open(settings.store_url, key_limits=settings.key_limits)
    store: Store = innermost
    if sampling is not None and storage is not None:
        watch_store(sampling, innermost, storage.committed)
        store = ObservedStore(innermost, storage)
    if tracing is not None:
        store = tracing.store(store)
    try:
        app = build_app(
            store,
            clients,
            BodyLimits(settings.max_body_bytes, settings.body_timeout),
            Reloader([clients, *reloadables], NoAudit(), interval=settings.reload_seconds),
            observer=observer,
            sampling=sampling,
            tracing=tracing,
            retention=Retention(store, settings.retention_days) if settings.retention_days else None,
            request_limits=RequestLimits(settings.request_timeout, settings.max_requests),
            is_stopping=is_stopping,
        )
        if sampling is not None:
            sampling.gauge(
                "dnastore_server_requests_in_progress",
                "Requests that are in progress, but probes.",
                lambda: app.in_progress,
            )
            with_files = [one for one in reloadables if isinstance(one, Certificates)]
            watch_certificates(
                sampling, with_files, "dnastore_server_certificate_not_after_timestamp_seconds"
            )
        yield app if tracing is None else tracing.around(app)
    finally:
        asyncio.run(store.close())  # does nothing after an orderly shutdown
