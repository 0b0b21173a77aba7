"""Panels of what is kept: stores, the DNAStore and the way to it, the audit log."""

from __future__ import annotations

from typing import Final

from monitoring.panel import (
    CHOSEN,
    WINDOW,
    Panel,
    Query,
    Section,
    heat,
    or_none,
    quantile,
    quantiles,
    rates,
    values,
)

STORE: Final = Section(
    "Store",
    (
        Panel(
            "Read latency",
            "What reads of the store took: of the service's own, of the DNAStore behind it, and within that.",
            "s",
            quantiles("sigil_storage_read_seconds", "read", "job"),
        ),
        Panel(
            "Write latency",
            "What writes of the store took, with their way to the disk.",
            "s",
            quantiles("sigil_storage_write_seconds", "write", "job"),
        ),
        Panel(
            "P99 by operation",
            "Which of them is slow.",
            "s",
            (
                quantile(0.99, "P99", "sigil_storage_read_seconds", "", "job", "operation"),
                quantile(0.99, "P99", "sigil_storage_write_seconds", "", "job", "operation"),
            ),
        ),
        Panel(
            "Reads, all of them",
            "How many reads took how long.",
            "s",
            heat("sigil_storage_read_seconds"),
            "heatmap",
            12,
        ),
        Panel(
            "Writes, all of them",
            "How many writes took how long.",
            "s",
            heat("sigil_storage_write_seconds"),
            "heatmap",
            12,
        ),
        Panel(
            "Failures",
            "What the store could not do, a second, by the reason.",
            "ops",
            rates("sigil_storage_failures_total", "reason"),
        ),
        Panel(
            "Store up",
            "1 if the store could do the last thing that it was asked for.",
            "none",
            values("sigil_storage_up", "job", "instance", how="min"),
        ),
        Panel(
            "Writes in a commit",
            "How many writes one commit takes to the disk together; grows with load.",
            "none",
            quantiles("sigil_storage_commit_writes", "writes"),
        ),
        Panel(
            "Database",
            "Size of a SQLite database with its log.",
            "bytes",
            values("sigil_storage_database_bytes", "job", "instance", how="max"),
        ),
        Panel(
            "Queues",
            "What waits for a turn: writes for the disk, lines for the audit log, requests for the DNAStore.",
            "none",
            values("sigil_queue_depth", "job", "queue"),
        ),
    ),
)

DNASTORE: Final = Section(
    "DNAStore, as the service sees it",
    (
        Panel(
            "Request latency by method",
            "Requests to the DNAStore, each attempt by itself.",
            "s",
            quantiles("dnastore_request_duration_seconds", "", "method"),
        ),
        Panel(
            "Request latency, all of it",
            "How many requests took how long.",
            "s",
            heat("dnastore_request_duration_seconds"),
            "heatmap",
        ),
        Panel(
            "Requests",
            "Requests a second by status; none where no answer came.",
            "reqps",
            (
                Query(
                    f"sum by (method, status_code) (rate(dnastore_request_duration_seconds_count{{{CHOSEN}}}"
                    f"[{WINDOW}]))",
                    "{{method}} {{status_code}}",
                ),
            ),
        ),
        Panel(
            "Breaker",
            "0 closed, 1 half open, 2 open: the DNAStore is left alone.",
            "none",
            values("dnastore_circuit_state", "instance", how="max"),
        ),
        Panel(
            "Spool: writes",
            "Acknowledged writes that wait on a host for the DNAStore.",
            "none",
            values("dnastore_spool_writes", "instance", how="max"),
        ),
        Panel(
            "Spool: room",
            "What the waiting writes take, and what is left for more.",
            "bytes",
            (
                Query(f"max by (instance) (dnastore_spool_bytes{{{CHOSEN}}})", "taken {{instance}}"),
                Query(f"min by (instance) (dnastore_spool_room_bytes{{{CHOSEN}}})", "left {{instance}}"),
            ),
        ),
        Panel(
            "Spool: oldest",
            "For how long the oldest write has waited.",
            "s",
            values("dnastore_spool_oldest_seconds", "instance", how="max"),
        ),
        Panel(
            "Spool: sent on",
            "Writes a second that left the spool. Rejected ones are kept apart, and somebody must decide.",
            "ops",
            rates("dnastore_spool_forwarded_total", "outcome"),
        ),
    ),
)

DNASTORE_SERVER: Final = Section(
    "DNAStore server",
    (
        Panel(
            "Request latency by route",
            "From a request's head to the end of its answer.",
            "s",
            quantiles("dnastore_server_request_seconds", "", "route"),
        ),
        Panel(
            "Request latency, all of it",
            "How many requests took how long.",
            "s",
            heat("dnastore_server_request_seconds"),
            "heatmap",
        ),
        Panel(
            "Requests",
            "Requests a second; status 0: the client did not stay for its answer.",
            "reqps",
            (
                Query(
                    f"sum by (route, status) (rate(dnastore_server_request_seconds_count{{{CHOSEN}}}"
                    f"[{WINDOW}]))",
                    "{{route}} {{status}}",
                ),
            ),
        ),
        Panel(
            "Writes",
            "Writes a second by what became of them.",
            "ops",
            rates("dnastore_server_writes_total", "outcome"),
        ),
        Panel(
            "Records",
            "Records a second that were written.",
            "ops",
            (Query(f"sum(rate(dnastore_server_records_written_total{{{CHOSEN}}}[{WINDOW}]))", "records"),),
        ),
        Panel(
            "Store failures",
            "What the store behind it could not do, a second, by the reason.",
            "ops",
            rates("dnastore_server_store_failures_total", "reason"),
        ),
        Panel(
            "Store up",
            "1 if its store could do the last write or probe.",
            "none",
            values("dnastore_server_store_up", "instance", how="min"),
        ),
        Panel(
            "In progress",
            "Requests that are being answered.",
            "none",
            values("dnastore_server_requests_in_progress", "instance"),
        ),
    ),
)

AUDIT: Final = Section(
    "Audit log",
    (
        Panel(
            "Lines",
            "Lines a second by what became of them.",
            "ops",
            rates("sigil_audit_lines_total", "outcome"),
        ),
        Panel(
            "Write latency",
            "What a group of lines took to the disk.",
            "s",
            quantiles("sigil_audit_write_seconds", "write"),
        ),
        Panel(
            "Writes, all of them",
            "How many groups took how long.",
            "s",
            heat("sigil_audit_write_seconds"),
            "heatmap",
        ),
        Panel(
            "Audit log up",
            "1 if it can be written.",
            "none",
            (Query(or_none(f"min by (instance) (sigil_audit_up{{{CHOSEN}}})", "instance"), "{{instance}}"),),
        ),
    ),
)
