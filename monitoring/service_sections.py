"""Panels of the service: what it does for callers, how well, and whom it turns away."""

from __future__ import annotations

from typing import Final

from monitoring.panel import (
    CHOSEN,
    OF_TENANTS,
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

_SLO: Final = 'job=~"$job"'


def _per_second(counter: str) -> tuple[Query, ...]:
    return (Query(f"sum(rate({counter}{{{OF_TENANTS}}}[{WINDOW}]))", "a second"),)


OVERVIEW: Final = Section(
    "Overview",
    (
        Panel(
            "Instances up",
            "Processes' metrics that can be read, of all that are scraped.",
            "percentunit",
            (Query(f"avg(up{{{CHOSEN}}})", "up"),),
            "stat",
            4,
            red_below=1,
        ),
        Panel("Encodes", "Sealed payloads a second.", "ops", _per_second("sigil_encode_total"), "stat", 4),
        Panel("Verifies", "Judged sigils a second.", "ops", _per_second("sigil_verify_total"), "stat", 4),
        Panel(
            "Encode P99",
            "All but one of a hundred single encodes were answered within this.",
            "s",
            (quantile(0.99, "P99", "sigil_encode_duration_seconds", "", where=OF_TENANTS),),
            "stat",
            4,
            red_from=0.1,
        ),
        Panel(
            "Store",
            "1 if the stores of all instances could do the last thing that they were asked for.",
            "none",
            (Query(f"min(sigil_storage_up{{{CHOSEN}}})", "up"),),
            "stat",
            4,
            red_below=1,
        ),
        Panel(
            "Alerts",
            "Rules that fire now; Prometheus needs the rules of monitoring/prometheus for it.",
            "none",
            (Query(or_none('count(ALERTS{alertstate="firing",job=~"$job"})'), "firing"),),
            "stat",
            4,
            red_from=1,
        ),
        Panel(
            "Error budget burns",
            "How many times as fast as allowed the error budgets are used up, in the last five minutes and "
            "in the last hour. 1 uses up a budget in 30 days. From the recording rules.",
            "none",
            (
                Query(
                    f"sigil:slo_errors:ratio_rate5m{{{_SLO}}} / on (slo) group_left sigil:slo_budget:ratio",
                    "{{slo}} 5m",
                ),
                Query(
                    f"sigil:slo_errors:ratio_rate1h{{{_SLO}}} / on (slo) group_left sigil:slo_budget:ratio",
                    "{{slo}} 1h",
                ),
            ),
            width=12,
        ),
        Panel(
            "Versions",
            "What runs where.",
            "none",
            values("sigil_build_info", "instance", "component", "version", "kernel", how="count"),
            width=12,
        ),
    ),
)

CALLS: Final = Section(
    "Encode and verify",
    (
        Panel(
            "Encode latency",
            "Single encodes, from head to answer, with the record's way to the disk.",
            "s",
            quantiles("sigil_encode_duration_seconds", "encode", where=OF_TENANTS),
        ),
        Panel(
            "Verify latency",
            "Single verifies, from head to answer, with the look at the revocation.",
            "s",
            quantiles("sigil_verify_duration_seconds", "verify", where=OF_TENANTS),
        ),
        Panel(
            "P99 by class of tenants",
            "Whether one class waits for another.",
            "s",
            (
                quantile(
                    0.99, "encode", "sigil_encode_duration_seconds", "", "tenant_class", where=OF_TENANTS
                ),
                quantile(
                    0.99, "verify", "sigil_verify_duration_seconds", "", "tenant_class", where=OF_TENANTS
                ),
            ),
        ),
        Panel(
            "Encode latency, all of it",
            "How many encodes took how long.",
            "s",
            heat("sigil_encode_duration_seconds", OF_TENANTS),
            "heatmap",
            12,
        ),
        Panel(
            "Verify latency, all of it",
            "How many verifies took how long.",
            "s",
            heat("sigil_verify_duration_seconds", OF_TENANTS),
            "heatmap",
            12,
        ),
        Panel(
            "Encodes",
            "Items a second by what became of them; each line of a batch counts. Failed is our fault.",
            "ops",
            rates("sigil_encode_total", "outcome", where=OF_TENANTS),
        ),
        Panel(
            "Verifies",
            "Items a second by what became of them; each line of a batch counts. Failed is our fault.",
            "ops",
            rates("sigil_verify_total", "outcome", where=OF_TENANTS),
        ),
        Panel(
            "Items by class of tenants",
            "Who the load is from.",
            "ops",
            (
                Query(
                    f"sum by (tenant_class) (rate(sigil_encode_total{{{OF_TENANTS}}}[{WINDOW}]))",
                    "encode {{tenant_class}}",
                ),
                Query(
                    f"sum by (tenant_class) (rate(sigil_verify_total{{{OF_TENANTS}}}[{WINDOW}]))",
                    "verify {{tenant_class}}",
                ),
            ),
        ),
        Panel(
            "Sigils that did not hold",
            "Verdicts a second by their reason. Many tag_mismatch: somebody alters payloads, or guesses.",
            "ops",
            rates("sigil_verify_invalid_total", "reason"),
        ),
        Panel(
            "Batch latency",
            "Whole batches, from head to the end of the answer.",
            "s",
            quantiles("sigil_batch_duration_seconds", "batch", "verb"),
        ),
        Panel(
            "Lines of batches",
            "How many lines batches have.",
            "none",
            quantiles("sigil_batch_items", "lines", "verb"),
        ),
    ),
)

HTTP: Final = Section(
    "HTTP",
    (
        Panel(
            "Requests",
            "Requests a second by route; health probes are not counted.",
            "reqps",
            (
                Query(
                    f"sum by (method, route) (rate(sigil_http_request_duration_seconds_count{{{CHOSEN}}}"
                    f"[{WINDOW}]))",
                    "{{method}} {{route}}",
                ),
            ),
        ),
        Panel(
            "Answers",
            "Requests a second by the status of their answer.",
            "reqps",
            rates("sigil_http_request_duration_seconds_count", "status"),
        ),
        Panel(
            "P99 by route",
            "Where time goes.",
            "s",
            (quantile(0.99, "P99", "sigil_http_request_duration_seconds", "", "method", "route"),),
        ),
        Panel(
            "Request latency, all of it",
            "How many requests took how long.",
            "s",
            heat("sigil_http_request_duration_seconds"),
            "heatmap",
            16,
        ),
        Panel(
            "Problems",
            "Answers a second that were problems, by code; /docs/problems of the service explains each.",
            "ops",
            rates("sigil_error_total", "code"),
        ),
        Panel(
            "Share of 5xx",
            "Of all answers, those that are the service's fault.",
            "percentunit",
            (
                Query(
                    or_none(
                        f'sum(rate(sigil_http_request_duration_seconds_count{{{CHOSEN},status=~"5.."}}[{WINDOW}]))'
                        f" / sum(rate(sigil_http_request_duration_seconds_count{{{CHOSEN}}}[{WINDOW}]))"
                    ),
                    "5xx",
                ),
            ),
        ),
        Panel(
            "In progress",
            "Requests that are being answered, and connections.",
            "none",
            (
                Query(f"sum by (job) (sigil_http_requests_in_progress{{{CHOSEN}}})", "requests {{job}}"),
                Query(f"sum by (job) (sigil_http_connections{{{CHOSEN}}})", "connections {{job}}"),
            ),
        ),
        Panel(
            "Overload",
            "What was refused or cut off a second for want of room.",
            "ops",
            rates("sigil_overload_total", "reason"),
        ),
    ),
)

ACCESS: Final = Section(
    "Access and limits",
    (
        Panel(
            "Tokens refused",
            "Refusals a second by their reason; the runbook has what each means.",
            "ops",
            rates("sigil_auth_failures_total", "reason"),
        ),
        Panel(
            "Rate limits",
            "Decisions a second. Refused: 429. Shadow: would have been.",
            "ops",
            rates("sigil_rate_limit_total", "limit", "outcome"),
        ),
        Panel(
            "Where limits are counted",
            "0 as it should be, 1 another stands in, 2 not at all; none without Redis.",
            "none",
            (
                Query(
                    or_none(f"max by (backend) (sigil_rate_limit_backend_state{{{CHOSEN}}})", "backend"),
                    "{{backend}}",
                ),
            ),
        ),
        Panel(
            "Tables of token buckets",
            "How full they are; a full one refuses new keys.",
            "percentunit",
            (
                Query(
                    f"max by (instance, table) (sigil_rate_limit_table_keys{{{CHOSEN}}}"
                    f" / sigil_rate_limit_table_capacity{{{CHOSEN}}})",
                    "{{instance}} {{table}}",
                ),
            ),
        ),
        Panel(
            "No room for a new key",
            "Keys a second that found their table full.",
            "ops",
            (
                Query(
                    f"sum by (instance) (rate(sigil_rate_limit_table_full_total{{{CHOSEN}}}[{WINDOW}]))",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Caches",
            "Share of look-ups that a cache could answer.",
            "percentunit",
            (
                Query(
                    f'sum by (cache) (rate(sigil_cache_requests_total{{{CHOSEN},outcome="hit"}}[{WINDOW}]))'
                    f" / sum by (cache) (rate(sigil_cache_requests_total{{{CHOSEN}}}[{WINDOW}]))",
                    "{{cache}}",
                ),
            ),
        ),
    ),
)
