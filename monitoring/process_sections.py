"""Panels of keys, certificates and processes."""

from __future__ import annotations

from typing import Final

from monitoring.panel import CHOSEN, WINDOW, Panel, Query, Section, heat, quantiles, rates, values

KEYS: Final = Section(
    "Keys and certificates",
    (
        Panel(
            "Certificates expire in",
            "Time that is left; they are reloaded when their files change.",
            "s",
            (
                Query(
                    "min by (instance, certificate) "
                    f"(sigil_certificate_not_after_timestamp_seconds{{{CHOSEN}}} - time())",
                    "{{instance}} {{certificate}}",
                ),
                Query(
                    "min by (instance, certificate) "
                    f"(dnastore_server_certificate_not_after_timestamp_seconds{{{CHOSEN}}} - time())",
                    "{{instance}} {{certificate}}",
                ),
            ),
        ),
        Panel(
            "Keys",
            "Sealing keys by their state.",
            "none",
            values("sigil_keys", "instance", "state", how="max"),
        ),
        Panel(
            "Age of the key that signs",
            "For how long it has, where that is known.",
            "s",
            values("sigil_key_age_seconds", "instance", how="max"),
        ),
        Panel(
            "Age of key sets",
            "Time since an issuer's keys were last fetched.",
            "s",
            values("sigil_key_set_age_seconds", "instance", "issuer", how="max"),
        ),
        Panel(
            "Fetches of key sets",
            "Fetches a second by issuer and outcome.",
            "ops",
            rates("sigil_key_set_refresh_total", "issuer", "outcome"),
        ),
    ),
)

PROCESSES: Final = Section(
    "Saturation",
    (
        Panel(
            "Processor",
            "Cores that each process uses.",
            "none",
            (
                Query(
                    f"sum by (job, instance, worker) (rate(sigil_process_cpu_seconds_total{{{CHOSEN}}}"
                    f"[{WINDOW}]))",
                    "{{job}} {{instance}} {{worker}}",
                ),
            ),
        ),
        Panel(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            values("sigil_process_resident_memory_bytes", "job", "instance", "worker"),
        ),
        Panel(
            "Descriptors",
            "Share of the files and sockets that a process may have open.",
            "percentunit",
            (
                Query(
                    f"max by (job, instance, worker) (sigil_process_open_fds{{{CHOSEN}}}"
                    f" / sigil_process_max_fds{{{CHOSEN}}})",
                    "{{job}} {{instance}} {{worker}}",
                ),
            ),
        ),
        Panel(
            "Event loop lag",
            "How late a process is to what is due; all its requests wait as long.",
            "s",
            quantiles("sigil_event_loop_lag_seconds", "lag", "job"),
        ),
        Panel(
            "Event loop lag, all of it",
            "How often it was late by how much.",
            "s",
            heat("sigil_event_loop_lag_seconds"),
            "heatmap",
        ),
        Panel(
            "Threads",
            "Threads of each process.",
            "none",
            values("sigil_process_threads", "job", "instance", "worker"),
        ),
        Panel(
            "Workers",
            "Processes that serve, and how many died and were replaced in five minutes.",
            "none",
            (
                Query(f"sum by (instance) (sigil_workers{{{CHOSEN}}})", "workers {{instance}}"),
                Query(
                    f"sum by (instance) (increase(sigil_worker_restarts_total{{{CHOSEN}}}[5m]))",
                    "restarts {{instance}}",
                ),
            ),
        ),
        Panel(
            "Up since",
            "Age of each process.",
            "s",
            (
                Query(
                    f"max by (job, instance, worker) (time() - sigil_process_start_time_seconds{{{CHOSEN}}})",
                    "{{job}} {{instance}} {{worker}}",
                ),
            ),
        ),
    ),
)
