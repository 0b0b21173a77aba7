"""What is read of the service's parts now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.authentication.bearer import Authenticator
from app.authentication.remote_keys import RemoteKeys
from app.http.guard import Guard
from app.limits.limits import RateLimits
from app.metrics.requests import RequestMetrics
from app.metrics.sampling import Sampling
from app.server.certificates import Certificates, end_of_authorities
from app.server.connections import Connections
from core.audit.interface import Audit
from core.audit.log import AuditLog
from core.dnastore.interface import Waiting
from core.limits.local import bucket_key
from core.seals import Seals
from core.spool.spooled_store import SpooledStore
from core.store.interface import Store
from core.store.sql_store import SqlStore

_KEY_STATES: Final = ("active", "verify-only", "revoked")
#: Seconds. Measured like ``REQUEST_BUCKETS``: one group in a hundred took less than 0.3 ms, half less than
#: 0.6 ms for one caller and 1.8 ms for eight, and one in a hundred more than 12 to 16 ms.
_AUDIT_BUCKETS: Final = (
    *(0.00001, 0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.0025),
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)


_NOT_AFTER: Final = (
    "sigil_certificate_not_after_timestamp_seconds",
    "Until when a certificate is valid, in seconds since 1970; of authorities the last.",
)


def watch_store(sampling: Sampling, store: Store, committed: Callable[[int], None]) -> None:
    """What waits for the store, and how large it is."""
    if isinstance(store, SqlStore):
        store.on_commit(committed)
        _queue(sampling, "store_writes", lambda: store.waiting_writes)
        path = store.database_file
        if path is not None:
            sampling.gauge(
                "sigil_storage_database_bytes",
                "Bytes of the SQLite database and its log.",
                lambda: _size(path, Path(f"{path}-wal")),
                mode="livemax",
            )
    elif isinstance(store, Waiting):
        _queue(sampling, "dnastore_writes", lambda: store.waiting_writes)
        _queue(sampling, "dnastore_reads", lambda: store.waiting_reads)


def watch_spool(sampling: Sampling, spool: SpooledStore) -> None:
    """What is left in the spool, for the worst of the workers."""
    sampling.gauge(
        "dnastore_spool_room_bytes",
        "Bytes that more writes may take in the spool.",
        lambda: spool.spool_room,
        mode="livemin",
    )


def watch_serving(sampling: Sampling, guard: Guard, connections: Connections | None) -> None:
    """What is in progress."""
    sampling.gauge(
        "sigil_http_requests_in_progress",
        "Requests that are in progress, but probes.",
        lambda: guard.in_progress,
    )
    if connections is not None:
        sampling.gauge("sigil_http_connections", "Connections that are open.", lambda: len(connections))


def watch_overload(sampling: Sampling, requests: RequestMetrics, connections: Connections) -> None:
    """What the connections refused and cut off, and what came over them that was no request."""
    sampling.follow(requests.malformed, lambda: connections.malformed)
    sampling.follow(requests.overload.labels("connections"), lambda: connections.refused)
    sampling.follow(requests.overload.labels("answers"), lambda: connections.cut_off)


def watch_audit(sampling: Sampling, audit: Audit) -> None:
    """How the audit log does."""
    if not isinstance(audit, AuditLog):
        return
    _queue(sampling, "audit_lines", lambda: audit.waiting)
    sampling.gauge(
        "sigil_audit_up",
        "1 if the audit log can be written, 0 if not; of several workers the worst.",
        lambda: float(audit.condition == "ok"),
        mode="livemin",
    )
    text = "Audit lines: written, or lost because they found no room."
    sampling.counter("sigil_audit_lines", text, lambda: audit.written, {"outcome": "written"})
    sampling.counter("sigil_audit_lines", text, lambda: audit.lost, {"outcome": "lost"})
    seconds = sampling.histogram(
        "sigil_audit_write_seconds", "How long it took to write a group of audit lines.", _AUDIT_BUCKETS
    )
    audit.on_written(seconds.observe)


def watch_keys(sampling: Sampling, seals: Seals) -> None:
    """The signing keys."""
    began = time.time()
    for state in _KEY_STATES:
        sampling.gauge(
            "sigil_keys",
            "Keys of the ring, by state.",
            lambda state=state: sum(one == state for one in seals.keys.states.values()),  # type: ignore[misc]
            mode="livemax",
            labels={"state": state},
        )
    sampling.gauge(
        "sigil_key_age_seconds",
        "For how long the signing key has been good; where its ring does not tell, since this process began.",
        lambda: _age_of_key(seals, began),
        mode="livemax",
    )


def _age_of_key(seals: Seals, began: float) -> float | None:
    """None without a key that signs."""
    now = time.time()
    begun = [
        key.not_before
        for key in seals.keys.known
        if key.state == "active" and key.not_before is not None and key.not_before <= now
    ]
    if begun:
        return now - max(begun)
    return now - began if "active" in seals.keys.states.values() else None


def watch_tokens(sampling: Sampling, authenticator: Authenticator) -> None:
    """The memory of tokens, and the issuers' keys."""
    text = "What was found in a memory of the process, or had to be worked out."
    for outcome, read in (("hit", lambda: authenticator.recalled), ("miss", lambda: authenticator.unknown)):
        sampling.counter("sigil_cache_requests", text, read, {"cache": "tokens", "outcome": outcome})
    # One for the process, whoever keeps count.
    for outcome, read in (
        ("hit", lambda: bucket_key.cache_info().hits),
        ("miss", lambda: bucket_key.cache_info().misses),
    ):
        sampling.counter("sigil_cache_requests", text, read, {"cache": "bucket_keys", "outcome": outcome})
    for issuer, keys in authenticator.key_sources.items():
        if isinstance(keys, RemoteKeys):
            _watch_key_set(sampling, issuer, keys)


def _watch_key_set(sampling: Sampling, issuer: str, keys: RemoteKeys) -> None:
    sampling.gauge(
        "sigil_key_set_age_seconds",
        "How long ago an issuer's keys were fetched; of several workers the longest.",
        lambda: keys.age,
        mode="livemax",
        labels={"issuer": issuer},
    )
    text = "Attempts to fetch an issuer's keys."
    for outcome, read in (("done", lambda: keys.done), ("failed", lambda: keys.failed)):
        sampling.counter("sigil_key_set_refresh", text, read, {"issuer": issuer, "outcome": outcome})


def watch_limits(sampling: Sampling, limits: RateLimits) -> None:
    """How full the tables of token buckets are."""
    tables = tuple(limits.loads)
    keys, room = (
        {
            table: sampling.made_gauge(
                f"sigil_rate_limit_table_{name}", text, mode="livemax", labels={"table": table}
            )
            for table in tables
        }
        for name, text in (
            ("keys", "Keys whose token buckets are not full, looked at every fifteen seconds."),
            ("capacity", "Keys for which the tables have room."),
        )
    )

    def read() -> None:
        for table, (live, capacity) in limits.loads.items():
            keys[table].set(live)
            room[table].set(capacity)

    if tables:
        sampling.seldom(read)


def watch_authorities(sampling: Sampling, label: str, path: Path) -> None:
    """Until when authorities are valid that are read once, at the start."""
    end = end_of_authorities(path)
    sampling.gauge(*_NOT_AFTER, lambda: end, mode="livemin", labels={"certificate": label})


def watch_certificates(
    sampling: Sampling, certificates: Sequence[Certificates], name: str = _NOT_AFTER[0]
) -> None:
    """Until when certificates are valid."""
    for one in certificates:
        for label in one.not_after:
            sampling.gauge(
                name,
                _NOT_AFTER[1],
                lambda one=one, label=label: one.not_after.get(label),  # type: ignore[misc]
                mode="livemin",
                labels={"certificate": label},
            )


def _queue(sampling: Sampling, name: str, read: Callable[[], int]) -> None:
    sampling.gauge("sigil_queue_depth", "What waits in a queue of the process.", read, labels={"queue": name})


def _size(*paths: Path) -> int:
    size = 0
    for path in paths:
        if path.exists():
            size += path.stat().st_size
    return size
